"""Parquet parts as numbered documents, wherever the files lie and in whatever order they come.

Parts are known by the hash of their bytes and sorted by it; documents are numbered through all of
them. Nothing that is decided depends on the numbers.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quipu.data.corpus.jobs import digest_of
from quipu.data.dedup.bands import Numbers
from quipu.errors import DataError

_BATCH = 256  # documents read at once
MOST = 2**32  # documents: two numbers make one uint64


@dataclass(frozen=True, kw_only=True)
class Part:
    """A parquet file of documents, and the number of its first one."""

    path: Path
    digest: str  # of its bytes
    documents: int
    first: int

    @property
    def name(self) -> str:
        """What files made from it are called."""
        return f"{self.path.stem}-{self.digest[:16]}"


def numbered(paths: Sequence[Path]) -> list[Part]:
    """The parts that are not empty, in the order of their contents' hashes."""
    found = sorted((_digest(path), path) for path in paths)
    parts: list[Part] = []
    first = 0
    for digest, path in found:
        documents = _file(path).metadata.num_rows
        if documents and parts and parts[-1].digest == digest:
            raise DataError(f"two parts with the same documents: {parts[-1].path} and {path}")
        if documents:
            parts.append(Part(path=path, digest=digest, documents=documents, first=first))
            first += documents
    if first >= MOST:
        raise DataError("too many documents", got=first, allowed=f"below {MOST}")
    return parts


def documents(part: Part, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """These columns of each document, in order; a few documents at a time in memory."""
    for batch in _batches(part, columns):
        yield from zip(*(batch[column].to_pylist() for column in columns), strict=True)


def ids(parts: Sequence[Part], numbers: Numbers) -> dict[int, str]:
    """Ids of documents by their numbers, which are sorted and unique."""
    found: dict[int, str] = {}
    for part in parts:
        start, end = np.searchsorted(numbers, (part.first, part.first + part.documents))
        if start == end:
            continue
        wanted, seen = numbers[start:end] - part.first, 0
        for batch in _batches(part, ["id"], 1 << 14):
            low, high = np.searchsorted(wanted, (seen, seen + len(batch)))
            rows = wanted[low:high]
            values = batch["id"].take(_array(rows - seen)).to_pylist()
            found.update(zip((rows + part.first).tolist(), values, strict=True))
            seen += len(batch)
    return found


def _array(numbers: npt.NDArray[np.int64]) -> Any:
    import pyarrow

    return pyarrow.array(numbers)


def _batches(part: Part, columns: Sequence[str], size: int = _BATCH) -> Iterator[Any]:
    file = _file(part.path)
    missing = sorted(set(columns) - set(file.schema_arrow.names))
    if missing:
        raise DataError(f"{part.path}: column {', '.join(missing)} is missing")
    for batch in file.iter_batches(batch_size=size, columns=list(columns)):
        for column in columns:
            if batch[column].null_count:
                raise DataError(f"{part.path}: column {column} has empty values")
        yield batch


def _file(path: Path) -> Any:
    """An open parquet file."""
    import pyarrow
    from pyarrow import parquet

    try:
        return parquet.ParquetFile(path)
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError(f"{path}: cannot be read as parquet", got=error) from None


def _digest(path: Path) -> str:
    try:
        return digest_of(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read", got=error.strerror) from None
