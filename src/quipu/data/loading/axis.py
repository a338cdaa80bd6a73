"""The kept documents of a group on one axis of tokens, where a place is one number.

Dropped and empty documents are not on it. Runs are what may be cut into parts: single documents,
or all documents of one package, one after the other as they were stored.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from quipu.data.tokens.reading import Group

Places = npt.NDArray[np.int64]


class Axis:
    """D documents on T tokens; document d covers `bounds[d]` to `bounds[d + 1]`."""

    def __init__(self, group: Group, *, packages: bool) -> None:
        self._group = group
        self.kept = np.flatnonzero(~group.dropped & (group.lengths > 0))
        self.numbers = group.documents[self.kept].astype(np.int64)  # in documents.parquet
        self.bounds: Places = np.zeros(len(self.kept) + 1, dtype=np.int64)
        np.cumsum(group.lengths[self.kept], out=self.bounds[1:])
        self._shard_of = np.searchsorted(group.first_of_shard, self.kept, side="right") - 1
        firsts = [np.asarray(shard.offsets[:-1]) for shard in group.shards]
        self._first = np.concatenate([np.zeros(0, np.int64), *firsts])[self.kept]  # in its shard
        self.runs = self._runs(packages)

    def _runs(self, packages: bool) -> Places:
        """Where each run begins, and the end of the last one."""
        if not packages:
            return self.bounds
        package = self._group.packages[self.kept]
        changed = (np.diff(package) != 0) | (np.diff(self._shard_of) != 0)
        return np.concatenate([self.bounds[:1], self.bounds[1:-1][changed], self.bounds[-1:]])

    def document_of(self, places: npt.ArrayLike) -> Places:
        """The document on which each token lies."""
        return np.searchsorted(self.bounds, places, side="right") - 1

    def files(self, start: int, stop: int) -> list[tuple[int, int, int]]:
        """Documents between two places: each with where its stretch begins and ends within it."""
        first, last = (int(d) for d in self.document_of([start, stop - 1]))
        bounds = self.bounds[first : last + 2].tolist()
        return [
            (d, max(start, begin) - begin, min(stop, end) - begin)
            for d, begin, end in zip(range(first, last + 1), bounds, bounds[1:], strict=False)
        ]

    def length(self, document: int) -> int:
        """Tokens of a document."""
        return int(self.bounds[document + 1] - self.bounds[document])

    def ids(self, document: int, start: int, stop: int) -> npt.NDArray[np.integer[Any]]:
        """Token ids of a stretch of a document, mapped."""
        first = int(self._first[document])
        tokens = self._group.shards[self._shard_of[document]].tokens
        found: npt.NDArray[np.integer[Any]] = tokens[first + start : first + stop]
        return found

    def spans(self, document: int) -> npt.NDArray[np.int32]:
        """Byte ranges of the syntax of a document: [n, 2]."""
        return self._group.spans_of(int(self.kept[document]))

    def windows(self, documents: Places, starts: Places, width: int) -> npt.NDArray[np.int64]:
        """Ids of `width` tokens of each document from a start within it: [len(documents), width].

        Places outside the shard give its nearest token.
        """
        found = np.empty((len(documents), width), dtype=np.int64)
        shard_of = self._shard_of[documents]
        for shard in np.unique(shard_of):
            here = shard_of == shard
            tokens = self._group.shards[shard].tokens
            first = self._first[documents[here]] + starts[here]
            places = first[:, None] + np.arange(width)
            found[here] = tokens[np.clip(places, 0, len(tokens) - 1)]
        return found
