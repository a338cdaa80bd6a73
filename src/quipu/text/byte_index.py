"""Tokens of a vocabulary sorted by their bytes: a trie that is one sorted list."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


class ByteIndex:
    """Finds the tokens whose bytes begin with, or are, given bytes. Specials are in none."""

    def __init__(self, token_bytes: Sequence[bytes]) -> None:
        spelled = [token_id for token_id, data in enumerate(token_bytes) if data]
        spelled.sort(key=token_bytes.__getitem__)
        self._ids = np.array(spelled, dtype=np.int64)
        self._bytes = [token_bytes[token_id] for token_id in spelled]

    def beginning_with(self, prefix: bytes) -> npt.NDArray[np.int64]:
        """Ids of tokens that begin with `prefix`, itself included."""
        end = _after(prefix)
        last = len(self._bytes) if end is None else bisect_left(self._bytes, end)
        return self._ids[bisect_left(self._bytes, prefix) : last]

    def equal_to(self, data: bytes) -> npt.NDArray[np.int64]:
        """Ids of tokens that are exactly `data`; a space is often both a piece and a byte."""
        return self._ids[bisect_left(self._bytes, data) : bisect_right(self._bytes, data)]


def _after(prefix: bytes) -> bytes | None:
    """The smallest bytes above everything that begins with `prefix`; None: there are none."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else None
