"""Token and n-gram hashes of source text, whole arrays at a time.

A token is a run of word bytes (letters, digits, `_`, and every byte of a character beyond ASCII)
or one other visible byte; white space and control characters only separate. So `x+=1` and
`x += 1` are the same tokens, and nothing that a programming language means is lost but layout.

The hash of a token is a polynomial over its bytes modulo 2**64, taken from prefix sums: for an
odd base there is an inverse, and `(P[end] - P[start]) * base**-start` depends on the bytes alone.
It is the same on every machine.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

CHUNK = 1 << 16  # bytes hashed at once: their prefix sums stay in a core's own cache
_BASE, _GRAM_BASE = 0x9E3779B97F4A7C15, 0xD1342543DE82EF95  # odd, bits well spread
_SPACE, _MARK, _WORD = 0, 1, 2


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """Where the T tokens of a text lie in its UTF-8 bytes, and what they are."""

    starts: NDArray[np.int64]  # [T] byte of the first
    ends: NDArray[np.int64]  # [T] byte after the last
    words: NDArray[np.bool_]  # [T] a run of word bytes, not a mark
    hashes: Hashes  # [T] equal for equal bytes


def tokens(text: str, *, fold_case: bool = False) -> Tokens:
    """The tokens of a text; with `fold_case`, ASCII letters hash alike in both cases.

    A single token beyond CHUNK bytes counts as several.
    """
    data = np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8)
    values = _byte_values(fold_case)
    parts = [_chunk(data[start:end], start, values) for start, end in _chunks(data)]
    if len(parts) == 1:
        return parts[0]
    return Tokens(
        starts=np.concatenate([part.starts for part in parts] or [np.empty(0, np.int64)]),
        ends=np.concatenate([part.ends for part in parts] or [np.empty(0, np.int64)]),
        words=np.concatenate([part.words for part in parts] or [np.empty(0, np.bool_)]),
        hashes=np.concatenate([part.hashes for part in parts] or [np.empty(0, np.uint64)]),
    )


def ngrams(hashes: Hashes, n: int) -> Hashes:
    """Hashes of all runs of n neighbours, in order: [T - n + 1], empty where T < n.

    Not sorted, not unique. Runs of 2n come from two runs of n, so the cost grows with log n.
    """
    assert n >= 1
    count = max(0, len(hashes) - n + 1)
    if not count:
        return np.empty(0, np.uint64)
    grams, size = hashes, 1
    for bit in bin(n)[3:]:
        power = np.uint64(pow(_GRAM_BASE, size, 2**64))
        grams, size = grams[:-size] * power + grams[size:], 2 * size
        if bit == "1":
            grams, size = grams[:-1] * np.uint64(_GRAM_BASE) + hashes[size:], size + 1
    return mixed(grams)


def mixed(hashes: Hashes) -> Hashes:
    """Every bit of a hash spread over all bits (the finaliser of splitmix64); a bijection."""
    result = (hashes ^ (hashes >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    result = (result ^ (result >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(result ^ (result >> np.uint64(31)), np.uint64)


def _chunks(data: NDArray[np.uint8]) -> Iterator[tuple[int, int]]:
    """Byte ranges of at most CHUNK that cut no token, unless the token is longer."""
    start = 0
    while start < len(data):
        end = min(start + CHUNK, len(data))
        if end < len(data):
            cuts = np.flatnonzero(_KINDS[data[start:end]] != _WORD)
            end = start + int(cuts[-1]) + 1 if len(cuts) else end
        yield start, end
        start = end


def _chunk(data: NDArray[np.uint8], offset: int, values: Hashes) -> Tokens:
    kinds = _KINDS[data]
    word, mark = kinds == _WORD, kinds == _MARK
    first, last = word.copy(), word.copy()
    first[1:] &= ~word[:-1]
    last[:-1] &= ~word[1:]
    starts, ends = np.flatnonzero(first | mark), np.flatnonzero(last | mark) + 1
    powers, inverses = _powers()
    sums = np.zeros(len(data) + 1, np.uint64)
    np.cumsum(values[data] * powers[: len(data)], out=sums[1:])
    return Tokens(
        starts=starts + offset,
        ends=ends + offset,
        words=word[starts],
        hashes=mixed((sums[ends] - sums[starts]) * inverses[starts]),
    )


@cache
def _powers() -> tuple[Hashes, Hashes]:
    """`base**i` and `base**-i` modulo 2**64, for every i of a chunk."""
    tables = []
    for base in (_BASE, pow(_BASE, -1, 2**64)):
        table = np.full(CHUNK, base, np.uint64)
        table[0] = 1
        tables.append(np.cumprod(table, dtype=np.uint64))
    return tables[0], tables[1]


@cache
def _byte_values(fold_case: bool) -> Hashes:
    """The number that stands for each byte in the polynomial."""
    values = mixed(np.arange(1, 257, dtype=np.uint64) * np.uint64(_BASE))
    if fold_case:
        values[ord("A") : ord("Z") + 1] = values[ord("a") : ord("z") + 1]
    return values


def _byte_kinds() -> NDArray[np.uint8]:
    kinds = np.full(256, _MARK, np.uint8)
    kinds[:33] = _SPACE
    kinds[127] = _SPACE
    kinds[128:] = _WORD
    for byte in b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_":
        kinds[byte] = _WORD
    return kinds


_KINDS = _byte_kinds()
