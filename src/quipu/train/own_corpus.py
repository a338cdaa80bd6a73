"""Reading the corpus that a tuning brings with it."""

import json
from dataclasses import replace
from pathlib import Path

from quipu.data.corpus.build import Told, build
from quipu.data.corpus.jobs import Executor
from quipu.data.corpus.recipe import CorpusRecipe
from quipu.data.tokens.manifest import MANIFEST
from quipu.data.tokens.reading import TokenShards
from quipu.train.start import tokenizer_files
from quipu.train.tuning import Tuning


def read_corpus(tuning: Tuning, folder: Path, executor: Executor, told: Told) -> TokenShards:
    """The shards of a tuning's corpus in `folder`, built unless they are there already.

    What was read once stays as it is, though its files may change while the run goes on.
    """
    given = folder / "tokenizer"
    recipe = replace(tuning.corpus, tokenizer=given)
    if not _is_built(recipe, folder):
        given.mkdir(parents=True, exist_ok=True)
        for name, content in tokenizer_files(Path(tuning.start)).items():
            (given / name).write_bytes(content)
        build(recipe, folder, executor, told=told)
    return TokenShards.open(folder / "tokens")


def _is_built(recipe: CorpusRecipe, folder: Path) -> bool:
    try:
        told = json.loads((folder / "recipe.json").read_text())
    except (OSError, ValueError):
        return False
    same = isinstance(told, dict) and told.get("fingerprint") == recipe.fingerprint()
    return same and (folder / "tokens" / MANIFEST).is_file()
