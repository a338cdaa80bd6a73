"""Which stretches of text share a row, known from lengths alone.

An epoch walks the parts of a source in a keyed order, cut into blocks of equal cost; each block is
packed on its own into the same number of rows, so any row is found from a cumulative sum. The rows
of an epoch are the same number in every epoch.

Packing is best fit, the costliest first. What then fits nowhere whole is cut once more to fill what
rows have left. There is always room: rows are planned with at least `_spare` tokens to spare each,
so that with what overheads hold back, the cuts and the specials of the new samples are paid for.
"""

import bisect
import heapq
import zlib
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from quipu.data.loading import draws
from quipu.data.loading.axis import Axis, Places
from quipu.data.loading.facts import Facts
from quipu.data.loading.parts import BOTH_ENDS, Costs, best

BLOCK_ROWS = 256
# Of so many tokens of a row one stays free, and these in longer rows, so that parts are rarely cut
# to fill rows: found by trial on Python's library.
_SLACK, _LEAST_SLACK = 64, 12
# What is cut to fill a row is no shorter than this part of one, and these tokens, if it can be.
_WORTH, _LONGEST_WORTH = 16, 64
_CHARACTER = 4  # tokens that one character may take
# Of a row in the worst case: a gap too short for a character and both ends, and the ends of two
# samples that were cut to fill it.
_WORST = BOTH_ENDS + _CHARACTER - 1 + 2 * BOTH_ENDS

Stretch = tuple[int, int]  # from one place of the axis to another


class _Epoch(NamedTuple):
    order: Places  # parts, in the order of the epoch
    begins: Places  # what the parts before each cost; and all of them: [parts + 1]


class Plan:
    """Rows of one source: P parts of an axis, row after row, epoch after epoch."""

    def __init__(
        self,
        axis: Axis,
        facts: Facts,
        cuts: Places,
        *,
        costs: Costs,
        room: int,
        key: tuple[int, str],
        block_rows: int = BLOCK_ROWS,
    ) -> None:
        """Parts lie between `cuts`; `room` is what a row holds; `key` is the seed and a name."""
        self._axis, self._facts, self._costs, self._room = axis, facts, costs, room
        self._cuts = cuts
        self._part_costs = costs.of(cuts[:-1], cuts[1:]) if len(cuts) > 1 else cuts[:0]
        self._total = int(self._part_costs.sum())
        self._key = (key[0], zlib.crc32(key[1].encode()))
        planned = room - _spare(room, costs.overhead)
        self._blocks = max(1, round(self._total / (block_rows * planned)))
        # A block ends with the part that crosses its end: up to a row more than its share.
        beyond = room if self._blocks > 1 else 0
        self._block_rows = -(-(-(-self._total // self._blocks) + beyond) // planned)
        self._part_costs = self._part_costs.astype(np.int32)  # halves what an epoch has to gather
        self._least = Costs(axis, BOTH_ENDS)
        self._epoch = lru_cache(maxsize=1)(self._new_epoch)
        self._block = lru_cache(maxsize=2)(self._new_block)

    @property
    def epoch_rows(self) -> int:
        """Rows of every epoch."""
        return self._blocks * self._block_rows if self._total else 0

    def at(self, row: int) -> tuple[int, list[Stretch]]:
        """Epoch and stretches of a row, counted from the first epoch on."""
        epoch, inside = divmod(row, self.epoch_rows)
        block, place = divmod(inside, self._block_rows)
        return epoch, self._block(epoch, block)[place]

    def _new_epoch(self, epoch: int) -> _Epoch:
        order = draws.permutation(len(self._part_costs), *self._key, epoch)
        begins = np.zeros(len(order) + 1, dtype=np.int64)
        np.cumsum(self._part_costs[order], out=begins[1:])
        return _Epoch(order, begins)

    def _new_block(self, epoch: int, block: int) -> list[list[Stretch]]:
        order, begins = self._epoch(epoch)
        ends = [-(-number * self._total // self._blocks) for number in (block, block + 1)]
        first, last = np.searchsorted(begins[:-1], ends)
        parts = order[first:last]
        stretches = list(
            zip(self._cuts[parts].tolist(), self._cuts[parts + 1].tolist(), strict=True)
        )
        costs = (self._costs, self._least)
        packing = Packing(self._axis, self._facts, *costs, self._room, self._block_rows)
        rows = packing.rows(stretches, self._part_costs[parts].tolist())
        mixed = draws.permutation(len(rows), *self._key, epoch, block)
        return [rows[row] for row in mixed.tolist()]


def _spare(room: int, overhead: int) -> int:
    """Tokens of a row that no part is planned for; of an overhead, all but both ends is spare."""
    needed = max(BOTH_ENDS, _WORST - (overhead - BOTH_ENDS))
    return max(needed, room // _SLACK, min(_LEAST_SLACK, room // 16))


class Packing:
    """One block while it is packed."""

    def __init__(
        self, axis: Axis, facts: Facts, costs: Costs, least: Costs, room: int, rows: int
    ) -> None:
        """`least` are the costs of both ends alone."""
        self._axis, self._facts, self._costs, self._least = axis, facts, costs, least
        self._shortest = max(_CHARACTER, min(room // _WORTH, _LONGEST_WORTH))
        self._rows: list[list[tuple[int, Stretch]]] = [[] for _ in range(rows)]
        self._left = [(room, row) for row in range(rows)]  # sorted: planned tokens left, row
        self._least_left = [room] * rows  # without overheads but both ends

    def rows(self, stretches: Sequence[Stretch], costs: Sequence[int]) -> list[list[Stretch]]:
        """Stretches of each row, in the order in which they were given."""
        costliest = sorted(range(len(costs)), key=lambda number: (-costs[number], number))
        leftovers = [
            (number, stretches[number])
            for number in costliest
            if not self._place(number, stretches[number], costs[number])
        ]
        rest = [piece for number, stretch in leftovers for piece in self._fill(number, stretch)]
        self._squeeze(rest)
        for row in self._rows:
            if not row and stretches:
                self._share_with(row)
        return [[stretch for _, stretch in sorted(row)] for row in self._rows]

    def _place(self, number: int, stretch: Stretch, cost: int) -> bool:
        """Put a stretch into the fullest row that holds it, if there is one."""
        place = bisect.bisect_left(self._left, (cost, -1))
        if place == len(self._left):
            return False
        left, row = self._left.pop(place)
        self._put(row, number, stretch, cost)
        bisect.insort(self._left, (left - cost, row))
        return True

    def _put(self, row: int, number: int, stretch: Stretch, cost: int) -> None:
        self._rows[row].append((number, stretch))
        tokens = stretch[1] - stretch[0]
        files = (cost - tokens) // self._costs.overhead
        self._least_left[row] -= tokens + BOTH_ENDS * files

    def _fill(self, number: int, stretch: Stretch) -> list[tuple[int, Stretch]]:
        """Cut a stretch to fill rows, one cut a row; returns what fits nowhere in good measure."""
        shortest = self._costs.overhead + self._shortest
        while not self._place(number, stretch, self._costs.of(*stretch)):
            if not self._left or self._left[-1][0] < shortest:
                return [(number, stretch)]
            left, row = self._left.pop()  # filled by this, so no row is cut for twice
            stop = self._cut(self._costs, stretch, left, max(self._shortest // 2, _CHARACTER - 1))
            self._put(row, number, (stretch[0], stop), self._costs.of(stretch[0], stop))
            stretch = (stop, stretch[1])
        return []

    def _squeeze(self, pieces: Sequence[tuple[int, Stretch]]) -> None:
        """Cut stretches wherever a row can hold some tokens more, without overhead."""
        most = [(-left, row) for row, left in enumerate(self._least_left)]
        heapq.heapify(most)
        for number, stretch in pieces:
            while True:
                left, row = -most[0][0], most[0][1]
                cost = self._least.of(*stretch)
                assert cost <= left or left >= BOTH_ENDS + _CHARACTER, "a block planned too small"
                stop = stretch[1]
                if cost > left:
                    stop = self._cut(self._least, stretch, left, _CHARACTER - 1)
                    cost = self._least.of(stretch[0], stop)
                self._rows[row].append((number, (stretch[0], stop)))
                heapq.heapreplace(most, (cost - left, row))
                if stop == stretch[1]:
                    break
                stretch = (stop, stretch[1])

    def _cut(self, costs: Costs, stretch: Stretch, room: int, window: int) -> int:
        start = np.array(stretch[:1])
        stops = np.minimum(costs.reach(start, room), stretch[1] - 1)
        return int(best(self._axis, self._facts, start, stops, window)[0])

    def _share_with(self, empty: list[tuple[int, Stretch]]) -> None:
        """Give a row without text a stretch of the row that has most of them, or half of one."""
        fullest = max(self._rows, key=lambda row: (len(row), sum(b - a for _, (a, b) in row)))
        number, (start, stop) = fullest.pop()
        if fullest:
            empty.append((number, (start, stop)))
        elif stop - start < 2 * _CHARACTER:
            fullest.append((number, (start, stop)))
        else:
            half = self._halve(start, stop)
            fullest.append((number, (start, half)))
            empty.append((number, (half, stop)))

    def _halve(self, start: int, stop: int) -> int:
        middle = np.array([(start + stop) // 2])
        window = max(min((stop - start) // 4, self._shortest), _CHARACTER - 1)
        return int(best(self._axis, self._facts, np.array([start]), middle, window)[0])
