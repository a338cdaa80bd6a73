"""Typed look-ups in the key-value part of a checkpoint: config.json, params.json, GGUF metadata."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from quipu.errors import CheckpointError


@dataclass(frozen=True)
class Settings:
    """Values by key, and the file that messages should name. A null value counts as absent."""

    where: str
    values: Mapping[str, object]

    def has(self, key: str) -> bool:
        """Whether a value is there."""
        return self.values.get(key) is not None

    def count(self, key: str, default: int | None = None) -> int:
        """A whole number of 1 or more. Raises CheckpointError if absent without default."""
        value = self._get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise CheckpointError(f"{self.where}: {key}", got=value, allowed="whole number above 0")
        return value

    def real(self, key: str, default: float | None = None) -> float:
        """A positive number. Raises CheckpointError if absent without default."""
        value = self._get(key, default)
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not 0 < value < math.inf
        ):
            raise CheckpointError(f"{self.where}: {key}", got=value, allowed="number above 0")
        return float(value)

    def maybe_real(self, key: str) -> float | None:
        """A positive number, or None if absent."""
        return self.real(key) if self.has(key) else None

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self._get(key, default)
        if not isinstance(value, bool):
            raise CheckpointError(f"{self.where}: {key}", got=value, allowed="true or false")
        return value

    def text(self, key: str, default: str | None = None) -> str:
        """A string. Raises CheckpointError if absent without default."""
        value = self._get(key, default)
        if not isinstance(value, str):
            raise CheckpointError(f"{self.where}: {key}", got=value, allowed="text")
        return value

    def inner(self, key: str) -> "Settings | None":
        """The settings nested under `key`, or None if there are none."""
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise CheckpointError(f"{self.where}: {key}", got=value, allowed="an object")
        return Settings(f"{self.where}: {key}", value)

    def require(self, key: str, allowed: object) -> None:
        """Raise CheckpointError if `key` is present with another value than `allowed`."""
        if self.has(key) and self.values[key] != allowed:
            raise CheckpointError(
                f"{self.where}: {key} is not supported",
                got=self.values[key],
                allowed=allowed,
                remedy="only plain Llama-architecture models can be read",
            )

    def agree(self, key: str, actual: int) -> None:
        """Raise CheckpointError if `key` is present and denies what the weights show."""
        if self.has(key) and self.values[key] != actual:
            raise CheckpointError(
                f"{self.where}: {key} does not fit the weights",
                got=self.values[key],
                allowed=actual,
                remedy="use the file that belongs to these weights",
            )

    def _get(self, key: str, default: object) -> object:
        value = self.values.get(key)
        if value is None:
            value = default
        if value is None:
            raise CheckpointError(
                f"{self.where}: {key} is missing", remedy="fetch the file again or add the value"
            )
        return value
