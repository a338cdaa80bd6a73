"""What `quipu train` does for recipes that bring their own corpus."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from quipu.errors import QuipuError, UsageError

if TYPE_CHECKING:
    from quipu.train.recipe import TrainRecipe
    from quipu.train.tuning import Tuning


def prepared(tuning: "Tuning", corpus: Path, *, given: bool, world: int) -> "TrainRecipe":
    """The run of a tuning, once its corpus is read into `corpus`; `given`: it was there before.

    Raises UsageError where several processes would have to read it.
    """
    try:
        from quipu.cli.data.building import Screen
        from quipu.data.corpus.executors.local import LocalExecutor
        from quipu.data.tokens.reading import TokenShards
        from quipu.train.own_corpus import read_corpus
    except ModuleNotFoundError as error:
        raise QuipuError(
            f"reading a corpus needs {error.name}", remedy="pip install 'quipu-code[train,data]'"
        ) from error
    if given:
        tokens = corpus / "tokens"
        return tuning.recipe(TokenShards.open(tokens if tokens.is_dir() else corpus))
    if world > 1:
        raise UsageError(
            "several processes without a corpus",
            got=f"{world} processes, no --corpus",
            remedy="read it with one process (the same command with --dry-run, without torchrun),"
            f" then give --corpus {corpus}",
        )
    with (
        LocalExecutor(len(os.sched_getaffinity(0))) as executor,
        Screen(Console(stderr=True)) as screen,
    ):
        return tuning.recipe(read_corpus(tuning, corpus, executor, screen.show))
