"""Files of texts that shards are made from: parquet with number, text, package and licence.

The same as lines of JSON, compressed (`.xz`), is how a corpus travels (data/corpus/packs.py).
"""

import json
import lzma
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quipu.errors import DataError

COLUMNS = ("number", "text", "package", "licence")
HELD_OUT = "held-out-"  # before the name of a group: what is kept for validation
PACKED = ".xz"
_BATCH = 64  # documents that are in memory at once


@dataclass(frozen=True, kw_only=True)
class Text:
    """One document that is to become tokens."""

    number: int  # row in documents.parquet
    text: str
    package: str
    licence: str


def group_of(path: Path) -> str:
    """Group of a file of texts: `held-out-python` of `held-out-python-00003.parquet`."""
    return path.stem.rpartition("-")[0]


def is_for_training(texts: Path) -> bool:
    """Whether a file of texts, or a shard, holds what is trained on."""
    return not texts.name.startswith(HELD_OUT)


def is_python(group: str) -> bool:
    """Whether the documents of a group are Python."""
    return group.removeprefix(HELD_OUT) in ("python", "exercises")


def read_texts(path: Path) -> Iterator[Text]:
    """Documents of one file, in order. Raises DataError if it is no such file."""
    if path.suffix == PACKED:
        yield from _unpacked(path)
        return
    for batch in batches(path, COLUMNS):
        for row in batch.to_pylist():
            row["licence"] = row["licence"] or ""
            yield Text(**row)


def _unpacked(path: Path) -> Iterator[Text]:
    try:
        with lzma.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                yield Text(**json.loads(line))
    except (OSError, EOFError, ValueError, TypeError, lzma.LZMAError) as error:
        raise _unreadable(path, error) from error


def batches(path: Path, columns: tuple[str, ...]) -> Iterator[Any]:
    """Record batches of some columns; at most a few documents at once."""
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            missing = [name for name in columns if name not in file.schema_arrow.names]
            if missing:
                raise _unreadable(path, f"no column {', '.join(missing)}")
            yield from file.iter_batches(_BATCH, columns=list(columns), use_threads=False)
    except (pyarrow.ArrowException, OSError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, got: object) -> DataError:
    return DataError(
        f"{path} cannot be read",
        got=got,
        allowed=f"{', '.join(COLUMNS)} of documents, parquet or packed",
        remedy="delete it and build the corpus again",
    )
