"""The jobs of deduplication on disk; each reads files of the ones before it and makes one.

    sign      a part                -> band keys, text digest and quality of each document
    equal     all signatures        -> copies of a text, and the document that stands for it
    pair      a band of signatures  -> candidate pairs
    mark      all pairs             -> which documents are candidates
    spill     a part, the marks     -> shingles of the candidates
    verify    a share of all pairs  -> those that are truly similar
    settle    the similar pairs     -> which documents go

Large tables are read one hash partition of the documents (of the pairs) at a
time: see `partitions`.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quipu.data.dedup.bands import Numbers, Pairs, bucket_pairs, unpacked
from quipu.data.dedup.choose import Duplicate, choose, preference, removals, text_digest
from quipu.data.dedup.parts import Part, documents, ids
from quipu.data.dedup.settings import Near
from quipu.data.dedup.shingles import shingles_of, unique
from quipu.data.dedup.signatures import band_keys
from quipu.data.dedup.spill import Spill, write_spill
from quipu.data.dedup.verify import jaccard
from quipu.data.hashing import Hashes, mixed
from quipu.errors import DataError

_NO_KEYS = np.empty(0, dtype=np.uint64)
SIMILAR = np.dtype([("low", "<i8"), ("high", "<i8"), ("jaccard", "<f8")])


@dataclass(frozen=True, kw_only=True)
class Signed:
    """Signature files of all parts: [bands + 4, documents] each.

    Band keys, 128 bits of the text's SHA-256 in two, the bits of the quality, a hash of the id.
    """

    parts: tuple[Part, ...]
    files: tuple[Path, ...]
    bands: int

    @property
    def documents(self) -> int:
        """How many there are in all parts."""
        return sum(part.documents for part in self.parts)

    def row(self, row: int) -> Iterator[Hashes]:
        """One row of each file in turn: a band's keys, or what follows them."""
        for part, path in zip(self.parts, self.files, strict=True):
            yield self._read(part, path, row)

    def _read(self, part: Part, path: Path, row: int) -> Hashes:
        # Read, not mapped: a map keeps its file open, and there may be thousands of parts.
        with path.open("rb") as file:
            file.seek(8 * part.documents * (row - self.bands - 4), os.SEEK_END)
            return np.frombuffer(file.read(8 * part.documents), dtype=np.uint64)

    def digests(self, numbers: Numbers) -> tuple[Hashes, Hashes]:
        """Text digests, 64 bits each."""
        return self._take(self.bands, numbers), self._take(self.bands + 1, numbers)

    def qualities(self, numbers: Numbers) -> npt.NDArray[np.float64]:
        """Quality of each document."""
        return self._take(self.bands + 2, numbers).view(np.float64)

    def _take(self, row: int, numbers: Numbers) -> Hashes:
        values = np.empty(len(numbers), dtype=np.uint64)
        order = np.argsort(numbers, kind="stable")
        for part, path in zip(self.parts, self.files, strict=True):
            ends = (part.first, part.first + part.documents)
            here = order[slice(*np.searchsorted(numbers, ends, sorter=order))]
            if len(here):
                values[here] = self._read(part, path, row)[numbers[here] - part.first]
        return values


def sign(output: Path, part: Part, near: Near | None) -> None:
    """Signatures of a part's documents, row by row of `Signed`."""
    columns = []
    for id, text, quality in documents(part, ("id", "text", "quality")):
        keys = band_keys(shingles_of(text, near.shingle), near) if near else _NO_KEYS
        digest = np.frombuffer(text_digest(text)[:16], dtype=">u8").astype(np.uint64)
        name = np.frombuffer(text_digest(id)[:8], dtype=">u8").astype(np.uint64)
        bits = np.array([quality], dtype=np.float64).view(np.uint64)
        columns.append(np.concatenate((keys, digest, bits, name)))
    _save(output, np.stack(columns, axis=1))


def _save(path: Path, array: npt.NDArray[Any]) -> None:
    """`np.save`, which would not say that a disk is full but how many items it wrote."""
    array = np.ascontiguousarray(array)
    with path.open("wb") as file:
        header = np.lib.format.header_data_from_array_1_0(array)
        np.lib.format.write_array_header_1_0(file, header)
        file.write(array.reshape(-1).view(np.uint8).data)


def partitions(count: int, bytes_each: int, memory: int) -> int:
    """Into how many hash partitions to cut, so that one takes `memory` bytes at most."""
    return max(1, min(count, -(-count * bytes_each // memory)))


def _members(row: Iterator[Hashes], partition: int, of: int) -> tuple[Hashes, Numbers]:
    """Keys of one partition, and the numbers of their documents."""
    keys, numbers, first = [], [], 0
    for table in row:
        here = np.flatnonzero(table % np.uint64(of) == partition) if of > 1 else slice(None)
        keys.append(table[here])
        numbers.append(np.arange(first, first + len(table))[here])
        first += len(table)
    return np.concatenate(keys), np.concatenate(numbers)


def _shared(keys: Hashes) -> npt.NDArray[np.bool_]:
    """Which keys occur more than once."""
    order = np.argsort(keys, kind="stable")
    same = keys[order][1:] == keys[order][:-1]
    result = np.zeros(len(keys), dtype=bool)
    result[order[1:][same]] = True
    result[order[:-1][same]] = True
    return result


def equal(output: Path, signed: Signed, memory: int) -> None:
    """Pairs (copy, the preferred document of its text), [copies, 2]."""
    of = partitions(signed.documents, 400, memory)  # ids are strings of about 100 characters
    found = []
    for partition in range(of):
        keys, numbers = _members(signed.row(signed.bands), partition, of)
        found.append(_copies(signed, numbers[_shared(keys)]))
        keys, numbers = _members(signed.row(signed.bands + 3), partition, of)
        _refuse_equal_ids(ids(signed.parts, numbers[_shared(keys)]))
    _save(output, np.concatenate(found))


def _refuse_equal_ids(names: dict[int, str]) -> None:
    seen: set[str] = set()
    for name in names.values():
        if name in seen:
            raise DataError("two documents with one id", got=repr(name), allowed="each id once")
        seen.add(name)


def _copies(signed: Signed, numbers: Numbers) -> Numbers:
    names = ids(signed.parts, numbers)
    qualities = signed.qualities(numbers).tolist()
    texts = zip(*(digest.tolist() for digest in signed.digests(numbers)), strict=True)
    rows = zip(texts, qualities, numbers.tolist(), strict=True)
    ranked = sorted((text, preference(quality, names[n]), n) for text, quality, n in rows)
    copies, first, last = [], -1, None
    for text, _, number in ranked:
        if text == last:
            copies.append((number, first))
        else:
            first, last = number, text
    return np.array(copies, dtype=np.int64).reshape(-1, 2)


def pair(output: Path, signed: Signed, near: Near, copies: Path, band: int, memory: int) -> None:
    """Candidate pairs of one band: uint64, sorted and unique within stretches."""
    alive = np.ones(signed.documents, dtype=bool)
    alive[np.load(copies)[:, 0]] = False
    of = partitions(signed.documents, 150, memory)
    with output.open("wb") as file:
        for partition in range(of):
            keys, numbers = _members(signed.row(band), partition, of)
            keep = alive[numbers]
            keys, numbers = keys[keep], numbers[keep]
            keep = _shared(keys)
            keys, numbers = keys[keep], numbers[keep]
            high, low = signed.digests(numbers)
            quality = signed.qualities(numbers)
            quality = np.where(np.isnan(quality), np.inf, -quality)  # as `preference` has it
            order = np.lexsort((low, high, quality))
            for found in bucket_pairs(keys[order], numbers[order], near, memory // 64 + 1):
                file.write(found.tobytes())


def read_pairs(file: Path) -> Pairs:
    """A map of a file of pairs."""
    if not file.stat().st_size:
        return np.empty(0, dtype=np.uint64)
    return np.memmap(file, dtype=np.uint64, mode="r")


def mark(output: Path, pairs: Sequence[Path], count: int) -> None:
    """Whether each document is in a pair, [documents]."""
    marked = np.zeros(count, dtype=bool)
    for path in pairs:
        for chunk in _chunks(read_pairs(path)):
            for numbers in unpacked(chunk):
                marked[numbers] = True
    _save(output, marked)


def _chunks(pairs: Pairs, size: int = 1 << 20) -> Iterator[Pairs]:
    for start in range(0, len(pairs), size):
        yield pairs[start : start + size]


def spill(output: Path, part: Part, near: Near, marks: Path) -> None:
    """Shingles of a part's candidates."""
    marked = np.load(marks, mmap_mode="r")[part.first : part.first + part.documents]
    candidates = (
        (row, shingles_of(text, near.shingle))
        for row, (text,) in enumerate(documents(part, ("text",)))
        if marked[row]
    )
    with output.open("wb") as file:
        write_spill(file, candidates)


def shares(pairs: Sequence[Path], least: int, memory: int) -> int:
    """Into how many shares to cut all pairs; `least` for many processes to have work."""
    return max(least, partitions(sum(file.stat().st_size // 8 for file in pairs), 64, memory))


def verify(
    output: Path,
    parts: Sequence[Part],
    spills: Sequence[Path],
    pairs: Sequence[Path],
    share: tuple[int, int],
    least: float,
) -> None:
    """The truly similar pairs of one share of all: (which, of how many)."""
    mine = [chunk for file in pairs for chunk in _share(read_pairs(file), share)]
    candidates = unique(np.concatenate([np.empty(0, dtype=np.uint64), *mine]))
    low, high = unpacked(candidates)
    with Spill(parts, spills) as shingles:
        similarities = similar(shingles, low, high, least)
    found = np.flatnonzero(similarities >= least)
    table = np.empty(len(found), dtype=SIMILAR)
    table["low"], table["high"] = low[found], high[found]
    table["jaccard"] = similarities[found]
    _save(output, table)


def _share(pairs: Pairs, share: tuple[int, int]) -> Iterator[Pairs]:
    which, of = share
    for chunk in _chunks(pairs):
        yield chunk[mixed(chunk) % np.uint64(of) == which]


def similar(spill: Spill, low: Numbers, high: Numbers, least: float) -> npt.NDArray[np.float64]:
    """The similarity of each pair of documents, low ones sorted; 0 where it is below `least`."""
    left, right = spill.places(low), spill.places(high)
    sizes = spill.ends - spill.starts
    smaller, larger = np.sort((sizes[left], sizes[right]), axis=0)
    result = np.zeros(len(low))
    last, shingles = -1, np.empty(0, dtype=np.uint64)
    for index in np.flatnonzero(smaller >= least * larger):  # J <= smaller / larger
        if left[index] != last:
            last = left[index]
            shingles = spill.shingles(last)
        result[index] = jaccard(shingles, spill.shingles(right[index]))
    return result


def settle(output: Path, signed: Signed, copies: Path, verified: Sequence[Path]) -> None:
    """The answer: a parquet table of documents to remove, by id."""
    copied = np.load(copies)
    none = np.empty(0, dtype=SIMILAR)
    pairs = np.concatenate([none, *(np.load(file) for file in verified)])
    numbers = np.unique(np.concatenate((copied.ravel(), pairs["low"], pairs["high"])))
    names = ids(signed.parts, numbers)
    qualities = signed.qualities(numbers).tolist()
    order = [
        preference(quality, names[number])
        for number, quality in zip(numbers.tolist(), qualities, strict=True)
    ]
    low, high = np.searchsorted(numbers, pairs["low"]), np.searchsorted(numbers, pairs["high"])
    removed = choose(order, low, high, pairs["jaccard"])
    stands_for = np.searchsorted(numbers, copied)
    first = dict(stands_for.tolist())
    write_duplicates(output, sorted(removals(order, first, removed)))


def write_duplicates(output: Path, duplicates: Sequence[Duplicate]) -> None:
    """Write the table: id, kept_id, kind, jaccard."""
    import pyarrow
    from pyarrow import parquet

    columns = {"id": "string", "kept_id": "string", "kind": "string", "jaccard": "float64"}
    table = pyarrow.table(
        {name: [getattr(one, name) for one in duplicates] for name in columns},
        schema=pyarrow.schema(list(columns.items())),
    )
    with output.open("wb") as file:
        parquet.write_table(table, file)
