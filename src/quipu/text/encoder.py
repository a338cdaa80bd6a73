"""Ids of whole texts at the speed of a dictionary: chunk by chunk, and each chunk split only once.

A vocabulary's safe boundaries cut source code into words, runs of spaces and marks, few of which
are new. What the library says of a chunk is kept, so that most chunks cost one look-up.
"""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from quipu.text.boundaries import Boundaries
from quipu.text.tokenizer import Tokenizer

CACHED_CHUNKS = 300_000  # about 60 MB
LONGEST_CACHED = 64  # characters
_BLOCK = 2**20  # characters that are looked at at once


class Encoder:
    """Encodes as `Tokenizer.encode` does, to the id, into arrays; faster for long texts.

    `dtype` is uint16 where it holds the vocabulary, else uint32. A vocabulary without safe
    boundaries is encoded by its library.
    """

    def __init__(self, tokenizer: Tokenizer, *, cached_chunks: int = CACHED_CHUNKS) -> None:
        self.tokenizer = tokenizer
        self.boundaries = Boundaries.of(tokenizer)
        self.dtype: np.dtype[Any] = np.dtype(np.uint16 if tokenizer.vocab <= 2**16 else np.uint32)
        self._known = _Chunks(tokenizer, self.dtype, cached_chunks)

    def encode(self, text: str, *, dummy_prefix: bool = True) -> npt.NDArray[Any]:
        """Token ids of `text`. Raises TextError for a lone surrogate."""
        if self.boundaries is None:
            ids = self.tokenizer.encode(text, dummy_prefix=dummy_prefix)
            return np.array(ids, dtype=self.dtype)
        begin = " " if text and dummy_prefix and self.tokenizer.adds_space else ""
        try:
            data = b"".join(map(self._known.__getitem__, _chunks(self.boundaries, begin, text)))
        except UnicodeEncodeError:
            self.tokenizer.encode(text)  # which says what is wrong
            raise
        return np.frombuffer(data, dtype=self.dtype)


class _Chunks(dict[str, bytes]):
    """Ids of chunks as bytes; those that are not known yet come from the library."""

    def __init__(self, tokenizer: Tokenizer, dtype: np.dtype[Any], limit: int) -> None:
        super().__init__()
        self._tokenizer = tokenizer
        self._dtype = dtype
        self._limit = limit

    def __missing__(self, chunk: str) -> bytes:
        ids = self._tokenizer.encode(chunk, dummy_prefix=False)
        data = np.array(ids, dtype=self._dtype).tobytes()
        if len(chunk) <= LONGEST_CACHED:
            if len(self) >= self._limit:
                self.clear()
            self[chunk] = data
        return data


def _chunks(boundaries: Boundaries, begin: str, text: str) -> Iterator[str]:
    """Chunks of `begin + text`, found block by block; the last of a block may go on in the next."""
    if len(text) <= _BLOCK:
        return iter(boundaries.chunks(begin + text))
    return itertools.chain.from_iterable(_blocks(boundaries, begin, text))


def _blocks(boundaries: Boundaries, begin: str, text: str) -> Iterator[list[str]]:
    for start in range(0, len(text), _BLOCK):
        chunks = boundaries.chunks(begin + text[start : start + _BLOCK])
        begin = chunks.pop()
        yield chunks
    yield [begin]
