"""What a run trains on: sources with weights or epochs, rows, infilling; which row comes when.

The schedule of a mixture runs in cycles of about `CYCLE_ROWS` rows. How many rows a source has had
after n cycles is its exact share of them, rounded down, so shares hold over any stretch and the
place of any row is found without those before it.
"""

import bisect
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple, Protocol, get_args

import numpy as np
import numpy.typing as npt

from quipu.config import ChatFormat
from quipu.data.loading import draws
from quipu.errors import UsageError

CYCLE_ROWS = 1024
SHORTEST_ROW = 32  # tokens; below, the specials of a sample leave no room for its text


class Weighed(Protocol):
    """What a mixture is made of."""

    @property
    def weight(self) -> float | None:
        """Share of all rows, against the weights of the others; None: by size times epochs."""

    @property
    def epochs(self) -> float | None:
        """How often it may be seen; None with a weight is without end, None without is once."""

    @property
    def name(self) -> str:
        """What tells sources of one recipe apart."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A group of the shards, and how much of it is wanted.

    `weight` is its share of all rows, against the weights of the others; without weights, sources
    are mixed by their size times `epochs`. `epochs` is also how often its text may be seen: None
    with a weight is without end, None without is once.

    With `packages`, files of one package follow each other in import order in one pack, which may
    be cut anywhere but is never mixed with another. With `joined` they see each other, as one
    document of the row; each file still begins with BOS and ends with EOS.
    """

    group: str
    weight: float | None = None
    epochs: float | None = None
    packages: bool = False
    joined: bool = True

    @property
    def name(self) -> str:
        """What tells sources of one recipe apart."""
        return f"{self.group} by package" if self.packages else self.group


@dataclass(frozen=True, kw_only=True)
class Infilling:
    """How many samples are rearranged for infilling, how many of them in SPM order, and cut how.

    Both cuts fall before characters drawn uniformly (arXiv 2308.12950 section 2.3), except that in
    a share `syntax` of the samples the middle is a stretch of syntax of the shards, where the part
    has one, and in a share `lines` the rest of a line, at times with up to four more: what an
    editor asks for, and short, so that a model learns when to stop.
    """

    rate: float = 0.5
    spm: float = 0.5
    syntax: float = 0.0
    lines: float = 0.0


@dataclass(frozen=True, kw_only=True)
class LoaderRecipe:
    """All that decides the rows of a run, besides the shards. Raises UsageError if it cannot be."""

    sources: tuple[Source, ...]
    row_tokens: int
    infilling: Infilling = Infilling()
    seed: int = 0

    def __post_init__(self) -> None:
        _check_rows(self.row_tokens, self.infilling)
        _check(self.sources)


@dataclass(frozen=True, kw_only=True)
class Dialogues:
    """Dialogues of some files, and how much of them is wanted; `weight`, `epochs` as of `Source`.

    Shares are of rows: few tokens of a dialogue are trained, nearly all of a source's.
    """

    files: str = "*"  # without .jsonl, in the folder dialogues; may be a pattern
    weight: float | None = None
    epochs: float | None = None

    @property
    def name(self) -> str:
        """What tells sources of one recipe apart."""
        return f"dialogues {self.files}"


@dataclass(frozen=True, kw_only=True)
class DialogueRecipe:
    """Rows of dialogues, mixed with rows of token shards so that what is known stays known.

    Raises UsageError if it cannot be.
    """

    row_tokens: int
    dialogues: tuple[Dialogues, ...] = (Dialogues(),)
    sources: tuple[Source, ...] = ()
    format: ChatFormat = "inst"
    infilling: Infilling = Infilling(rate=0.0)  # of the sources
    seed: int = 0

    def __post_init__(self) -> None:
        _check_rows(self.row_tokens, self.infilling)
        if self.format not in get_args(ChatFormat):
            raise UsageError(
                "chat format", got=self.format, allowed=" or ".join(get_args(ChatFormat))
            )
        if not self.dialogues:
            raise UsageError("dialogues", got="none", remedy="use a LoaderRecipe without them")
        for named in self.dialogues:
            if not named.files or "/" in named.files:
                raise UsageError(
                    "files of dialogues", got=repr(named.files), allowed="a name, or a pattern"
                )
        _check([*self.dialogues, *self.sources])


def _check_rows(row_tokens: int, infilling: Infilling) -> None:
    if row_tokens < SHORTEST_ROW:
        raise UsageError(
            "rows are too short", got=row_tokens, allowed=f"{SHORTEST_ROW} tokens or more"
        )
    for share in ("rate", "spm", "syntax", "lines"):
        value = getattr(infilling, share)
        if not 0 <= value <= 1:  # NaN too
            raise UsageError(f"infilling {share} is no share", got=value, allowed="0 to 1")
    both = infilling.syntax + infilling.lines
    if both > 1:
        raise UsageError("infilling syntax and lines", got=both, allowed="1 together at most")


def _check(sources: Sequence[Weighed]) -> None:
    names = [source.name for source in sources]
    if len(set(names)) < len(names):
        raise UsageError("a mixture names a source twice", got=", ".join(names))
    weighed = [source for source in sources if source.weight is not None]
    if weighed and len(weighed) < len(sources):
        raise UsageError(
            "a mixture weighs some sources only",
            got=", ".join(source.name for source in weighed),
            allowed="a weight for all sources, or for none",
        )
    for source in sources:
        for value in (source.weight, source.epochs):
            if value is not None and not (0 <= value < math.inf):
                raise UsageError(
                    f"source {source.name} asks for the impossible",
                    got=value,
                    allowed="weights and epochs of 0 or more",
                )
    if not any(source.weight != 0 and source.epochs != 0 for source in sources):
        raise UsageError("a mixture of nothing", remedy="give a source a weight or epochs above 0")


class _Cycle(NamedTuple):
    """Rows of the run from `begin` on: the source of each, and which row of that source it is."""

    begin: int
    sources: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]


class Schedule:
    """Which row of which source is row number i of the run."""

    def __init__(self, sources: Sequence[Weighed], epoch_rows: Sequence[int], seed: int) -> None:
        """`epoch_rows` are the rows that one epoch of each source fills."""
        self._key = (seed, zlib.crc32(b"mixture"))
        pairs = list(zip(sources, epoch_rows, strict=True))
        self._limits = [_limit(*pair) for pair in pairs]
        if all(source.weight is None for source in sources):
            total = sum(limit or 0 for limit in self._limits)
            cycles = max(1, -(-total // CYCLE_ROWS))
            self._shares = [Fraction(limit or 0, cycles) for limit in self._limits]
        else:
            weights = [_exact((s.weight or 0) if s.epochs != 0 else 0) for s in sources]
            self._shares = [CYCLE_ROWS * weight / sum(weights) for weight in weights]
        if not any(self._shares):
            raise UsageError(
                "a mixture of less than one row",
                got=", ".join(f"{rows} rows in {s.name}" for s, rows in pairs),
                remedy="ask for more epochs",
            )
        self._last = self._cycle(0)

    @cached_property
    def rows_total(self) -> int | None:
        """Rows until a source would be seen more often than its epochs allow; None: no end."""
        ends = [self._end(source) for source in range(len(self._limits))]
        return min((end for end in ends if end is not None), default=None)

    def at(self, index: int) -> tuple[int, int]:
        """Number of the source, and row of this source, for a row of the run from 0 on."""
        place = index - self._last.begin
        if not 0 <= place < len(self._last.rows):
            self._last = self._cycle(self._cycle_of(index))
            place = index - self._last.begin
        return int(self._last.sources[place]), int(self._last.rows[place])

    def _before(self, cycle: int) -> int:
        """Rows of the run before a cycle."""
        return sum(math.floor(cycle * share) for share in self._shares)

    def _cycle_of(self, index: int) -> int:
        """The last cycle that begins at `index` or before: past those without a row."""
        most = math.ceil((index + 1 + len(self._shares)) / sum(self._shares))
        return bisect.bisect_right(range(most + 1), index, key=self._before) - 1

    def _cycle(self, cycle: int) -> _Cycle:
        first = [math.floor(cycle * share) for share in self._shares]
        after = [math.floor((cycle + 1) * share) for share in self._shares]
        counts = [end - begin for begin, end in zip(first, after, strict=True)]
        order = draws.permutation(sum(counts), *self._key, cycle)
        sources, rows = np.empty_like(order), np.empty_like(order)
        sources[order] = np.repeat(np.arange(len(counts)), counts)
        by_source = np.argsort(sources, kind="stable")
        rows[by_source] = np.concatenate(
            [np.arange(begin, end) for begin, end in zip(first, after, strict=True)]
        )
        return _Cycle(sum(first), sources, rows)

    def _end(self, source: int) -> int | None:
        """Row of the run at which a source is asked for a row beyond its limit."""
        limit, share = self._limits[source], self._shares[source]
        if limit is None or share == 0:
            return None
        cycle = self._cycle(math.ceil((limit + 1) / share) - 1)  # the first that wants limit + 1
        beyond = (cycle.sources == source) & (cycle.rows == limit)
        return cycle.begin + int(np.flatnonzero(beyond)[0])


def _limit(source: Weighed, epoch_rows: int) -> int | None:
    """Rows of a source that may be seen; None without end."""
    if source.epochs is None:
        return None if source.weight is not None else epoch_rows
    return math.floor(_exact(source.epochs) * epoch_rows)


def _exact(value: float) -> Fraction:
    """The number as it is written: 0.7 of 10 rows are 7, not 6 as by the nearest float."""
    return Fraction(str(value))
