"""Recipes: Python functions that return frozen values, found by name and changed by settings."""

import importlib
import inspect
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, get_args

from quipu.errors import UsageError

Recipe = TypeVar("Recipe")


def find_recipe(
    name: str, kinds: type[Recipe] | tuple[type[Recipe], ...], settings: Sequence[str] = ()
) -> tuple[Recipe, list[str]]:
    """The recipe that MODULE:FUNCTION returns, and the settings that were not its arguments.

    Raises UsageError if there is none.
    """
    module_name, colon, function_name = name.partition(":")
    if not colon:
        raise UsageError("recipe", got=name, allowed="MODULE:FUNCTION")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise UsageError("recipe module", got=error.name, allowed="an importable module") from None
    function = getattr(module, function_name, None)
    arguments, left = _arguments(function, settings) if callable(function) else ({}, [])
    made = function(**arguments) if callable(function) and _has_all(function, arguments) else None
    if not isinstance(made, kinds):
        wanted = [kind.__name__ for kind in (kinds if isinstance(kinds, tuple) else (kinds,))]
        raise UsageError(
            f"recipe {name}",
            got=f"no function that returns a {' or '.join(wanted)}" + _missing(function, arguments),
            remedy=f"look into {module.__file__}",
        )
    return made, left


def _arguments(
    function: Callable[..., object], settings: Sequence[str]
) -> tuple[dict[str, Any], list[str]]:
    """Settings that name parameters of the function, read as these are annotated; and the rest."""
    parameters = inspect.signature(function).parameters
    arguments, left = {}, []
    for setting in settings:
        name, _, text = setting.partition("=")
        if name not in parameters:
            left.append(setting)
            continue
        kind = parameters[name].annotation
        arguments[name] = _parsed(kind if kind in (int, float, Path) else str, text, name)
    return arguments, left


def _has_all(function: Callable[..., object], arguments: dict[str, Any]) -> bool:
    given = inspect.signature(function).parameters.values()
    return all(
        p.default is not p.empty
        or p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        or p.name in arguments
        for p in given
    )


def _missing(function: object, arguments: dict[str, Any]) -> str:
    if not callable(function) or _has_all(function, arguments):
        return ""
    wanted = [
        p.name
        for p in inspect.signature(function).parameters.values()
        if p.default is p.empty and p.name not in arguments
    ]
    return f" without {', '.join(f'{name}=' for name in wanted)}"


def override(recipe: Recipe, settings: Sequence[str]) -> Recipe:
    """The recipe with `name=value` settings applied; dots reach into nested values.

    In a chain a setting reaches the stage that it begins with, or else all stages.
    """
    changed = recipe
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise UsageError("recipe setting", got=setting, allowed="name=value")
        changed = _set(changed, name.split("."), text, name)
    return changed


def _set(recipe: Any, path: list[str], text: str, whole: str) -> Any:
    stages = getattr(recipe, "stages", None)
    if stages is None:
        return _replaced(recipe, path, text, whole)
    named = [stage.name for stage in stages]
    chosen, inside = ([path[0]], path[1:]) if path[0] in named else (named, path)
    if not inside:
        raise UsageError("recipe setting", got=whole, allowed=f"{whole}.name=value")
    return replace(
        recipe,
        stages=tuple(
            _replaced(stage, inside, text, whole) if stage.name in chosen else stage
            for stage in stages
        ),
    )


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
    return replace(value, **{path[0]: _parsed(kind, text, whole)})


def _parsed(kind: type, text: str, whole: str) -> Any:
    try:
        # 2e6 is how people write a count of tokens.
        return int(float(text)) if kind is int else kind(text)
    except ValueError:
        raise UsageError(f"recipe setting {whole}", got=text, allowed=kind.__name__) from None
