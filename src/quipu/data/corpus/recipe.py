"""A corpus as one frozen value. Recipes are functions that return it (`quipu_recipes`)."""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from quipu.data.corpus.jobs import write_whole
from quipu.data.corpus.plain import plain
from quipu.data.dedup.settings import Near
from quipu.data.documents import Document
from quipu.data.sources.packages import Package
from quipu.data.tokens.sampling import Sample
from quipu.errors import DataError

Transform = Callable[[Document], "Document | str | None"]  # a Step or a Map


@dataclass(frozen=True, kw_only=True)
class CorpusRecipe:
    """Everything that a corpus depends on; what only concerns a machine is not in it.

    Steps and maps run in their order on every document, on those of plain prose their own.
    """

    name: str
    packages: tuple[Package, ...]
    indexes: tuple[Path, ...] = ()  # local folders of wheels and sdists, asked first
    steps: tuple[Transform, ...] = ()
    prose_steps: tuple[Transform, ...] = ()
    near: Near | None = Near()  # None: only equal texts are duplicates
    cap_bytes: int = 20_000_000  # of one package in one group
    cap_share: float = 1.0  # of a group's bytes after duplicates went, for one package
    held_out: float = 0.01  # share of packages kept for validation, whole
    held_out_by: Literal["package", "file"] = "package"  # file: where one package is all there is
    vocab: int = 16_384
    sample: Sample = Sample()  # of the texts, that the vocabulary is trained on
    tokenizer: Path | None = None  # folder of a model's own, instead of training a vocabulary
    shard_tokens: int = 20_000_000  # about so many; a shard's texts are in memory at once
    benchmarks: Path | None = None  # folder of files that no document may repeat
    exercises: Path | None = None  # folder of sets that `quipu data exercises` made

    def __post_init__(self) -> None:
        for name, least, most in (
            ("cap_bytes", 1, None),
            ("cap_share", 0, 1),
            ("held_out", 0, 1),
            ("vocab", 259, 2**31),
            ("shard_tokens", 1, None),
        ):
            value = getattr(self, name)
            if value < least or (most is not None and value > most):
                allowed = f"{least} or more" if most is None else f"{least} to {most}"
                raise DataError(f"corpus recipe: {name}", got=value, allowed=allowed)
        if self.held_out_by not in ("package", "file"):
            raise DataError(
                "corpus recipe: held_out_by", got=self.held_out_by, allowed="package or file"
            )

    def as_json(self) -> dict[str, Any]:
        """The recipe as plain values, without the machine's paths."""
        found = {one.name: plain(getattr(self, one.name)) for one in dataclasses.fields(self)}
        packages = [dataclasses.replace(package, place="") for package in self.packages]
        # Where to look for packages first is the machine's business; hashes tell what came.
        del found["indexes"]
        # Recipes that do not ask for these are what they were before there was anything to ask for.
        for name, unasked in (("held_out_by", "package"), ("tokenizer", None)):
            if found[name] == unasked:
                del found[name]
        told: list[Any] = [plain(package) for package in packages]
        for package in told:
            if not package["others"]:
                del package["others"]
        return found | {"packages": told, "format": 1}

    def fingerprint(self) -> str:
        """SHA-256 of that."""
        return hashlib.sha256(json.dumps(self.as_json(), sort_keys=True).encode()).hexdigest()


def write_recipe(recipe: CorpusRecipe, folder: Path) -> None:
    """Leave the recipe in the folder of its corpus, for people to read."""
    told = recipe.as_json() | {"fingerprint": recipe.fingerprint()}
    write_whole(folder / "recipe.json", json.dumps(told, indent=1, ensure_ascii=False) + "\n")
