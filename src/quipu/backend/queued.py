"""A stream that one thread fills and another iterates."""

import queue
from collections.abc import Callable, Iterator

from quipu.errors import BackendError
from quipu.request import Piece

POLL_S = 0.1  # an unbounded wait would hold back Ctrl-C on Windows


class QueuedStream:
    """Implements `Stream`. The filling thread calls `put`, then `end` or `fail` once.

    Ctrl-C while somebody waits for a piece cancels the stream: nobody may come for the rest.
    """

    def __init__(self, on_cancel: Callable[[], None]) -> None:
        self._on_cancel = on_cancel
        self._items: queue.SimpleQueue[Piece | BackendError | None] = queue.SimpleQueue()
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
        self._items.put(piece)

    def end(self) -> None:
        self._items.put(None)

    def fail(self, error: BackendError) -> None:
        self._items.put(error)
