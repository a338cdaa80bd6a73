"""Which of similar documents stay: greedily, the preferred first.

Preferred is higher quality, then the lower id. Going through all documents in that order, one is
removed exactly when it is similar to one that stays. So what is removed has a true near duplicate
in the corpus, and of a chain of ever less similar documents the ends may both stay.
"""

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
