"""One shard as it is written: constant memory, and the same bytes every time."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

# Suffix of each file of a shard, and its type; None: as wide as the vocabulary asks for.
SUFFIXES = {
    "tokens": None,
    "offsets": "<i8",
    "documents": "<i4",
    "packages": "<i4",
    "spans": "<i4",
    "span_offsets": "<i8",
}

Ids = npt.NDArray[np.integer[Any]]
Spans = npt.NDArray[np.int32]
NO_SPANS: Spans = np.zeros((0, 2), dtype=np.int32)


def token_type(vocab: int) -> np.dtype[Any]:
    """Type of token ids on disk: little-endian, 16 bits where they suffice."""
    return np.dtype("<u2" if vocab <= 2**16 else "<u4")


def shard_files(folder: Path, name: str) -> tuple[Path, ...]:
    """Where the files of a shard lie, in the order of SUFFIXES."""
    return tuple(folder / f"{name}.{suffix}" for suffix in SUFFIXES)


@dataclass(frozen=True, kw_only=True)
class ShardRecord:
    """What a manifest says of one shard."""

    name: str
    tokens: int
    documents: int
    sha256: dict[str, str]  # by suffix
    licences: dict[str, int]  # documents by licence

    def json(self) -> dict[str, object]:
        """The record as it stands in a manifest; licences are added up there."""
        return {
            "name": self.name,
            "tokens": self.tokens,
            "documents": self.documents,
            "sha256": self.sha256,
        }


class ShardWriter:
    """Writes the files of one shard; use as a context. Constant memory.

    `files` are the paths to write, in the order of SUFFIXES (`shard_files` where the shard shall
    lie, or the temporary names of a job). What makes shards count is the manifest, written last.
    """

    def __init__(self, files: Sequence[Path], vocab: int) -> None:
        self._token_type = token_type(vocab)
        self._vocab = vocab
        self._files = {suffix: _Hashed(path) for suffix, path in zip(SUFFIXES, files, strict=True)}
        self._tokens = self._documents = self._spans = 0
        self._licences: Counter[str] = Counter()
        self._write("offsets", [0])
        self._write("span_offsets", [0])

    def add(
        self, ids: Ids, *, number: int, package: int, spans: Spans = NO_SPANS, licence: str = ""
    ) -> None:
        """Append a document: `ids` of its whole text, byte ranges of its syntax spans [n, 2]."""
        assert len(ids) == 0 or (ids.min() >= 0 and ids.max() < self._vocab)
        self._files["tokens"].write(ids.astype(self._token_type).tobytes())
        self._write("spans", spans)
        self._tokens += len(ids)
        self._documents += 1
        self._spans += len(spans)
        self._licences[licence] += 1
        self._write("offsets", [self._tokens])
        self._write("documents", [number])
        self._write("packages", [package])
        self._write("span_offsets", [self._spans])

    def close(self, name: str) -> ShardRecord:
        """End the files; return what the manifest says of a shard of this name."""
        for file in self._files.values():
            file.close()
        return ShardRecord(
            name=name,
            tokens=self._tokens,
            documents=self._documents,
            sha256={suffix: file.sha256() for suffix, file in self._files.items()},
            licences=dict(sorted(self._licences.items())),
        )

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()

    def _write(self, suffix: str, values: npt.ArrayLike) -> None:
        self._files[suffix].write(np.asarray(values, dtype=SUFFIXES[suffix]).tobytes())


class _Hashed:
    """A file that is hashed while it is written."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._digest = hashlib.sha256()

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._digest.update(data)

    def close(self) -> None:
        self._file.close()

    def sha256(self) -> str:
        return self._digest.hexdigest()


def write_whole(path: Path, text: str) -> None:
    """Replace a file as a whole."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
