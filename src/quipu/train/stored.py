"""What lies in a run's folder, for those who look at it while it may be going on."""

import dataclasses
import json
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from quipu.errors import TrainingError
from quipu.train import folder
from quipu.train.recipe import TrainRecipe

CHAIN = "chain.json"  # names of a chain's stages, beside their folders


def recipe_of(run: Path) -> TrainRecipe:
    """The recipe of a run. Raises TrainingError if the folder holds none that can be read."""
    values = folder.read_recipe(run)
    try:
        found = _value(TrainRecipe, values)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise TrainingError(
            f"{run / folder.RECIPE}", got=error, allowed="a recipe of this version of quipu"
        ) from error
    assert isinstance(found, TrainRecipe)
    return found


def _value(kind: Any, stored: Any) -> Any:
    """A value of a type from what JSON keeps of it."""
    if get_origin(kind) in (Union, types.UnionType):
        if stored is None:
            return None
        kinds = [one for one in get_args(kind) if one is not type(None)]
        fits = [one for one in kinds if _fits(one, stored)]
        return _value((fits or kinds)[0], stored)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        hints = get_type_hints(kind)
        return kind(**{name: _value(hints[name], part) for name, part in stored.items()})
    if get_origin(kind) is tuple:
        return tuple(_value(get_args(kind)[0], part) for part in stored)
    if kind is Path:
        return Path(stored)
    return stored


def _fits(kind: Any, stored: Any) -> bool:
    if not dataclasses.is_dataclass(kind) or not isinstance(stored, Mapping):
        return False
    return {field.name for field in dataclasses.fields(kind)} == set(stored)


def note_chain(chain: Path, stages: Sequence[str]) -> None:
    """Write down which stages a chain's folder will have. Raises TrainingError if it cannot be."""
    path = chain / CHAIN
    try:
        chain.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".partial").write_text(json.dumps({"stages": list(stages)}) + "\n")
        path.with_suffix(".partial").replace(path)
    except OSError as error:
        raise TrainingError(
            f"run folder {chain}",
            got=error.strerror,
            allowed="a folder that can be written",
            remedy="give another --run folder",
        ) from error


def stages(path: Path) -> list[Path]:
    """Run folders at a path: itself, or the stages of its chain that have begun, in order.

    Raises TrainingError if there are none.
    """
    if (path / folder.RECIPE).is_file():
        return [path]
    found = [place for place in planned(path) if (place / folder.RECIPE).is_file()]
    if not found:
        raise TrainingError(
            f"run folder {path}",
            got="no run" if path.is_dir() else "no such folder",
            allowed="a folder that quipu train has written, or one of such folders",
        )
    return found


def planned(path: Path) -> list[Path]:
    """Folders of all stages that a chain will have; of a single run, itself."""
    if (path / folder.RECIPE).is_file():
        return [path]
    try:
        names = json.loads((path / CHAIN).read_text())["stages"]
        return [path / str(name) for name in names]
    except (OSError, ValueError, KeyError, TypeError):
        recipes = sorted(path.glob(f"*/{folder.RECIPE}"), key=lambda p: (p.stat().st_mtime, p))
        return [recipe.parent for recipe in recipes]
