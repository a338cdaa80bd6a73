"""Source files as documents, and the steps that drop some of them.

A step is a value `document -> reason to drop | None`; nothing else to inherit. Those of corpora are
in `quipu.data.steps`. The folder source reads files in sorted order, so the same files give the
same documents on any machine.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Document:
    """A text with a name that is stable over machines, and where it comes from.

    A packaged file's id is `ECOSYSTEM/PACKAGE/VERSION/PATH`; a file of a plain folder has the path
    below that folder. What a source cannot know stays empty.
    """

    id: str
    text: str
    path: str = ""  # inside its package, with forward slashes
    package: str = ""  # ECOSYSTEM/NAME, such as pypi/numpy
    version: str = ""
    licence: str = ""  # SPDX expression
    language: str = ""  # one of data.languages
    group: str = ""  # what a mixture weighs: a language, text, prose, exercises
    sha256: str = ""  # of the file's bytes as they were packaged
    quality: float = 0.0  # higher is better; within one group only


Step = Callable[[Document], str | None]
Map = Callable[[Document], Document]


@dataclass(frozen=True, kw_only=True)
class PathHasNo:
    """Drops documents with any of these names on their path (tests, vendored code)."""

    names: tuple[str, ...]

    def __call__(self, document: Document) -> str | None:
        parts = document.id.lower().removesuffix(".py").split("/")
        return next((f"path: {name}" for name in self.names if name in parts), None)


@dataclass(frozen=True, kw_only=True)
class SaneLines:
    """Drops texts whose lines no person wrote: too short a file, too long a line."""

    shortest: int = 200  # characters
    longest_line: int = 400  # characters

    def __call__(self, document: Document) -> str | None:
        if len(document.text) < self.shortest:
            return "too short"
        if max(map(len, document.text.splitlines())) > self.longest_line:
            return "line too long"
        return None


@dataclass(frozen=True, kw_only=True)
class NotTables:
    """Drops data in the clothes of code: too few letters, as in character tables."""

    least_letters: float = 0.45

    def __call__(self, document: Document) -> str | None:
        visible = [c for c in document.text if not c.isspace()]
        letters = sum(c.isalpha() for c in visible)
        return None if letters >= self.least_letters * len(visible) else "few letters"


@dataclass(frozen=True, kw_only=True)
class Folder:
    """Documents of all files below `root` with this suffix that pass every step.

    Ids are `name/path`. Files that are not UTF-8 are dropped too.
    """

    name: str
    root: Path
    suffix: str = ".py"
    steps: Sequence[Step] = field(default_factory=tuple)

    def documents(self, dropped: Counter[str]) -> Iterator[Document]:
        """Kept documents, sorted by id; reasons of the others are counted into `dropped`."""
        for path in sorted(self.root.rglob(f"*{self.suffix}")):
            if not path.is_file():
                continue
            try:
                text = path.read_bytes().decode("utf-8")
            except UnicodeDecodeError:
                dropped["not UTF-8"] += 1
                continue
            document = Document(
                id=f"{self.name}/{path.relative_to(self.root).as_posix()}", text=text
            )
            reason = next(filter(None, (step(document) for step in self.steps)), None)
            if reason is not None:
                dropped[reason] += 1
                continue
            yield document


def gather(folders: Sequence[Folder], dropped: Counter[str]) -> Iterator[Document]:
    """Documents of several folders; the second of two equal texts is dropped."""
    seen: set[bytes] = set()
    for folder in folders:
        for document in folder.documents(dropped):
            digest = hashlib.sha256(document.text.encode()).digest()
            if digest in seen:
                dropped["exact copy"] += 1
                continue
            seen.add(digest)
            yield document


def held_out(document: Document, share: float) -> bool:
    """Whether a document belongs to the validation set; depends on its id alone."""
    digest = hashlib.sha256(document.id.encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64
