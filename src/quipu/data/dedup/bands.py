"""Documents that agree in a band, as pairs of numbers that may be near duplicates.

A bucket of `m` documents has m(m-1)/2 pairs: files of one template would make billions. Beyond
`Near.all_pairs` documents a bucket pairs each with the `stars` most preferred and the `neighbours`
next ones only, so no band gives a document more than `max(all_pairs / 2, stars + neighbours)`
pairs on average. Which ones depends on the documents alone, not on how they were numbered.
"""

import numpy as np
import numpy.typing as npt

from quipu.data.dedup.settings import Near
from quipu.data.hashing import Hashes

Pairs = npt.NDArray[np.uint64]  # low number * 2^32 + high number
Numbers = npt.NDArray[np.int64]
_SHIFT = np.uint64(32)
_LOW = np.uint64(2**32 - 1)


def bucket_pairs(keys: Hashes, numbers: Numbers, near: Near) -> Pairs:
    """Candidates of one band, sorted and unique; `numbers` from most to least preferred.

    `keys` are the documents' keys in this band, in the same order.
    """
    order = np.argsort(keys, kind="stable")
    keys, numbers = keys[order], numbers[order]
    starts = np.flatnonzero(np.append(True, keys[1:] != keys[:-1])) if len(keys) else order
    sizes = np.diff(np.append(starts, len(keys)))
    shared = sizes > 1
    member = np.repeat(shared, sizes)
    sizes = sizes[shared]
    bucket = np.repeat(np.arange(len(sizes)), sizes)
    large = np.repeat(sizes > near.all_pairs, sizes)
    numbers = numbers[member]
    found = [
        *_neighbours(bucket, np.where(large, near.neighbours, near.all_pairs)),
        *_stars(bucket, large, near.stars),
    ]
    pairs = [packed(numbers[left], numbers[right]) for left, right in found]
    return np.unique(np.concatenate(pairs)) if pairs else np.empty(0, dtype=np.uint64)


def _neighbours(bucket: Numbers, reach: Numbers) -> list[tuple[Numbers, Numbers]]:
    """Positions of pairs in one bucket at most `reach` apart."""
    found: list[tuple[Numbers, Numbers]] = []
    left = np.arange(len(bucket))
    for distance in range(1, int(reach.max(initial=0)) + 1):
        left = left[left + distance < len(bucket)]
        left = left[(bucket[left] == bucket[left + distance]) & (reach[left] >= distance)]
        if not len(left):
            break
        found.append((left, left + distance))
    return found


def _stars(
    bucket: Numbers, large: npt.NDArray[np.bool_], stars: int
) -> list[tuple[Numbers, Numbers]]:
    """Positions of pairs of each document of a large bucket with the first ones of its bucket."""
    member = np.flatnonzero(large)
    first = np.searchsorted(bucket, bucket[member])
    return [(first + star, member) for star in range(stars)] if len(member) else []


def packed(left: Numbers, right: Numbers) -> Pairs:
    """Pairs of different numbers below 2^32 as single ones, the lower first; equal ones go."""
    low = np.minimum(left, right).astype(np.uint64)
    high = np.maximum(left, right).astype(np.uint64)
    pairs: Pairs = ((low << _SHIFT) | high)[low != high]
    return pairs


def unpacked(pairs: Pairs) -> tuple[Numbers, Numbers]:
    """The lower and the higher numbers of packed pairs."""
    return (pairs >> _SHIFT).astype(np.int64), (pairs & _LOW).astype(np.int64)
