"""A stream that one thread fills and another iterates."""

import queue
import time
from collections.abc import Callable, Iterator

from quipu.errors import BackendError
from quipu.request import Piece

POLL_S = 0.1  # an unbounded wait would hold back Ctrl-C on Windows
# Waking for each token of a small model takes a processor from the threads that make the next:
# where pieces come faster than FAST_S, a reader who has had them all sleeps for BUNDLE_S.
FAST_S = 0.001
BUNDLE_S = 0.002  # too short for anybody to see


class QueuedStream:
    """Implements `Stream`. The filling thread calls `put`, then `end` or `fail` once.

    Ctrl-C while somebody waits for a piece cancels the stream: nobody may come for the rest.
    """

    def __init__(self, on_cancel: Callable[[], None]) -> None:
        self._on_cancel = on_cancel
        self._items: queue.SimpleQueue[Piece | BackendError | None] = queue.SimpleQueue()
        self._over = False
        self._error: BackendError | None = None
        self._emptied_at = time.perf_counter()
        self._taken = 0  # pieces since then

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
            if self._items.empty():
                self._let_gather()
            try:
                item = self._items.get(timeout=POLL_S)
            except queue.Empty:
                continue
            if isinstance(item, Piece):
                self._taken += 1
                return item
            self._over, self._error = True, item
        raise self._error or StopIteration

    def _let_gather(self) -> None:
        """Sleep if pieces come fast; the end of the answer is then as late as any piece."""
        if time.perf_counter() - self._emptied_at < FAST_S * self._taken:
            time.sleep(BUNDLE_S)
        self._emptied_at, self._taken = time.perf_counter(), 0

    def cancel(self) -> None:
        self._on_cancel()

    def put(self, piece: Piece) -> None:
        self._items.put(piece)

    def end(self) -> None:
        self._items.put(None)

    def fail(self, error: BackendError) -> None:
        self._items.put(error)
