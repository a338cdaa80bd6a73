"""Evaluating checkpoints of runs apart from their loops: one line each in RUN/evaluations.jsonl."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from torch.distributed.checkpoint.api import CheckpointException

from quipu import jsonl
from quipu.checkpoint.opening import open_checkpoint
from quipu.data.loading.mixed import Rows
from quipu.errors import DataError, QuipuError, TrainingError
from quipu.text.tokenizer import Tokenizer
from quipu.train import checkpoint, folder, start, stored
from quipu.train.evaluate import Findings, How, evaluate, loaded
from quipu.train.held_out import HeldOut
from quipu.train.loop import open_rows
from quipu.train.recipe import TrainRecipe

EVALUATIONS = "evaluations.jsonl"
POLL_S = 5.0  # between looks for new checkpoints
MODEL_ROW = 2_048  # tokens that a model without a run is given at most, by default

Which = Literal["all", "milestones", "newest"]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What to evaluate a run with; `row_tokens`, `dtype` and `joined` None: as it trains."""

    corpus: Path
    rows: int = 64
    lines: int = 100
    row_tokens: int | None = None
    joined: bool | None = None
    groups: tuple[str, ...] = ()
    seed: int = 0
    dtype: Literal["bfloat16", "float32"] | None = None
    device: str = "cpu"
    which: Which = "all"
    again: bool = False  # also what was evaluated before

    def how(self, recipe: TrainRecipe) -> How:
        """For a run of this recipe."""
        packages = any(source.packages and source.joined for source in recipe.data.sources)
        return How(
            row_tokens=self.row_tokens or recipe.data.row_tokens,
            rows=self.rows,
            lines=self.lines,
            joined=packages if self.joined is None else self.joined,
            groups=self.groups,
            seed=self.seed,
            dtype=self.dtype or recipe.dtype,
        )


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """A checkpoint that was evaluated, and the line that was written of it."""

    run: Path
    line: dict[str, Any]


def evaluations(path: Path, asked: Asked, *, watch: bool = False) -> Iterator[Evaluated]:
    """Evaluate checkpoints of a run, or of all stages of a chain, oldest first, each once.

    `watch` goes on until the run (the chain) is finished. Raises TrainingError without a run or a
    checkpoint, DataError for a corpus without held-out text or of another tokenizer.
    """
    held_out = HeldOut.open(asked.corpus)
    places, any_saved = stored.stages(path), False
    for place in places:
        jsonl.mend(place / EVALUATIONS)
    while True:
        found = False
        for place in stored.stages(path):
            any_saved = any_saved or bool(checkpoint.saved(place))
            for evaluated in _of_run(place, asked, held_out):
                found = True
                yield evaluated
        if not watch:
            break
        if not found:
            if _finished(path):
                break
            time.sleep(POLL_S)
    if not any_saved:
        raise TrainingError(
            f"run folder {path}",
            got="no checkpoint yet",
            remedy="train it first, or give --watch to wait for one",
        )


def _finished(path: Path) -> bool:
    """Whether every stage has its last checkpoint."""
    for place in stored.planned(path):
        saved = checkpoint.saved(place)
        if not saved or saved[-1].step < stored.recipe_of(place).steps:
            return False
    return True


def _of_run(run: Path, asked: Asked, held_out: HeldOut) -> Iterator[Evaluated]:
    recipe = stored.recipe_of(run)
    how = asked.how(recipe)
    setting = _setting(how, held_out)
    before = set() if asked.again else _steps(run, setting)
    wanted = [one for one in _chosen(run, recipe, asked.which) if one.step not in before]
    if not wanted:
        return
    tokenizer = _tokenizer_of(run, held_out)
    rows = _rows(recipe, asked.corpus, wanted[-1].facts.get("data"))
    trained_on = (rows, recipe.steps * recipe.batch_rows) if rows else None
    for saved in wanted:
        began = time.monotonic()
        try:
            weights = dict(start.weights_at(run, saved))
        except (OSError, CheckpointException):
            if saved.path.exists():
                raise
            continue  # training has made room for newer ones
        model = loaded(folder.model_of(run), weights.items(), asked.device, how.dtype)
        infills = tokenizer.infill is not None and recipe.data.infilling.rate > 0
        findings = evaluate(model, tokenizer, held_out, how, infills=infills, trained_on=trained_on)
        line = {
            "step": saved.step,
            "tokens": saved.step * recipe.batch_tokens,
            **asdict(findings),
            "setting": setting,
            "seconds": round(time.monotonic() - began, 3),
        }
        _append(run, line)
        yield Evaluated(run=run, line=line)


def _append(run: Path, line: dict[str, Any]) -> None:
    try:
        jsonl.append(run / EVALUATIONS, line)
    except OSError as error:
        raise TrainingError(
            f"writing {run / EVALUATIONS}", got=error.strerror, remedy="make the folder writable"
        ) from error


def _steps(run: Path, setting: dict[str, Any]) -> set[int]:
    """Steps that were evaluated with this setting."""
    path = run / EVALUATIONS
    lines = jsonl.read(path, growing=True) if path.exists() else iter(())
    return {int(str(line["step"])) for line in lines if line.get("setting") == setting}


def _chosen(run: Path, recipe: TrainRecipe, which: Which) -> Sequence[checkpoint.Saved]:
    saved = checkpoint.saved(run)
    if which == "milestones":
        return [one for one in saved if one.step in recipe.milestone_steps]
    return saved[-1:] if which == "newest" else saved


def _tokenizer_of(run: Path, held_out: HeldOut) -> Tokenizer:
    """The tokenizer of a run, which must be that of the corpus."""
    tokenizer = Tokenizer.load(run)
    if tokenizer.fingerprint != held_out.tokenizer.fingerprint:
        raise DataError(
            f"the corpus was written with another tokenizer than {run} trains with",
            got=f"fingerprint {held_out.tokenizer.fingerprint[:16]}",
            allowed=tokenizer.fingerprint[:16],
            remedy="give the corpus that the run trains on, or export the run and use --model",
        )
    return tokenizer


def _rows(recipe: TrainRecipe, corpus: Path, data: Any) -> Rows | None:
    """What the run trains on; None if the corpus is another one than that."""
    try:
        rows = open_rows(recipe, corpus)
    except QuipuError:
        return None
    return rows if rows.identity == data else None


def evaluate_model(path: Path, asked: Asked) -> dict[str, Any]:
    """What is measured of a model on disk, whatever its tokenizer."""
    held_out = HeldOut.open(asked.corpus)
    opened = open_checkpoint(path)
    tokenizer = Tokenizer.from_files(opened.tokenizer_files())
    how = How(
        row_tokens=asked.row_tokens or min(opened.config.context, MODEL_ROW),
        rows=asked.rows,
        lines=asked.lines,
        joined=bool(asked.joined),
        groups=asked.groups,
        seed=asked.seed,
        dtype=asked.dtype or "float32",
    )
    model = loaded(opened.config, start.whole_weights(path), asked.device, how.dtype)
    infills = opened.abilities.infill and tokenizer.infill is not None
    findings: Findings = evaluate(model, tokenizer, held_out, how, infills=infills)
    return {"model": str(path), **asdict(findings), "setting": _setting(how, held_out)}


def _setting(how: How, held_out: HeldOut) -> dict[str, Any]:
    """What findings depend on besides the model, as it is read back."""
    return asdict(how) | {"groups": [*how.groups], "held_out": held_out.fingerprint}
