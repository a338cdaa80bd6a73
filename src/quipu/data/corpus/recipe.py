"""A corpus as one frozen value. Recipes are functions that return it (`quipu_recipes`)."""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quipu.data.corpus.plain import plain
from quipu.data.documents import Document, Step
from quipu.errors import DataError

Map = Callable[[Document], Document]


@dataclass(frozen=True, kw_only=True)
class CorpusRecipe:
    """Everything that a corpus depends on; what only concerns a machine is not in it.

    `packages` are `quipu.data.sources` packages; `near` is `quipu.data.dedup.settings.Near`, or
    None to remove exact copies only. Steps and maps run in their order on every document.
    """

    name: str
    packages: tuple[Any, ...]
    indexes: tuple[Path, ...] = ()  # local folders of wheels and sdists, asked first
    steps: tuple[Step | Map, ...] = ()
    near: Any = None
    cap_bytes: int = 20_000_000  # of one package in one group
    cap_share: float = 1.0  # of a group's bytes after duplicates went, for one package
    held_out: float = 0.01  # share of packages kept for validation, whole
    vocab: int = 16_384
    vocabulary_bytes: int = 100_000_000  # of texts that the vocabulary is trained on
    shard_tokens: int = 50_000_000
    benchmarks: Path | None = None  # folder of files that no document may repeat

    def __post_init__(self) -> None:
        for name, least, most in (
            ("cap_bytes", 1, None),
            ("cap_share", 0, 1),
            ("held_out", 0, 1),
            ("vocab", 259, 2**31),
            ("vocabulary_bytes", 1, None),
            ("shard_tokens", 1, None),
        ):
            value = getattr(self, name)
            if value < least or (most is not None and value > most):
                allowed = f"{least} or more" if most is None else f"{least} to {most}"
                raise DataError(f"corpus recipe: {name}", got=value, allowed=allowed)

    def as_json(self) -> dict[str, Any]:
        """The recipe as plain values, without the machine's paths."""
        return {one.name: plain(getattr(self, one.name)) for one in dataclasses.fields(self)} | {
            "format": 1
        }

    def fingerprint(self) -> str:
        """SHA-256 of that."""
        return hashlib.sha256(json.dumps(self.as_json(), sort_keys=True).encode()).hexdigest()
