"""Micro-batches side by side on a processor: each core takes whole ones, and all meet once a step.

Threads that share every product wait for the slowest of them hundreds of times a step; threads with
micro-batches of their own do not. What each computes is a function of its place alone, and sums are
made in order, so that the same threads give the same bits.
"""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

MOST = 8  # members: each holds gradients of all weights
LARGEST = 100_000_000  # trained values; products of larger models keep threads busy by themselves
CACHED_TOKENS = 2_048  # activations of more at a time leave the cache, and memory is asked for anew


Part = TypeVar("Part")
Found = TypeVar("Found")


class Crew:
    """Threads that work side by side."""

    def __init__(self, members: int) -> None:
        self.members = members
        self._pool = ThreadPoolExecutor(members) if members > 1 else None
        self._used = False

    def each(self, work: Callable[[Sequence[Part]], Found], parts: Sequence[Part]) -> list[Found]:
        """What each member makes of its share of the parts, in order; every n-th part is one's."""
        if self._pool is None:
            return [work(parts)]
        shares = [parts[place :: self.members] for place in range(min(self.members, len(parts)))]
        threads = torch.get_num_threads()

        def member(share: Sequence[Part]) -> Found:
            torch.set_num_threads(max(1, threads // len(shares)))  # of this thread
            return work(share)

        try:
            if self._used:
                return list(self._pool.map(member, shares))
            self._used = True  # what one compiles the others find
            return [self._pool.submit(member, share).result() for share in shares]
        finally:
            torch.set_num_threads(threads)  # MKL's are everybody's


def members(values: int, rows: int) -> int:
    """How many serve a model of so many trained values, if so many rows may be in memory."""
    return min(MOST, max(1, rows)) if values <= LARGEST else 1


def rows_at_once(rows: int, most: int, members: int) -> int:
    """Rows of a micro-batch, up to `most`, so that no member of a crew has more than need be."""

    def longest(size: int) -> tuple[int, int]:
        return math.ceil(math.ceil(rows / size) / members) * size, -size

    return min(range(1, min(most, rows) + 1), key=longest)
