"""Documents that agree in a band, as pairs of numbers that may be near duplicates.

A bucket of `m` documents has m(m-1)/2 pairs: files of one template would make billions. Beyond
`Near.all_pairs` documents a bucket pairs each with the `stars` most preferred and the `neighbours`
next ones only, so no band gives a document more than `max(all_pairs / 2, stars + neighbours)`
pairs on average. Which ones depends on the documents alone, not on how they were numbered.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from quipu.data.dedup.settings import Near
from quipu.data.dedup.shingles import unique
from quipu.data.hashing import Hashes

Pairs = npt.NDArray[np.uint64]  # low number * 2^32 + high number
Numbers = npt.NDArray[np.int64]
_SHIFT = np.uint64(32)
_LOW = np.uint64(2**32 - 1)


def bucket_pairs(
    keys: Hashes, numbers: Numbers, near: Near, at_once: int = 1 << 22
) -> Iterator[Pairs]:
    """Candidates of one band; `numbers` from most to least preferred, with their keys in this band.

    In arrays, each sorted and unique. One is of `at_once` pairs or little more (a bucket's of
    `all_pairs` documents), or of one pair for each document in larger buckets.
    """
    order = np.argsort(keys, kind="stable")
    keys, numbers = keys[order], numbers[order]
    starts = np.flatnonzero(np.append(True, keys[1:] != keys[:-1])) if len(keys) else order
    sizes = np.diff(np.append(starts, len(keys)))
    large = sizes > near.all_pairs
    some = numbers[np.repeat(large, sizes)]
    for left, right in _some_pairs(sizes[large], near):
        yield unique(packed(some[left], some[right]))
    small = (sizes > 1) & ~large
    yield from _all_pairs(numbers[np.repeat(small, sizes)], sizes[small], at_once)


def _some_pairs(sizes: Numbers, near: Near) -> Iterator[tuple[Numbers, Numbers]]:
    """Positions in consecutive large buckets of these sizes that make pairs."""
    bucket = np.repeat(np.arange(len(sizes)), sizes)
    yield from _neighbours(bucket, near.neighbours)
    first = np.searchsorted(bucket, bucket)
    for star in range(near.stars if len(bucket) else 0):
        yield first + star, np.arange(len(bucket))


def _all_pairs(numbers: Numbers, sizes: Numbers, at_once: int) -> Iterator[Pairs]:
    """All pairs in consecutive buckets of these sizes."""
    turn = np.cumsum(sizes * (sizes - 1) // 2) // at_once
    ends = np.append(0, np.cumsum(sizes))
    for which in np.unique(turn):
        first, last = np.searchsorted(turn, (which, which + 1))
        here = numbers[ends[first] : ends[last]]
        bucket = np.repeat(np.arange(last - first), sizes[first:last])
        found = _neighbours(bucket, len(bucket))
        yield unique(np.concatenate([packed(here[left], here[right]) for left, right in found]))


def _neighbours(bucket: Numbers, reach: int) -> Iterator[tuple[Numbers, Numbers]]:
    """Positions of pairs in one bucket at most `reach` apart."""
    left = np.arange(len(bucket))
    for distance in range(1, reach + 1):
        left = left[left + distance < len(bucket)]
        left = left[bucket[left] == bucket[left + distance]]
        if not len(left):
            return
        yield left, left + distance


def packed(left: Numbers, right: Numbers) -> Pairs:
    """Pairs of different numbers below 2^32 as single ones, the lower first; equal ones go."""
    low = np.minimum(left, right).astype(np.uint64)
    high = np.maximum(left, right).astype(np.uint64)
    pairs: Pairs = ((low << _SHIFT) | high)[low != high]
    return pairs


def unpacked(pairs: Pairs) -> tuple[Numbers, Numbers]:
    """The lower and the higher numbers of packed pairs."""
    return (pairs >> _SHIFT).astype(np.int64), (pairs & _LOW).astype(np.int64)
