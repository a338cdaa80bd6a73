"""Token shards as arrays that are mapped, not read."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quipu.data.tokens.manifest import MANIFEST, Manifest, sha256_of
from quipu.data.tokens.writing import SUFFIXES, Ids, ShardRecord, Spans, token_type
from quipu.errors import DataError
from quipu.text.tokenizer import Tokenizer


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One shard, mapped."""

    name: str
    tokens: Ids  # of all documents, end to end
    offsets: npt.NDArray[np.int64]  # [documents + 1] into tokens
    documents: npt.NDArray[np.int32]  # numbers in documents.parquet
    packages: npt.NDArray[np.int32]  # equal for files of one package
    spans: Spans  # [n, 2] byte ranges of a document's UTF-8 text
    span_offsets: npt.NDArray[np.int64]  # [documents + 1] into spans

    def ids(self, index: int) -> Ids:
        """Token ids of a document: `Tokenizer.encode` of its text."""
        return self.tokens[self.offsets[index] : self.offsets[index + 1]]

    def spans_of(self, index: int) -> Spans:
        """Byte ranges of a document's syntax spans, sorted."""
        return self.spans[self.span_offsets[index] : self.span_offsets[index + 1]]


@dataclass(frozen=True)
class Group:
    """All shards of one group. A document's index counts through them; D documents in all."""

    name: str
    shards: tuple[Shard, ...]
    dropped_numbers: tuple[int, ...] = ()

    @cached_property
    def first_of_shard(self) -> npt.NDArray[np.int64]:
        """Index of the first document of each shard, and D: [shards + 1]."""
        counts = [len(shard.documents) for shard in self.shards]
        return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)

    @cached_property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each document: [D]."""
        return _joined([np.diff(shard.offsets) for shard in self.shards], np.int64)

    @cached_property
    def documents(self) -> npt.NDArray[np.int32]:
        """Number of each document in documents.parquet: [D]."""
        return _joined([shard.documents for shard in self.shards], np.int32)

    @cached_property
    def packages(self) -> npt.NDArray[np.int32]:
        """Package of each document: the number of the package's first document here. [D]"""
        return _joined([shard.packages for shard in self.shards], np.int32)

    @cached_property
    def dropped(self) -> npt.NDArray[np.bool_]:
        """Whether each document is in the drop table: [D]."""
        return np.isin(self.documents, self.dropped_numbers)

    def place(self, index: int) -> tuple[Shard, int]:
        """Shard of a document and its index there."""
        shard = int(np.searchsorted(self.first_of_shard, index, side="right")) - 1
        return self.shards[shard], index - int(self.first_of_shard[shard])

    def ids(self, index: int) -> Ids:
        """Token ids of a document, as they lie on disk (uint16 or uint32)."""
        shard, inside = self.place(index)
        return shard.ids(inside)

    def spans_of(self, index: int) -> Spans:
        """Byte ranges (start, end) of a document's syntax spans in its UTF-8 text: [n, 2]."""
        shard, inside = self.place(index)
        return shard.spans_of(inside)


class TokenShards:
    """A folder of token shards. Pickles as the folder's name, so workers map the files anew."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest
        self._groups: dict[str, Group] = {}

    @staticmethod
    def open(folder: Path, tokenizer: Tokenizer | None = None) -> "TokenShards":
        """Read the manifest and check that every file is there and has the size it must have.

        Raises DataError, also if `tokenizer` is given and is not the one that wrote the shards.
        """
        manifest = Manifest.read(folder)
        if tokenizer and tokenizer.fingerprint != manifest.tokenizer_fingerprint:
            raise DataError(
                f"{folder} was written with another tokenizer",
                got=f"fingerprint {tokenizer.fingerprint[:16]}",
                allowed=manifest.tokenizer_fingerprint[:16],
                remedy="use the tokenizer.model that lies beside the shards",
            )
        for shards in manifest.groups.values():
            for record in shards:
                _check_sizes(folder, record, manifest.vocab)
        return TokenShards(folder, manifest)

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups, sorted."""
        return tuple(sorted(self.manifest.groups))

    def group(self, name: str) -> Group:
        """All shards of a group, mapped. Raises DataError if there is no such group."""
        if name not in self._groups:
            records = self.manifest.groups.get(name)
            if records is None:
                raise DataError(
                    f"{self.folder} has no group {name}",
                    got=name,
                    allowed=", ".join(self.groups) or "none: no shards were written",
                )
            shards = tuple(_map(self.folder, record, self.manifest.vocab) for record in records)
            self._groups[name] = Group(name, shards, self.manifest.dropped)
        return self._groups[name]

    def document(self, group: str, index: int) -> Ids:
        """Token ids of one document."""
        return self.group(group).ids(index)

    def verify(self) -> None:
        """Read every file: hashes, offsets, ids. Raises DataError naming the first bad file."""
        for name in self.groups:
            for record in self.manifest.groups[name]:
                for suffix, expected in record.sha256.items():
                    _check_hash(self.folder / f"{record.name}.{suffix}", expected)
            for shard in self.group(name).shards:
                _check_content(self.folder, shard, self.manifest.vocab)

    def __reduce__(self) -> tuple[Any, ...]:
        return TokenShards.open, (self.folder,)


def _joined(parts: list[npt.NDArray[Any]], kind: type) -> npt.NDArray[Any]:
    return np.concatenate([np.zeros(0, dtype=kind), *parts]).astype(kind)


def _types(vocab: int) -> Mapping[str, np.dtype[Any]]:
    return {
        suffix: np.dtype(kind) if kind else token_type(vocab) for suffix, kind in SUFFIXES.items()
    }


def _map(folder: Path, record: ShardRecord, vocab: int) -> Shard:
    arrays: dict[str, Any] = {}
    for suffix, kind in _types(vocab).items():
        path = folder / f"{record.name}.{suffix}"
        size = path.stat().st_size
        empty = np.zeros(0, dtype=kind)  # nothing cannot be mapped
        arrays[suffix] = np.memmap(path, dtype=kind, mode="r") if size else empty
    arrays["spans"] = arrays["spans"].reshape(-1, 2)
    return Shard(name=record.name, **arrays)


def _check_sizes(folder: Path, record: ShardRecord, vocab: int) -> None:
    items = {"tokens": record.tokens, "documents": record.documents, "packages": record.documents}
    items |= {"offsets": record.documents + 1, "span_offsets": record.documents + 1}
    for suffix, kind in _types(vocab).items():
        path = folder / f"{record.name}.{suffix}"
        try:
            size = path.stat().st_size
        except OSError as error:
            raise _damaged(path, error.strerror, f"a file that {MANIFEST} names") from error
        if suffix in items and size != items[suffix] * kind.itemsize:
            expected = f"{items[suffix] * kind.itemsize} bytes, as {MANIFEST} says"
            raise _damaged(path, f"{size} bytes", expected)
        if suffix == "spans" and size % (2 * kind.itemsize):
            raise _damaged(path, f"{size} bytes", f"a multiple of {2 * kind.itemsize}")


def _check_hash(path: Path, expected: str) -> None:
    found = sha256_of(path)
    if found != expected:
        raise _damaged(path, f"sha256 {found[:16]}", f"{expected[:16]}, as {MANIFEST} says")


def _check_content(folder: Path, shard: Shard, vocab: int) -> None:
    for suffix, offsets, end in (
        ("offsets", shard.offsets, len(shard.tokens)),
        ("span_offsets", shard.span_offsets, len(shard.spans)),
    ):
        if offsets[0] != 0 or offsets[-1] != end or (np.diff(offsets) < 0).any():
            allowed = f"offsets that rise from 0 to {end}"
            raise _damaged(folder / f"{shard.name}.{suffix}", "others", allowed)
    if len(shard.tokens) and shard.tokens.max() >= vocab:
        path = folder / f"{shard.name}.tokens"
        raise _damaged(path, f"token id {shard.tokens.max()}", f"0 to {vocab - 1}")


def _damaged(path: Path, got: str | None, allowed: str) -> DataError:
    remedy = "delete the shard and build the tokens again"
    return DataError(
        f"{path} is missing, cut short or changed", got=got, allowed=allowed, remedy=remedy
    )
