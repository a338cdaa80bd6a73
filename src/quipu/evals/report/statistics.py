"""Numbers with their uncertainty: the bootstrap over problems, an exact paired test.

A benchmark is a sample of the problems that could have been asked, so problems are what is drawn
again. Random numbers are keyed: the same run gives the same interval, to the last digit.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

RESAMPLES = 10_000
LEVEL = 0.95
_CELLS = 2_000_000  # of draws in memory at a time

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean over problems, where it would lie if other problems had been asked."""

    value: float
    low: float
    high: float
    error: float  # standard error

    def holds(self, value: float) -> bool:
        """Whether a value is within the interval."""
        return self.low <= value <= self.high


def estimates(rows: Array, *key: object, bounded: bool = False) -> list[Estimate]:
    """Mean of each column over problems (rows), with its interval by percentiles.

    All columns see the same drawn problems. `bounded`: values are from 0 to 1. There, where every
    problem has the same 0 or 1, drawing again knows no doubt; the exact binomial bound stands in.
    """
    drawn = _means(rows, *key)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(drawn, (tail, 1 - tail), axis=0)
    value, error = rows.mean(axis=0), drawn.std(axis=0)
    found = []
    for place in range(rows.shape[1]):
        bounds = float(low[place]), float(high[place])
        if bounded and len(set(rows[:, place])) == 1 and value[place] in (0.0, 1.0):
            unseen = 1 - tail ** (1 / len(rows))
            bounds = (0.0, unseen) if value[place] == 0 else (1 - unseen, 1.0)
        found.append(
            Estimate(
                value=float(value[place]), low=bounds[0], high=bounds[1], error=float(error[place])
            )
        )
    return found


def _means(rows: Array, *key: object) -> Array:
    """Means of the columns in each resample.

    Equal rows are drawn together by their count, which has the same distribution and is far faster
    where problems have few distinct results.
    """
    distinct, counts = np.unique(rows, axis=0, return_counts=True)
    draw = generator("bootstrap", *key)
    step = max(_CELLS // len(distinct), 1)
    parts = []
    for start in range(0, RESAMPLES, step):
        size = min(step, RESAMPLES - start)
        times = draw.multinomial(len(rows), counts / len(rows), size=size)
        parts.append(times @ distinct / len(rows))
    return np.concatenate(parts)


def generator(*key: object) -> np.random.Generator:
    """Random numbers that depend on nothing but the key."""
    digest = hashlib.sha256("\0".join(map(str, key)).encode()).digest()
    return np.random.Generator(np.random.Philox(int.from_bytes(digest[:16], "little")))


def sign_test(better: int, worse: int) -> float:
    """Two-sided exact probability of so uneven a split if neither side were better.

    On problems that one run solves and the other does not this is McNemar's exact test.
    """
    total, fewer = better + worse, min(better, worse)
    ways = sum(math.comb(total, count) for count in range(fewer + 1))
    p: float = 2 * ways / 2**total
    return min(1.0, p)


def decoded(percent: float, problems: int) -> int | None:
    """How many of the problems a printed percentage means, if it means one count only."""
    digits = len(repr(float(percent)).partition(".")[2])
    reach = 0.5 * 10**-digits + 1e-9
    near = round(percent * problems / 100)
    fits = [
        count
        for count in range(max(near - 2, 0), min(near + 3, problems + 1))
        if abs(100 * count / problems - percent) <= reach
    ]
    return fits[0] if len(fits) == 1 else None


def paired(first: Sequence[float], second: Sequence[float], *key: object) -> Estimate:
    """Second minus first over the same problems, which are drawn as pairs."""
    differences = np.subtract(second, first, dtype=np.float64)
    return estimates(differences[:, None], "paired", *key)[0]
