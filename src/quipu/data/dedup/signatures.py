"""MinHash signatures from one permutation, and the keys of their bands.

The range of shingles is cut into as many equal bins as the signature has values; a bin's value is
its least shingle. A bin that a text leaves empty takes the minimum over *all* its shingles of
another permutation, one for each bin. Both together are one minimum over pairs (round, value), the
same function for every text: the minimum of a union belongs to one of the two sets, so a bin of
two texts agrees with probability exactly equal to their Jaccard similarity, however short they are
(the idea of arXiv 1704.04370 with a single first round). A long text costs one binary search for
each bin, as its shingles are sorted already; a short one the product of its shingles and empty
bins, at most bins^2 / e on average.
"""

from functools import cache

import numpy as np
import numpy.typing as npt

from quipu.data.dedup.settings import Near
from quipu.data.hashing import Hashes, mixed

_FACTOR = 0x9E3779B97F4A7C15  # odd: 2^64 / golden ratio


def signature(shingles: Hashes, bins: int) -> Hashes:
    """The minimum of each bin, [bins]; `shingles` sorted and not empty."""
    edges, factors = _bins(bins)
    first = np.searchsorted(shingles, edges)
    values = shingles[np.minimum(first, len(shingles) - 1)]
    full = np.empty(bins, dtype=bool)
    np.less(first[:-1], first[1:], out=full[:-1])
    full[-1] = first[-1] < len(shingles)
    if not full.all():
        empty = ~full
        # A multiplication permutes, and shingles are well mixed: its order is as good as random.
        values[empty] = _minima(shingles, factors[empty])
    return values


def _minima(shingles: Hashes, factors: Hashes) -> Hashes:
    """The least product of any shingle with each factor."""
    products = np.multiply.outer(factors, shingles)
    return np.asarray(products.min(axis=1), dtype=np.uint64)


@cache
def _bins(bins: int) -> tuple[Hashes, Hashes]:
    """Where each bin begins, and each bin's permutation (an odd factor)."""
    edges = [index * 2**64 // bins for index in range(bins)]
    factors = mixed(np.arange(1, bins + 1, dtype=np.uint64)) | np.uint64(1)
    return np.array(edges, dtype=np.uint64), factors


def band_keys(shingles: Hashes, near: Near) -> Hashes:
    """One number for each band, [bands]: equal where all the band's minima are."""
    values = signature(shingles, near.bands * near.rows).reshape(near.bands, near.rows)
    keys = np.arange(near.bands, dtype=np.uint64)
    for row in range(near.rows):
        keys = keys * np.uint64(_FACTOR) + values[:, row]
    return mixed(keys)


def agreement(left: Hashes, right: Hashes) -> float:
    """The share of bins in which two signatures agree: an estimate of the Jaccard similarity."""
    equal: npt.NDArray[np.bool_] = left == right
    return float(equal.mean())
