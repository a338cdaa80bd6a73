"""Where a run of tokens has stood before, and so what may come next: n-gram lookup.

Nothing here must be right: a draft is verified by the model, a wrong one costs time alone.
"""

from collections.abc import Sequence

import numpy as np

ORDERS = (4, 3, 2)  # n-grams, longest first
BREAK = -1  # between two texts of a store: no token
_BASE = 40_009  # digits of a key; 4 of them stay within 63 bits up to ids of 140 000
_BULK = 16  # tokens from which on numpy is the quicker way to make keys

Keys = tuple[int, int, int]


class Ngrams:
    """A text that grows at its end, and the place after the latest occurrence of each n-gram."""

    def __init__(self, tokens: list[int]) -> None:
        self.tokens = tokens  # shared: its owner appends
        self._after: tuple[dict[int, int], ...] = tuple({} for _ in ORDERS)
        self._known = ORDERS[0]  # tokens before this have been taken in

    @property
    def behind(self) -> int:
        """Tokens that `update` would take in."""
        return max(0, len(self.tokens) - self._known)

    def update(self) -> None:
        """Take in what has been appended."""
        end = len(self.tokens)
        if end - self._known > _BULK:
            window = np.array(self.tokens[self._known - ORDERS[0] : end - 1], dtype=np.int64)
            twos = window[:-1] * _BASE + window[1:]
            threes = window[:-2] * _BASE**2 + twos[1:]
            fours = window[:-3] * _BASE**3 + threes[1:]
            for found, many in zip(self._after, (fours, threes[1:], twos[2:]), strict=True):
                found.update(zip(many.tolist(), range(self._known, end), strict=True))
        else:
            for place in range(self._known, end):
                keys = ending_keys(self.tokens[place - ORDERS[0] : place])
                for found, key in zip(self._after, keys, strict=True):
                    found[key] = place
        self._known = max(self._known, end)

    def find(self, rank: int, key: int) -> int | None:
        """The place after the latest n-gram of order `ORDERS[rank]` with this key."""
        return self._after[rank].get(key)


def ending_keys(tokens: Sequence[int]) -> Keys:
    """Keys of the n-grams that end a text of at least 4 tokens, one of each order."""
    a, b, c, d = tokens[-ORDERS[0] :]
    two = c * _BASE + d
    three = b * _BASE**2 + two
    return a * _BASE**3 + three, three, two


class Texts:
    """Finished texts, up to a number of tokens; the oldest half goes when it is full."""

    def __init__(self, limit: int) -> None:
        self._half = limit // 2
        self.young, self.old = Ngrams([]), Ngrams([])

    @property
    def behind(self) -> int:
        """Tokens that `update` would take in."""
        return self.young.behind

    def update(self) -> None:
        """Make what has been added known."""
        self.young.update()

    def add(self, tokens: Sequence[int]) -> None:
        """Keep a text, or its end if it is longer than half the limit, for the next `update`."""
        if len(self.young.tokens) + len(tokens) > self._half and self.young.tokens:
            self.young.update()
            self.young, self.old = Ngrams([]), self.young
        self.young.tokens += tokens[-self._half :]
        self.young.tokens.append(BREAK)


class Drafter:
    """Follows one sequence: where its end has stood before, and how far it has matched since."""

    def __init__(self, tokens: list[int], texts: Texts) -> None:
        self.run = 0  # tokens that match before the place; 1: it is a guess; 0: there is none
        self._own = Ngrams(tokens)
        self._texts = texts
        self._source: list[int] = tokens
        self._place = 0
        self._seen = len(tokens)

    def advance(self) -> list[tuple[int, bool]]:
        """Take in the newest tokens; say for each that was foretold the run before it, and if so.

        A constant amount of work for each token.
        """
        tokens = self._own.tokens
        told = []
        for token in tokens[self._seen :]:
            if self.run:
                hit = self._source[self._place] == token
                told.append((self.run, hit))
                # A text that has left its source may have changed one token only.
                run = self.run + 1 if hit else int(self.run > 1)
                self._go_to(self._source, self._place + 1, run)
        self._seen = len(tokens)
        self._own.update()
        if self.run <= 1 and len(tokens) >= ORDERS[0]:
            self._look_up(ending_keys(tokens[-ORDERS[0] :]))
        return told

    def draft(self, size: int) -> list[int]:
        """At most `size` tokens that may come next."""
        assert self.run
        ahead = self._source[self._place : self._place + size]
        if self._source is self._own.tokens and len(ahead) < size:
            return (ahead * (size // len(ahead) + 1))[:size]  # what repeats goes on repeating
        return ahead[: ahead.index(BREAK)] if BREAK in ahead else ahead

    def _look_up(self, keys: Keys) -> None:
        for rank, key in enumerate(keys):
            for ngrams in (self._own, self._texts.young, self._texts.old):
                place = ngrams.find(rank, key)
                if place is not None and ngrams.tokens[place] != BREAK:
                    self._go_to(ngrams.tokens, place, ORDERS[rank])
                    return

    def _go_to(self, source: list[int], place: int, run: int) -> None:
        ended = place >= len(source) or source[place] == BREAK
        self._source, self._place, self.run = source, place, 0 if ended else run
