"""What the loader must know of each token of a vocabulary, as arrays over ids."""

from typing import Any

import numpy as np
import numpy.typing as npt

from quipu.text.boundaries import Boundaries
from quipu.text.tokenizer import Tokenizer

Ids = npt.NDArray[np.integer[Any]]
Bools = npt.NDArray[np.bool_]

# How good it is to begin a part at a token, the least the best. Lines count by their indentation.
_BLANK_LINE, _SAFE, _WHOLE, _NOWHERE = 200, 201, 202, 203
_DEEPEST = 99


class Facts:
    """Characters, bytes, line ends and safe boundaries of the tokens of one vocabulary."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.token_bytes = tokenizer.token_bytes
        self.bytes_V = np.array([len(data) for data in self.token_bytes], dtype=np.int64)
        self.chars_V = np.array([characters(data) for data in self.token_bytes], dtype=np.int64)
        self._ends_line_V = np.array([data.endswith(b"\n") for data in self.token_bytes])
        self._begins_V = np.array([characters(data[:1]) == 1 for data in self.token_bytes])
        self._line_rank_V = np.array([_line_rank(data) for data in self.token_bytes])
        boundaries = Boundaries.of(tokenizer)
        if boundaries is None:  # nothing is safe
            self._joins = np.ones(1, dtype=np.bool_)
            self._row_V = self._column_V = np.zeros(tokenizer.vocab, dtype=np.intp)
        else:  # pairs of classes as one number: faster to look up
            self._joins = boundaries.joins_KK.ravel()
            self._row_V = boundaries.last_V.astype(np.intp) * len(boundaries.joins_KK)
            self._column_V = boundaries.first_V.astype(np.intp)

    def safe(self, left: Ids, right: Ids) -> Bools:
        """Whether a text may be cut between these tokens without changing those on either side."""
        return ~self._joins.take(self._row_V.take(left) + self._column_V.take(right))

    def ranks(self, left: Ids, right: Ids) -> npt.NDArray[np.int64]:
        """How bad it is to cut between these tokens.

        Best is before the least indented line, then any line, then where tokens do not change,
        then any character; `right` must begin one, else nothing is allowed.
        """
        other = np.where(self._begins_V[right], _WHOLE, _NOWHERE)
        other = np.where(self.safe(left, right), _SAFE, other)
        return np.where(self._ends_line_V[left], self._line_rank_V[right], other)


def characters(data: bytes) -> int:
    """Characters that begin in these bytes of UTF-8."""
    return sum(byte & 0xC0 != 0x80 for byte in data)


def _line_rank(data: bytes) -> int:
    """Rank of a line by its first token: its indentation, blank lines last.

    Four spaces may be one token, or three and a word with its own, so levels count in pairs.
    """
    if data[:1] in (b"\n", b"\r"):
        return _BLANK_LINE
    if data and characters(data[:1]) == 0:
        return _NOWHERE
    spaces = len(data) - len(data.lstrip(b" \t"))
    tabs = data[:spaces].count(b"\t")
    return min((spaces + 3 * tabs + 1) // 2, _DEEPEST)
