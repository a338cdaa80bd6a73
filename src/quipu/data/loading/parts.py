"""Cutting documents, or whole packages, into parts that fit a row.

A part costs its tokens and an overhead for each file in it: the specials around a sample, and what
infilling may add where it cuts through tokens. Parts tile the axis of a group: nothing is lost and
nothing comes twice. A cut falls before the least indented line of what lies before the end of the
row, the last of those: between functions where it can, else between methods, else between
statements; in a text without lines where no token changes, and never inside a character.
"""

from functools import cached_property
from typing import overload

import numpy as np

from quipu.data.loading.axis import Axis, Places
from quipu.data.loading.facts import Facts

BOTH_ENDS = 2  # BOS and EOS: what a file costs at least
# The best place is looked for in this part of a row, before its end: more would leave gaps that
# few files are short enough to fill.
_WINDOWS = 16
_AT_ONCE = 2048  # windows


class Costs:
    """What stretches of an axis cost, with a given overhead for each file."""

    def __init__(self, axis: Axis, overhead: int) -> None:
        self.overhead = overhead
        self._axis = axis

    @cached_property
    def _ends(self) -> Places:
        """What all documents up to the end of each cost."""
        bounds = self._axis.bounds
        ends: Places = bounds[1:] + self.overhead * np.arange(1, len(bounds))
        return ends

    @overload
    def of(self, starts: int, stops: int) -> int: ...
    @overload
    def of(self, starts: Places, stops: Places) -> Places: ...
    def of(self, starts: int | Places, stops: int | Places) -> int | Places:
        """Cost of each stretch; none is empty."""
        files = self._axis.document_of(stops - 1) - self._axis.document_of(starts) + 1
        cost = stops - starts + self.overhead * files
        return cost if isinstance(starts, np.ndarray) else int(cost)

    def reach(self, starts: Places, room: int) -> Places:
        """The furthest stop of each start for which the stretch costs no more than `room`."""
        bounds, first = self._axis.bounds, self._axis.document_of(starts)
        # Documents before `whole` fit with their ends, of that one only a beginning does.
        whole = np.searchsorted(self._ends, starts + room + self.overhead * first, side="right")
        begin = np.maximum(bounds[whole], starts)
        left = room - (begin - starts) - self.overhead * (whole - first + 1)
        end: Places = bounds[np.minimum(whole + 1, len(bounds) - 1)]
        stops: Places = np.minimum(begin + np.maximum(left, 0), end)
        return stops


def cut(axis: Axis, facts: Facts, costs: Costs, room: int) -> Places:
    """Where parts begin that cost at most `room` each, and the end of the last: [parts + 1]."""
    starts, ends = axis.runs[:-1], axis.runs[1:]
    found = [axis.runs]
    while len(starts):
        long = costs.of(starts, ends) > room
        starts, ends = starts[long], ends[long]
        # The last part is worth its row: some is left for it.
        stops = np.minimum(costs.reach(starts, room), np.maximum(ends - room // 8, starts + 1))
        starts = best(axis, facts, starts, stops, max(room // _WINDOWS, 3))
        found.append(starts)
    return np.unique(np.concatenate(found))


def best(axis: Axis, facts: Facts, starts: Places, stops: Places, window: int) -> Places:
    """The best place to cut after each start, at its stop or up to `window` tokens before it."""
    documents = axis.document_of(stops)
    lowest = np.maximum(starts + 1, stops - window)
    begin = axis.bounds[documents]
    # Where another document begins, that is the place.
    found = np.where(begin >= lowest, begin, stops)
    (inside,) = np.nonzero(begin < lowest)
    for some in np.array_split(inside, len(inside) // _AT_ONCE + 1):
        # Column k stands for a cut k places before the stop, between tokens k + 1 and k before it.
        first = stops[some] - begin[some] - window - 1
        ids = axis.windows(documents[some], first, window + 2)[:, ::-1]
        ranks = facts.ranks(ids[:, 1:], ids[:, :-1])
        ranks[np.arange(window + 1) > (stops - lowest)[some][:, None]] = np.iinfo(ranks.dtype).max
        found[some] = stops[some] - ranks.argmin(axis=1)
    return found
