"""Was this trained on? Answers from a corpus folder."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from quipu.data.corpus.select import HELD_OUT, KEPT, TRAIN
from quipu.data.corpus.tables import rows
from quipu.data.corpus.texts import group_name
from quipu.data.tokens.manifest import MANIFEST
from quipu.data.tokens.reading import TokenShards
from quipu.errors import DataError

MOST = 100  # documents that an answer names
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_PROVENANCE = ("number", "id", "package", "version", "path", "licence", "language", "group")
_KNOWN = (*_PROVENANCE, "sha256", "bytes", "state", "split")


@dataclass(frozen=True, kw_only=True)
class Found:
    """One document that a question is about."""

    id: str
    match: str  # "id", "package", "file", "text", "text but for space": how it was found
    state: str  # "kept", or the reason why not
    split: str
    package: str
    version: str
    path: str
    licence: str
    language: str
    group: str
    sha256: str
    bytes: int
    number: int
    tokens: int | None = None  # None: in no shard
    shard: str = ""

    def json(self) -> dict[str, Any]:
        """As one JSON object."""
        return asdict(self)

    @property
    def trained_on(self) -> bool:
        """Whether a model trained on this corpus has seen it."""
        return self.state == KEPT and self.split == TRAIN


@dataclass(frozen=True, kw_only=True)
class Answer:
    """All documents that a question is about, or the first of them, and how many there are."""

    found: tuple[Found, ...]
    documents: int
    states: Mapping[str, int]  # documents by state and split


def why(corpus: Path, question: str) -> Answer:
    """Look for a document's id, a hash, a package, or a file of this machine by its content."""
    path = documents_of(corpus)
    for match, wanted in _questions(question):
        states: Counter[str] = Counter()
        found: list[Found] = []
        for row in rows(path, (*_KNOWN, "text_sha256")):
            if not wanted(row):
                continue
            kept = row["state"] == KEPT
            states[row["split"] if kept else row["state"].partition(":")[0].split(" of ")[0]] += 1
            if len(found) < MOST:
                fields = {name: row[name] for name in _KNOWN}
                found.append(Found(match=match, **fields))
        if found:
            placed = tuple(_placed(corpus, found))
            count = sum(states.values())
            return Answer(found=placed, documents=count, states=dict(sorted(states.items())))
    return Answer(found=(), documents=0, states={})


def documents_of(corpus: Path) -> Path:
    """documents.parquet of a corpus; DataError if there is none."""
    path = corpus / "documents.parquet"
    if not path.is_file():
        raise DataError(
            f"{corpus} holds no corpus",
            got="no documents.parquet",
            remedy="build it first: quipu data build MODULE:FUNCTION --to FOLDER",
        )
    return path


class _Is:
    """Whether one of some columns has a value."""

    def __init__(self, value: str, *columns: str) -> None:
        self.value = value
        self.columns = columns

    def __call__(self, row: Mapping[str, Any]) -> bool:
        return any(row[column] == self.value for column in self.columns)


def _questions(question: str) -> Iterator[tuple[str, _Is]]:
    """How a question may be meant, the most exact first."""
    if _SHA256.fullmatch(question):
        yield "file", _Is(question.lower(), "sha256")
        yield "text", _Is(question.lower(), "text_sha256")
        return
    yield "id", _Is(question, "id")
    yield "package", _Is(question, "package")
    for ecosystem in ("pypi", "npm", "debian", "folder", "git", "jsonl"):
        yield "package", _Is(f"{ecosystem}/{question}", "package")
    file = Path(question)
    if file.is_file():
        content = file.read_bytes()
        yield "file", _Is(hashlib.sha256(content).hexdigest(), "sha256")
        for text in _as_read(content):
            yield "text", _Is(hashlib.sha256(text.encode()).hexdigest(), "text_sha256")


def _as_read(content: bytes) -> Iterator[str]:
    """The text of a file as documents have it, where it is one."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return
    yield text.replace("\r\n", "\n").replace("\r", "\n")


def _placed(corpus: Path, found: list[Found]) -> Iterator[Found]:
    """With tokens and shard, where the tokens were built."""
    folder = corpus / "tokens"
    places: dict[int, tuple[str, int]] = {}
    if (folder / MANIFEST).is_file():
        shards = TokenShards.open(folder)
        # What was dropped has no split any more: it may be in either group.
        names = {group_name(one.group, split) for one in found for split in (TRAIN, HELD_OUT)}
        for name in sorted(names & {*shards.groups}):
            numbers = np.array([one.number for one in found], dtype=np.int32)
            for shard in shards.group(name).shards:
                here = np.flatnonzero(np.isin(shard.documents, numbers))
                lengths = np.diff(shard.offsets)[here]
                places |= {
                    int(number): (shard.name, int(length))
                    for number, length in zip(shard.documents[here], lengths, strict=True)
                }
    for one in found:
        shard_name, tokens = places.get(one.number, ("", None))
        yield Found(**{**one.json(), "tokens": tokens, "shard": shard_name})
