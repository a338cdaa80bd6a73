"""The texts of what stays, in the order in which they become tokens."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from quipu.data.corpus import jobs
from quipu.data.corpus.jobs import Job
from quipu.data.corpus.select import HELD_OUT, KEPT
from quipu.data.corpus.tables import TEXTS, Writer, rows
from quipu.data.tokens.texts import HELD_OUT as BEFORE_HELD_OUT

VERSION = 1
_COLUMNS = (
    "number",
    "group",
    "split",
    "package",
    "bytes",
    "state",
    "part",
    "row",
    "text_sha256",
    "licence",
)
Place = tuple[int, str, int, str, str]  # number, part, row there, package, licence


@dataclass(kw_only=True)
class _Stretch:
    """Neighbours in documents.parquet whose texts come into one file."""

    name: str
    places: list[Place]
    bytes: int
    digest: Any


def group_name(group: str, split: str) -> str:
    """What shards of a group are called; those held out are a group of their own."""
    return f"{BEFORE_HELD_OUT}{group}" if split == HELD_OUT else group


def text_jobs(folder: Path, file_bytes: int) -> Iterator[Job]:
    """One job for each file of texts. Files of one package stay together if they fit a file."""
    count: dict[str, int] = {}
    for stretch in _stretches(folder / "documents.parquet", file_bytes):
        number = count[stretch.name] = count.get(stretch.name, -1) + 1
        name = f"{stretch.name}-{number:05}"
        parts = sorted({part for _, part, *_ in stretch.places})
        files = [folder / "packages" / part for part in parts]
        yield jobs.make(
            f"texts {name}",
            write_texts,
            (folder / "packages", tuple(stretch.places)),
            folder / "texts" / f"{name}.parquet",
            # Of the parts only these documents matter, not what else changed in them.
            identity=stretch.digest.hexdigest(),
            version=VERSION,
            size=sum(file.stat().st_size for file in files),
        )


def _stretches(documents: Path, file_bytes: int) -> Iterator[_Stretch]:
    current: _Stretch | None = None
    for package in _packages(documents):
        for piece in _pieces(package, file_bytes):
            if (
                current is not None
                and current.name == piece.name
                and current.bytes + piece.bytes <= file_bytes
            ):
                current.places += piece.places
                current.bytes += piece.bytes
                current.digest.update(piece.digest.digest())
                continue
            if current is not None:
                yield current
            current = piece
    if current is not None:
        yield current


def _packages(documents: Path) -> Iterator[list[dict[str, Any]]]:
    """Rows of what is kept, one group's files of one package at a time."""
    found: list[dict[str, Any]] = []
    for row in rows(documents, _COLUMNS):
        if row["state"] != KEPT:
            continue
        if found and any(found[0][key] != row[key] for key in ("group", "split", "package")):
            yield found
            found = []
        found.append(row)
    if found:
        yield found


def _pieces(package: list[dict[str, Any]], file_bytes: int) -> Iterator[_Stretch]:
    """A package's files, cut where they are more than a file of texts takes."""
    piece: _Stretch | None = None
    for row in package:
        if piece is None or piece.bytes + row["bytes"] > file_bytes:
            if piece is not None:
                yield piece
            group = group_name(row["group"], row["split"])
            piece = _Stretch(name=group, places=[], bytes=0, digest=sha256())
        # Interned: names repeat from row to row, and all rows are in memory at once.
        part, name, licence = (sys.intern(row[key]) for key in ("part", "package", "licence"))
        piece.places.append((row["number"], part, row["row"], name, licence))
        piece.bytes += row["bytes"]
        told = (row["number"], row["package"], row["licence"], row["text_sha256"])
        piece.digest.update(repr(told).encode())
    if piece is not None:
        yield piece


def write_texts(output: Path, packages: Path, places: Sequence[Place]) -> dict[str, int]:
    """Collect the texts at `places` from the prepared packages."""
    wanted: dict[str, set[int]] = {}
    for _, part, row, *_ in places:
        wanted.setdefault(part, set()).add(row)
    texts: dict[tuple[str, int], str] = {}
    for part, part_rows in wanted.items():
        texts |= {(part, row): text for row, text in texts_of(packages / part, part_rows)}
    size = 0
    with Writer(output, TEXTS) as file:
        for number, part, row, package, licence in places:
            text = texts.pop((part, row))
            size += len(text.encode())
            file.add({"number": number, "package": package, "licence": licence, "text": text})
    return {"documents": len(places), "bytes": size}


def texts_of(path: Path, wanted: set[int]) -> Iterator[tuple[int, str]]:
    """Texts of some rows of a prepared package, with the row; a row group in memory at a time."""
    first = 0
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            following = first + file.metadata.row_group(group).num_rows
            here = sorted(row for row in wanted if first <= row < following)
            if here:
                column = file.read_row_group(group, columns=["text"], use_threads=False)["text"]
                for row in here:
                    yield row, column[row - first].as_py()
            first = following
