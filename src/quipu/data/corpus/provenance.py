"""Was this trained on? Answers from a corpus folder."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from quipu.data import languages
from quipu.data.corpus.manifest import kind_of
from quipu.data.corpus.select import HELD_OUT, KEPT, TRAIN
from quipu.data.corpus.tables import column_of
from quipu.data.corpus.texts import group_name, texts_of
from quipu.data.dedup.shingles import shingles_of
from quipu.data.dedup.verify import jaccard
from quipu.data.sources.packages import ECOSYSTEMS
from quipu.data.tokens.manifest import MANIFEST
from quipu.data.tokens.reading import TokenShards
from quipu.errors import DataError

MOST = 100  # documents that an answer names
MOST_ALIKE = 3
ALIKE = 0.5  # least similarity of what is worth naming
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_PROVENANCE = ("number", "id", "package", "version", "path", "licence", "language", "group")
_KNOWN = (*_PROVENANCE, "sha256", "bytes", "state", "split")


@dataclass(frozen=True, kw_only=True)
class Found:
    """One document that a question is about."""

    id: str
    match: str  # how it was found: "id", "package", "file", "text", "0.93 alike"
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
    """Look for a document's id, a hash, a package, or a file of this machine by its content.

    For a file whose content is nowhere, the answer is what is most like it, if anything is.
    """
    table = pq.read_table(documents_of(corpus), columns=[*_KNOWN, "text_sha256", "part", "row"])
    for match, value, column in _questions(question):
        found = table.filter(pc.equal(table.column(column), value))
        if len(found):
            return _answer(corpus, found, [match] * len(found))
    if Path(question).is_file():
        for text in _as_read(Path(question).read_bytes()):
            numbers = nearest(corpus / "packages", table, text, Path(question).name)
            matches = [f"{similarity:.2f} alike" for _, similarity in numbers]
            alike = pa.array([number for number, _ in numbers], pa.int32())
            return _answer(corpus, table.take(alike), matches)
    return Answer(found=(), documents=0, states={})


def _answer(corpus: Path, table: pa.Table, matches: Sequence[str]) -> Answer:
    split, state = column_of(table, "split"), column_of(table, "state")
    states = Counter(one or kind_of(other) for one, other in zip(split, state, strict=True))
    shown = table.slice(0, MOST).select(_KNOWN).to_pylist()
    found = [Found(match=match, **row) for row, match in zip(shown, matches, strict=False)]
    return Answer(
        found=tuple(_placed(corpus, found)),
        documents=len(table),
        states=dict(sorted(states.items())),
    )


def nearest(packages: Path, table: pa.Table, text: str, name: str) -> list[tuple[int, float]]:
    """Numbers of the documents most like a text, with their similarity, the most alike first.

    Only prepared documents of about its size and of its language are read.
    """
    size = len(text.encode())
    language = languages.language_of(name, text)
    like: dict[str, dict[int, int]] = {}
    near = table.filter(
        pc.and_(
            pc.and_(pc.greater_equal(table["row"], 0), pc.equal(table["language"], language)),
            pc.and_(
                pc.greater_equal(table["bytes"], int(ALIKE * size / 2)),
                pc.less_equal(table["bytes"], int(2 * size / ALIKE)),
            ),
        )
    )
    for row in near.select(["number", "part", "row"]).to_pylist():
        like.setdefault(row["part"], {})[row["row"]] = row["number"]
    sought = shingles_of(text)
    found: list[tuple[int, float]] = []
    for part, numbers in sorted(like.items()):
        for place, other in texts_of(packages / part, set(numbers)):
            similarity = jaccard(sought, shingles_of(other))
            if similarity >= ALIKE:
                found.append((numbers[place], similarity))
    return sorted(found, key=lambda one: (-one[1], one[0]))[:MOST_ALIKE]


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


def _questions(question: str) -> Iterator[tuple[str, str, str]]:
    """How a question may be meant, the most exact first: what matches, value, column."""
    if _SHA256.fullmatch(question):
        yield "file", question.lower(), "sha256"
        yield "text", question.lower(), "text_sha256"
        return
    yield "id", question, "id"
    yield "package", question, "package"
    for ecosystem in ECOSYSTEMS:
        yield "package", f"{ecosystem}/{question}", "package"
    file = Path(question)
    if file.is_file():
        content = file.read_bytes()
        yield "file", hashlib.sha256(content).hexdigest(), "sha256"
        for text in _as_read(content):
            yield "text", hashlib.sha256(text.encode()).hexdigest(), "text_sha256"


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
