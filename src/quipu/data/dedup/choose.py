"""Which of similar documents stay: greedily, the preferred first.

Preferred is higher quality, then the lower id. Going through all documents in that order, one is
removed exactly when it is similar to one that stays. So what is removed has a true near duplicate
in the corpus, and of a chain of ever less similar documents the ends may both stay.
"""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt

from quipu.data.dedup.bands import Numbers


@dataclass(frozen=True, kw_only=True, order=True)
class Duplicate:
    """A document to remove, and the one that stays in its place."""

    id: str
    kept_id: str
    kind: Literal["exact", "near"]
    jaccard: float

    def reason(self) -> str:
        """Why it goes, for people."""
        if self.kind == "exact":
            return f"exact duplicate of {self.kept_id}"
        return f"near duplicate of {self.kept_id} {self.jaccard:.2f}"


Similarities = npt.NDArray[np.float64]
Preference = tuple[float, str]


def preference(quality: float, id: str) -> Preference:
    """A sort key: the preferred document first. A quality that is no number is the lowest."""
    return (math.inf if math.isnan(quality) else -quality, id)


def choose(
    order: Sequence[Preference], left: Numbers, right: Numbers, similarity: Similarities
) -> dict[int, tuple[int, float]]:
    """Removed document -> the most similar one that stays (the preferred of equals), similarity.

    Pairs `left`, `right` are indices into `order`, and similar enough. 100 bytes a pair.
    """
    ranked = np.array(sorted(range(len(order)), key=order.__getitem__), dtype=np.int64)
    rank = np.empty(len(ranked), dtype=np.int64)
    rank[ranked] = np.arange(len(ranked))
    low, high = np.sort((rank[left], rank[right]), axis=0)
    best_first = np.lexsort((low, -similarity, high))
    low, high, similarity = low[best_first], high[best_first], similarity[best_first]
    starts = np.flatnonzero(np.append(True, high[1:] != high[:-1])) if len(high) else high
    gone = np.zeros(len(order), dtype=bool)
    removed: dict[int, tuple[int, float]] = {}
    for start, end in pairwise([*starts.tolist(), len(high)]):
        stays = ~gone[low[start:end]]
        best = start + int(stays.argmax())
        if stays.any():
            gone[high[start]] = True
            removed[int(ranked[high[start]])] = int(ranked[low[best]]), float(similarity[best])
    return removed


def removals(
    order: Sequence[Preference], copies: Mapping[int, int], removed: Mapping[int, tuple[int, float]]
) -> Iterator[Duplicate]:
    """Near duplicates, and all copies (copy -> the preferred document of its text).

    A copy of a removed document goes in favour of the same one: what is named as kept, stays.
    """
    for one, (kept, similarity) in removed.items():
        yield Duplicate(id=order[one][1], kept_id=order[kept][1], kind="near", jaccard=similarity)
    for copy, first in copies.items():
        kept, similarity = removed.get(first, (first, 1.0))
        kind: Literal["exact", "near"] = "near" if first in removed else "exact"
        yield Duplicate(id=order[copy][1], kept_id=order[kept][1], kind=kind, jaccard=similarity)


def text_digest(text: str) -> bytes:
    """What exact duplicates share."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
