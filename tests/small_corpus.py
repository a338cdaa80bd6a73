"""A tiny corpus of made-up packages, its recipe, and what is compared of two builds."""

import os
import signal
from dataclasses import dataclass, replace
from pathlib import Path

from quipu.data.corpus.recipe import CorpusRecipe
from quipu.data.documents import Document
from quipu.data.sources.packages import Package
from quipu.data.tokens.sampling import Sample
from small import source

SOURCES = "QUIPU_TEST_SOURCES"  # environment: folder of the packages, for recipe()
NAMES = ("alpha", "beta", "gamma", "delta", "omega")


@dataclass(frozen=True, kw_only=True)
class NoSecrets:
    """A step of the tests."""

    word: str = "forbidden"

    def __call__(self, document: Document) -> str | None:
        return f"word: {self.word}" if self.word in document.text else None


@dataclass(frozen=True, kw_only=True)
class Longer:
    """A map of the tests: longer texts are better."""

    def __call__(self, document: Document) -> Document:
        return replace(document, quality=float(len(document.text)))


@dataclass(frozen=True, kw_only=True)
class Deadly:
    """A step that ends its process, as a kernel short of memory would."""

    package: str

    def __call__(self, document: Document) -> str | None:
        if document.package == self.package:
            os.kill(os.getpid(), signal.SIGKILL)
        return None


def write_sources(folder: Path) -> Path:
    """Five packages: Python in import order, a README, a copy, a near copy, what is no document."""
    for number, name in enumerate(NAMES):
        package = folder / name
        package.mkdir(parents=True)
        for module in range(3):
            # Each imports the next.
            imported = f"from .m{module + 1} import *\n\n" if module < 2 else ""
            (package / f"m{module}.py").write_text(imported + source(10 * number + module + 3))
        (package / "README.md").write_text(f"# {name}\n\nAll about {name}, " + "word " * 40 + "\n")
        (package / "data.bin").write_bytes(b"\xff\x00")
    (folder / "beta" / "copy.py").write_text((folder / "alpha" / "m1.py").read_text())
    (folder / "gamma" / "secret.py").write_text("forbidden = 1\n" * 20)
    near = source(3).replace("Add 3 to", "Adds 3 to", 1)
    (folder / "delta" / "near.py").write_text(near)
    return folder


def recipe_of(folder: Path, **changes: object) -> CorpusRecipe:
    """The recipe over packages in a folder."""
    settings = {
        "name": "tiny",
        "packages": tuple(
            Package(ecosystem="folder", name=name, version="1", place=str(folder / name))
            for name in NAMES
        ),
        "steps": (NoSecrets(), Longer()),
        "held_out": 0.3,
        "vocab": 320,
        "shard_tokens": 600,
        "sample": Sample(bytes=4000),
    }
    return CorpusRecipe(**(settings | changes))


def recipe() -> CorpusRecipe:
    """The same, where the environment says."""
    return recipe_of(Path(os.environ[SOURCES]))


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a corpus by path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
