"""A stream that one thread fills and another iterates."""

import queue
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from quipu.errors import BackendError
from quipu.request import Piece

POLL_S = 0.1  # an unbounded wait would hold back Ctrl-C on Windows


class QueuedStream:
    """Implements `Stream`. The filling thread calls `put`, then `end` or `fail` once.

    It may also `hold` pieces, and hand them over in one with `flush`: to wake the reader for every
    token takes time from those who compute the next. `put`, `end` and `fail` flush first.

    Ctrl-C while somebody waits for a piece cancels the stream: nobody may come for the rest.
    """

    def __init__(self, on_cancel: Callable[[], None]) -> None:
        self._on_cancel = on_cancel
        self._items: queue.SimpleQueue[Piece | BackendError | None] = queue.SimpleQueue()
        self._held: list[Piece] = []  # the filling thread's
        self._over = False
        self._error: BackendError | None = None

    def __iter__(self) -> Iterator[Piece]:
        return self

    def __next__(self) -> Piece:
        try:
            return self._next()
        except KeyboardInterrupt:
            self.cancel()
            raise

    def _next(self) -> Piece:
        while not self._over:
            try:
                item = self._items.get(timeout=POLL_S)
            except queue.Empty:
                continue
            if isinstance(item, Piece):
                return item
            self._over, self._error = True, item
        raise self._error or StopIteration

    def cancel(self) -> None:
        self._on_cancel()

    def put(self, piece: Piece) -> None:
        self.flush()
        self._items.put(piece)

    def hold(self, piece: Piece) -> None:
        self._held.append(piece)

    def flush(self) -> None:
        """Hand over what is held, a piece for each answer."""
        for index in dict.fromkeys(piece.index for piece in self._held):
            self._items.put(joined([piece for piece in self._held if piece.index == index]))
        self._held.clear()

    def end(self) -> None:
        self.flush()
        self._items.put(None)

    def fail(self, error: BackendError) -> None:
        self.flush()
        self._items.put(error)


def joined(pieces: Sequence[Piece]) -> Piece:
    """Pieces of one answer, at least one, as one."""
    return replace(
        pieces[-1],
        text="".join(piece.text for piece in pieces),
        token_ids=tuple(token_id for piece in pieces for token_id in piece.token_ids),
        logprobs=tuple(logprob for piece in pieces for logprob in piece.logprobs),
    )
