"""Random numbers that depend on their key alone, for many keys at once.

SplitMix64 (Steele, Lea and Flood 2014; the constants of its reference code) as a counter-based
generator: a key's words are folded into a state one after the other, and draw number i is what
SplitMix64 gives i + 1 steps after that state. Integers wrap at 64 bits. A run that was started with
these numbers resumes with them: they never change (golden test), whatever numpy does to its own.
"""

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]

_STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_AT_ONCE = 2**15  # words that stay in the cache
_27, _30, _31, _11 = np.uint64(27), np.uint64(30), np.uint64(31), np.uint64(11)


def states(*key: int | npt.ArrayLike) -> Words:
    """One state for each key; words that are arrays are broadcast, all are taken modulo 2**64."""
    state = np.zeros(1, dtype=np.uint64)
    for word in key:
        state = _mix((state ^ _words(word)) + _STEP)
    return state


def uniform(state: Words, draw: int) -> npt.NDArray[np.float64]:
    """Draw number `draw` of each state: a multiple of 2**-53 in [0, 1)."""
    drawn = _mix(state + np.uint64((draw + 1) * int(_STEP) % 2**64))
    return (drawn >> _11).astype(np.float64) * 2.0**-53


def below(state: Words, draw: int, limits: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Draw number `draw` of each state as an integer from 0 to limit - 1; limits up to 2**53."""
    found: npt.NDArray[np.int64] = (uniform(state, draw) * np.asarray(limits)).astype(np.int64)
    return found


def permutation(count: int, *key: int) -> npt.NDArray[np.int64]:
    """The numbers below `count` in an order that depends on the key.

    They are sorted by a random word whose last bits give way to the number itself, so that no two
    are equal and any way of sorting gives the same order.
    """
    words = np.empty(count, dtype=np.uint64)
    low = np.uint64(2 ** max(count - 1, 1).bit_length() - 1)
    state = states(*key)
    for first in range(0, count, _AT_ONCE):
        numbers = np.arange(first, min(first + _AT_ONCE, count), dtype=np.uint64)
        words[first : first + _AT_ONCE] = _mix(numbers * _STEP + state) & ~low | numbers
    words.sort()
    words &= low
    return words.view(np.int64)


def _words(word: int | npt.ArrayLike) -> Words:
    if isinstance(word, int):
        return np.array([word % 2**64], dtype=np.uint64)
    return np.asarray(word).astype(np.uint64)


def _mix(state: Words) -> Words:
    mixed = (state ^ (state >> _30)) * _FIRST
    mixed = (mixed ^ (mixed >> _27)) * _SECOND
    mixed ^= mixed >> _31
    return mixed
