"""Which of similar documents stay: greedily, the preferred first.

Preferred is higher quality, then the lower id. Going through all documents in that order, one is
removed exactly when it is similar to one that stays. So what is removed has a true near duplicate
in the corpus, and of a chain of ever less similar documents the ends may both stay.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal


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


Preference = tuple[float, str]


def preference(quality: float, id: str) -> Preference:
    """A sort key: the preferred document first. A quality that is no number is the lowest."""
    return (math.inf if math.isnan(quality) else -quality, id)


def choose(
    order: Sequence[Preference], similar: Iterable[tuple[int, int, float]]
) -> dict[int, tuple[int, float]]:
    """Removed document -> the most similar one that stays (the preferred of equals), similarity.

    `similar` holds pairs of indices into `order`, each with a similarity that is high enough.
    """
    preferred: defaultdict[int, list[tuple[int, float]]] = defaultdict(list)
    for left, right, similarity in similar:
        low, high = sorted((left, right), key=order.__getitem__)
        preferred[high].append((low, similarity))
    removed: dict[int, tuple[int, float]] = {}
    for one in sorted(preferred, key=order.__getitem__):
        stays = [pair for pair in preferred[one] if pair[0] not in removed]
        if stays:
            removed[one] = min(stays, key=lambda pair: (-pair[1], order[pair[0]]))
    return removed
