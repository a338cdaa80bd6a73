"""Shingles of candidate documents on disk, read through memory maps.

A part's file holds the shingles of its candidates end to end, then their rows in the part, where
each one's shingles end, and how many there are; all little-endian 64-bit numbers.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from quipu.data.dedup.bands import Numbers
from quipu.data.dedup.parts import Part
from quipu.data.hashing import Hashes


def write_spill(file: BinaryIO, candidates: Iterable[tuple[int, Hashes]]) -> None:
    """Write (row, shingles) of one part's candidates, in order."""
    rows, ends = [], [0]
    for row, shingles in candidates:
        file.write(shingles.astype("<u8").tobytes())
        rows.append(row)
        ends.append(ends[-1] + len(shingles))
    file.write(np.array([*rows, *ends[1:], len(rows)], dtype="<u8").tobytes())


@dataclass(frozen=True, kw_only=True)
class Spill:
    """The shingles of all candidates. 32 bytes of memory for each, whatever their length."""

    files: tuple[Hashes, ...]
    numbers: Numbers  # of the candidates, sorted
    file: Numbers  # where each one's shingles are
    starts: Numbers
    ends: Numbers

    @classmethod
    def open(cls, parts: Sequence[Part], paths: Sequence[Path]) -> "Spill":
        """The spill files of all parts."""
        files = tuple(np.memmap(path, dtype="<u8", mode="r") for path in paths)
        counts = [int(file[-1]) for file in files]
        rows, ends = [], []
        for part, file, count in zip(parts, files, counts, strict=True):
            table = file[len(file) - 1 - 2 * count : -1].astype(np.int64).reshape(2, count)
            rows.append(table[0] + part.first)
            ends.append(table[1])
        return cls(
            files=files,
            numbers=np.concatenate(rows),
            file=np.repeat(np.arange(len(files)), counts),
            starts=np.concatenate([np.append(0, end)[:-1] for end in ends]),
            ends=np.concatenate(ends),
        )

    def places(self, numbers: Numbers) -> Numbers:
        """Which candidates documents are."""
        return np.searchsorted(self.numbers, numbers)

    def shingles(self, place: int) -> Hashes:
        """The shingles of one candidate."""
        shingles: Hashes = self.files[self.file[place]][self.starts[place] : self.ends[place]]
        return shingles
