"""A judge that is called over HTTP, for tests."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from quipu.evals.remote.server import JudgeServer


@contextmanager
def serving(judge, *, key: str | None = None, port: int = 0) -> Iterator[str]:
    """Serve a judge in a thread; its address."""
    with JudgeServer(judge, "127.0.0.1", port, key) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.address
        finally:
            server.shutdown()
            thread.join()
