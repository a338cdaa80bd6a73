"""A run's folder: whose it is, what recipe it is of, and that one run at a time is in it.

RUN/recipe.json      the recipe, and the model's configuration with it
    tokenizer.model  of the shards it trains on, or tokenizer.json, and what lies beside it
    checkpoints/     see train/checkpoint.py
    metrics.jsonl    see train/metrics.py
    tensorboard/
"""

import dataclasses
import fcntl
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from quipu.config import ModelConfig, RopeScaling
from quipu.data.tokens import manifest
from quipu.errors import TokenizerError, TrainingError
from quipu.train.recipe import Lora, TrainRecipe

RECIPE = "recipe.json"


@contextmanager
def claimed(run: Path, recipe: TrainRecipe, tokenizer: Sequence[Path]) -> Iterator[None]:
    """Hold the run's folder, made if need be, for this process and this recipe alone.

    The files of its tokenizer are copied there.
    """
    try:
        run.mkdir(parents=True, exist_ok=True)
        lock = (run / "lock").open("w")
    except OSError as error:
        raise TrainingError(
            f"run folder {run}",
            got=error.strerror,
            allowed="a folder that can be written",
            remedy="give another --run folder",
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TrainingError(
                f"run folder {run}",
                got="another process that trains in it",
                remedy="stop that one first, or give another --run folder",
            ) from None
        _check_recipe(run, recipe)
        for file in tokenizer:
            if not (run / file.name).exists():
                partial = Path(shutil.copyfile(file, run / f"{file.name}.partial"))
                partial.replace(run / file.name)
        yield


def _check_recipe(run: Path, recipe: TrainRecipe) -> None:
    values = json.loads(json.dumps(dataclasses.asdict(recipe), default=str))
    path = run / RECIPE
    if not path.exists():
        path.with_suffix(".partial").write_text(json.dumps(values, indent=1) + "\n")
        path.with_suffix(".partial").replace(path)
        return
    before = read_recipe(run)
    changed = sorted(_differences(before, values))
    if changed:
        raise TrainingError(
            f"run folder {run}",
            got="a run of another recipe: " + ", ".join(changed),
            remedy="give another --run folder or delete this one",
        )


def read_recipe(run: Path) -> dict[str, Any]:
    """recipe.json. Raises TrainingError if the folder holds no run."""
    try:
        found = json.loads((run / RECIPE).read_text())
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"run folder {run}", got=error, allowed="a folder that quipu train has written"
        ) from error
    assert isinstance(found, dict)
    return found


def model_of(run: Path) -> ModelConfig:
    """The configuration of a run's model."""
    values = dict(read_recipe(run)["model"])
    scaling = values.pop("rope_scaling")
    return ModelConfig(**values, rope_scaling=RopeScaling(**scaling) if scaling else None)


def lora_of(run: Path) -> Lora | None:
    """The adapters of a run; None if it trains all weights."""
    values = read_recipe(run)["lora"]
    return Lora(**values) if values else None


def tokenizer_files(run: Path) -> dict[str, bytes]:
    """Files of a run's tokenizer. Raises TrainingError if there are none."""
    try:
        return {file.name: file.read_bytes() for file in manifest.tokenizer_files(run)}
    except (OSError, TokenizerError) as error:
        raise TrainingError(
            f"run folder {run}", got=error, allowed="tokenizer.model or tokenizer.json"
        ) from error


def _differences(before: Any, now: Any, name: str = "") -> Iterator[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        for key in {*before, *now}:
            yield from _differences(before.get(key), now.get(key), f"{name}.{key}".lstrip("."))
    elif before != now:
        yield f"{name} {_short(before)} -> {_short(now)}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."
