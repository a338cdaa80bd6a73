"""Shingles of candidate documents on disk.

A part's file holds the shingles of its candidates end to end, then their rows in the part, where
each one's shingles end, and how many there are; all little-endian 64-bit numbers.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from quipu.data.dedup.bands import Numbers
from quipu.data.dedup.parts import Part
from quipu.data.hashing import Hashes

OPEN = 128  # files at once


def write_spill(file: BinaryIO, candidates: Iterable[tuple[int, Hashes]]) -> None:
    """Write (row, shingles) of one part's candidates, in order."""
    rows, ends = [], [0]
    for row, shingles in candidates:
        file.write(shingles.astype("<u8").tobytes())
        rows.append(row)
        ends.append(ends[-1] + len(shingles))
    file.write(np.array([*rows, *ends[1:], len(rows)], dtype="<u8").tobytes())


class Spill:
    """The shingles of all candidates. 32 bytes of memory for each, whatever their length.

    Files are opened as they are needed, `OPEN` at most: a corpus has more parts than a process may
    have files. `with` closes them.
    """

    def __init__(self, parts: Sequence[Part], paths: Sequence[Path]) -> None:
        rows, ends = [], []
        for part, path in zip(parts, paths, strict=True):
            table = _table(path)
            rows.append(table[0] + part.first)
            ends.append(table[1])
        counts = [len(one) for one in rows]
        self.numbers = np.concatenate(rows)  # of the candidates, sorted
        self.ends = np.concatenate(ends)
        self.starts = np.concatenate([np.append(0, end)[:-1] for end in ends])
        self._file = np.repeat(np.arange(len(paths)), counts)
        self._paths = paths
        self._opened: dict[int, BinaryIO] = {}

    def __enter__(self) -> "Spill":
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._opened.values():
            file.close()
        self._opened.clear()

    def places(self, numbers: Numbers) -> Numbers:
        """Which candidates documents are."""
        return np.searchsorted(self.numbers, numbers)

    def shingles(self, place: int) -> Hashes:
        """The shingles of one candidate."""
        start, end = int(self.starts[place]), int(self.ends[place])
        file = self._open(int(self._file[place]))
        file.seek(8 * start)
        return np.frombuffer(file.read(8 * (end - start)), dtype="<u8")

    def _open(self, which: int) -> BinaryIO:
        if which not in self._opened:
            if len(self._opened) == OPEN:
                self._opened.pop(next(iter(self._opened))).close()
            self._opened[which] = self._paths[which].open("rb")
        return self._opened[which]


def _table(path: Path) -> Numbers:
    """Rows of a file's candidates and where their shingles end, [2, candidates]."""
    with path.open("rb") as file:
        file.seek(-8, os.SEEK_END)
        count = int.from_bytes(file.read(8), "little")
        file.seek(-8 - 16 * count, os.SEEK_END)
        return np.frombuffer(file.read(16 * count), dtype="<i8").reshape(2, count)
