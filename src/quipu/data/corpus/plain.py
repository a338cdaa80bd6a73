"""Values as JSON, for fingerprints and for recipe.json."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path


def plain(value: object) -> object:
    """A value as JSON that is the same on every machine: of a path, only the last name."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {"value": type(value).__name__} | {
            one.name: plain(getattr(value, one.name)) for one in dataclasses.fields(value)
        }
    if isinstance(value, Path):
        return value.name
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, set | frozenset):
        return sorted(repr(one) for one in value)
    if callable(value) and hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    return value if value is None or isinstance(value, str | int | float) else repr(value)
