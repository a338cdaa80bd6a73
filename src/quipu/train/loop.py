"""The training loop: one process, one recipe, resumable at any saved step."""

import dataclasses
import fcntl
import json
import math
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch

from quipu.data.documents import Document, gather, held_out
from quipu.data.loader import Loader
from quipu.data.packing import Infilling, Part, parts
from quipu.errors import TrainingError
from quipu.jsonl import append, keep
from quipu.model.transformer import Transformer, initialise
from quipu.text.tokenizer import Tokenizer
from quipu.text.vocabulary import train_tokenizer
from quipu.train import checkpoint
from quipu.train.recipe import TrainRecipe
from quipu.train.step import Learner, StepMetrics

SAVE_EVERY_S = 60.0
EVALUATIONS = 8  # in a whole run, on the held-out documents


@dataclass(frozen=True, kw_only=True)
class Progress:
    """One line of metrics.jsonl."""

    step: int
    steps: int
    loss: float  # nats per trained token
    gradient_norm: float
    tokens_per_s: float
    bits_per_byte: float | None = None  # of held-out documents, left to right


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Documents of a recipe, cut into parts, and what was dropped."""

    train: list[Part]
    validation: list[Part]
    dropped: Counter[str]

    @staticmethod
    def read(recipe: TrainRecipe) -> "Corpus":
        dropped: Counter[str] = Counter()
        documents = list(gather(recipe.sources, dropped))
        if not documents:
            raise TrainingError(
                "source folders " + ", ".join(str(folder.root) for folder in recipe.sources),
                got="no document that passes the recipe's steps",
                remedy="check that the folders exist and hold source files",
            )

        def cut(chosen: list[Document]) -> list[Part]:
            return [p for d in chosen for p in parts(d, recipe.part_characters)]

        kept = [d for d in documents if not held_out(d, recipe.held_out)]
        apart = [d for d in documents if held_out(d, recipe.held_out)]
        return Corpus(train=cut(kept), validation=cut(apart), dropped=dropped)


def tokenizer_of(folder: Path, recipe: TrainRecipe, corpus: Corpus) -> Tokenizer:
    """The run's tokenizer: the one in its folder, or one trained on the corpus and put there."""
    path = folder / "tokenizer.model"
    if not path.exists():
        temporary = path.with_suffix(".tmp")
        temporary.write_bytes(train_tokenizer((p.text for p in corpus.train), recipe.model.vocab))
        temporary.replace(path)
    return Tokenizer.load(path)


@contextmanager
def claimed(folder: Path, recipe: TrainRecipe) -> Iterator[None]:
    """Hold the run's folder, made if need be, for this process and this recipe alone."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TrainingError(
                f"run folder {folder}",
                got="another process that trains in it",
                remedy="stop that one first, or give another --run folder",
            ) from None
        _check_recipe(folder, recipe)
        yield


def _check_recipe(folder: Path, recipe: TrainRecipe) -> None:
    text = json.dumps(dataclasses.asdict(recipe), indent=1, default=str) + "\n"
    path = folder / "recipe.json"
    if not path.exists():
        path.write_text(text)
    elif path.read_text() != text:
        raise TrainingError(
            f"run folder {folder}",
            got="a run of another recipe",
            remedy="give another --run folder or delete this one",
        )


def train(
    recipe: TrainRecipe, folder: Path, *, compiled: bool = True, until: int = 0
) -> Iterator[Progress]:
    """Run a recipe in `folder`, going on where it stopped; yields after every step.

    `until` stops early after that many steps in all (0: at the end of the recipe). Raises
    TrainingError if the folder belongs to another recipe or the loss is no number; the last saved
    state is intact then.
    """
    with claimed(folder, recipe):
        yield from _steps(recipe, folder, compiled, until)


def _steps(recipe: TrainRecipe, folder: Path, compiled: bool, until: int) -> Iterator[Progress]:
    corpus = Corpus.read(recipe)
    tokenizer = tokenizer_of(folder, recipe, corpus)
    rows = recipe.batch_tokens // recipe.model.context
    loader = _loader(recipe, corpus.train, tokenizer, recipe.infilling, rows)
    model = Transformer(recipe.model)
    initialise(model, torch.Generator().manual_seed(recipe.seed))
    learner = Learner(model, recipe, compiled=compiled)
    done = checkpoint.resume(folder, learner)
    keep(folder / "metrics.jsonl", lambda line: cast(int, line["step"]) <= done)
    last = min(until or recipe.steps, recipe.steps)
    saved_at = time.monotonic()
    for number in range(done, last):
        began = time.monotonic()
        metrics = _finite(learner.step(loader.batch(number), number), number)
        elapsed_s = time.monotonic() - began
        ended = number + 1 == last
        evaluated = ended or (number + 1) % max(1, recipe.steps // EVALUATIONS) == 0
        progress = Progress(
            step=number + 1,
            steps=recipe.steps,
            loss=metrics.loss,
            gradient_norm=metrics.gradient_norm,
            tokens_per_s=recipe.batch_tokens / elapsed_s,
            bits_per_byte=bits_per_byte(learner, recipe, corpus.validation, tokenizer)
            if evaluated
            else None,
        )
        append(folder / "metrics.jsonl", dataclasses.asdict(progress))
        if ended or time.monotonic() - saved_at > SAVE_EVERY_S:
            checkpoint.save(folder, learner, number + 1)
            saved_at = time.monotonic()
        yield progress


def _finite(metrics: StepMetrics, number: int) -> StepMetrics:
    if not math.isfinite(metrics.loss) or not math.isfinite(metrics.gradient_norm):
        raise TrainingError(
            f"step {number}",
            got=f"loss {metrics.loss}, gradient norm {metrics.gradient_norm}",
            remedy="the last saved state is intact: lower matrix_lr and other_lr",
        )
    return metrics


def bits_per_byte(
    learner: Learner, recipe: TrainRecipe, held: list[Part], tokenizer: Tokenizer
) -> float | None:
    """Compression of held-out text read left to right, over the bytes of the tokens predicted."""
    if not held:
        return None
    plain = _loader(recipe, held, tokenizer, Infilling(rate=0.0), 1)
    nats, size = 0.0, 0
    for number in range(len(plain.rows(0))):
        batch = plain.batch(number)
        nats += learner.loss(batch)[0]
        size += sum(len(tokenizer.token_bytes[i]) for i in batch.targets_T if i >= 0)
    return nats / math.log(2) / size if size else None


def _loader(
    recipe: TrainRecipe,
    chosen: list[Part],
    tokenizer: Tokenizer,
    infilling: Infilling,
    batch_rows: int,
) -> Loader:
    return Loader(
        chosen,
        tokenizer,
        row_tokens=recipe.model.context,
        batch_rows=batch_rows,
        infilling=infilling,
        seed=recipe.seed,
    )
