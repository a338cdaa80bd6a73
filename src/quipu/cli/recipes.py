"""Recipes: Python functions that return frozen values, found by name and changed by settings."""

import importlib
import inspect
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, get_args

from quipu.errors import UsageError

Recipe = TypeVar("Recipe")


def find_recipe(name: str, kind: type[Recipe]) -> Recipe:
    """The recipe that MODULE:FUNCTION returns. Raises UsageError if there is none."""
    module_name, colon, function_name = name.partition(":")
    if not colon:
        raise UsageError("recipe", got=name, allowed="MODULE:FUNCTION")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise UsageError("recipe module", got=error.name, allowed="an importable module") from None
    function = getattr(module, function_name, None)
    made = function() if callable(function) and _needs_nothing(function) else None
    if not isinstance(made, kind):
        raise UsageError(
            f"recipe {name}",
            got=f"no function that returns a {kind.__name__}",
            remedy=f"look into {module.__file__}",
        )
    return made


def _needs_nothing(function: Callable[..., object]) -> bool:
    given = inspect.signature(function).parameters.values()
    return all(
        p.default is not p.empty or p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in given
    )


def override(recipe: Recipe, settings: Sequence[str]) -> Recipe:
    """The recipe with `name=value` settings applied; dots reach into nested values."""
    changed = recipe
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise UsageError("recipe setting", got=setting, allowed="name=value")
        changed = _replaced(changed, name.split("."), text, name)
    return changed


def _replaced(value: Any, path: list[str], text: str, whole: str) -> Any:
    known = {field.name: field for field in fields(value)} if is_dataclass(value) else {}
    if path[0] not in known:
        raise UsageError("recipe setting", got=whole, allowed=", ".join(known))
    current = getattr(value, path[0])
    if len(path) > 1:
        return replace(value, **{path[0]: _replaced(current, path[1:], text, whole)})
    kind = Path if Path in get_args(known[path[0]].type) else type(current)
    if kind not in (int, float, str, Path):
        raise UsageError(
            "recipe setting", got=whole, allowed=f"a number or a string, not a {kind.__name__}"
        )
    try:
        # 2e6 is how people write a count of tokens.
        parsed = int(float(text)) if kind is int else kind(text)
    except ValueError:
        raise UsageError(f"recipe setting {whole}", got=text, allowed=kind.__name__) from None
    return replace(value, **{path[0]: parsed})
