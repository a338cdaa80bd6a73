"""Every pair of similar sets, found without chance: the truth that MinHash is held against."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from quipu.data.dedup.bands import packed, unpacked
from quipu.data.dedup.shingles import unique

_AT_ONCE = 1 << 23  # pairs to collect before those found twice are removed
Hashes = npt.NDArray[np.uint64]


def similar_pairs(sets: Sequence[Hashes], least: float) -> dict[tuple[int, int], float]:
    """(low, high) -> Jaccard similarity, of all pairs of sorted unique sets with at least `least`.

    Exact: with elements ordered from rare to frequent, two sets as similar as that share one of
    their first n - ceil(least n) + 1 elements (the prefix filter of all-pairs joins), so an
    inverted index over those few has every pair.
    """
    sizes = np.array([len(one) for one in sets])
    owners = np.repeat(np.arange(len(sets)), sizes)
    _, element, counts = np.unique(np.concatenate(sets), return_inverse=True, return_counts=True)
    rank = np.empty(len(counts), dtype=np.int64)
    rank[np.argsort(counts, kind="stable")] = np.arange(len(counts))
    element = rank[element]
    order = np.lexsort((element, owners))
    place = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    prefix = place < np.repeat(sizes - np.ceil(least * sizes - 1e-9).astype(np.int64) + 1, sizes)
    index = order[prefix]
    candidates = _sharing(element[index], owners[index])
    low, high = unpacked(candidates)
    likely = np.minimum(sizes[low], sizes[high]) >= least * np.maximum(sizes[low], sizes[high])
    found = {}
    for left, right in zip(low[likely].tolist(), high[likely].tolist(), strict=True):
        shared = len(np.intersect1d(sets[left], sets[right], assume_unique=True))
        similarity = shared / (sizes[left] + sizes[right] - shared)
        if similarity >= least:
            found[left, right] = float(similarity)
    return found


def _sharing(elements: npt.NDArray[np.int64], owners: npt.NDArray[np.int64]) -> Hashes:
    """All pairs of owners that share an element."""
    order = np.argsort(elements, kind="stable")
    elements, owners = elements[order], owners[order]
    left = np.arange(len(elements))
    found, waiting, distance = [np.empty(0, dtype=np.uint64)], 0, 1
    while len(left):
        left = left[left + distance < len(elements)]
        left = left[elements[left] == elements[left + distance]]
        found.append(unique(packed(owners[left], owners[left + distance])))
        waiting, distance = waiting + len(found[-1]), distance + 1
        if waiting > len(found[0]) + _AT_ONCE:
            found, waiting = [unique(np.concatenate(found))], 0
    return unique(np.concatenate(found))
