"""The TypeScript checker: a Node.js process that stays up, since starting one takes a second."""

import contextlib
import json
import os
import queue
import selectors
import shutil
import subprocess
from pathlib import Path

_SCRIPT = Path(__file__).with_name("typescript.js")
CHECK_S = 60.0  # wall time for one text; types can be programs that never end
HEAP_MB = 2048


class CheckerError(Exception):
    """The checker has not answered."""


class TypeScript:
    """A pool of checkers, started as they are needed. Safe to call from several threads."""

    def __init__(self, module: Path) -> None:
        """`module` is the folder of the npm package typescript."""
        self._module = module
        self._idle: queue.SimpleQueue[_Process] = queue.SimpleQueue()
        self._all: list[_Process] = []

    def check(self, source: str) -> tuple[list[str], str]:
        """Type errors of a program, and its JavaScript. Raises CheckerError."""
        try:
            process = self._idle.get_nowait()
        except queue.Empty:
            process = _Process(self._module)
            self._all.append(process)
        try:
            found = process.ask(source)
        except (OSError, ValueError, CheckerError) as error:
            process.close()
            raise CheckerError(f"the TypeScript checker: {error}") from error
        self._idle.put(process)
        return found

    def close(self) -> None:
        """End them all. Idempotent."""
        for process in self._all:
            process.close()


class _Process:
    def __init__(self, module: Path) -> None:
        node = shutil.which("node")
        if node is None:
            raise CheckerError("no node")
        self._process = subprocess.Popen(
            [node, f"--max-old-space-size={HEAP_MB}", str(_SCRIPT), str(module.resolve())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.defpath},
            cwd="/",
        )

    def ask(self, source: str) -> tuple[list[str], str]:
        """One text. Raises OSError, ValueError or CheckerError."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"source": source}).encode() + b"\n")
        self._process.stdin.flush()
        line = bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                if not selector.select(CHECK_S):
                    raise CheckerError(f"no answer in {CHECK_S:g} s")
                part = os.read(self._process.stdout.fileno(), 1 << 20)
                if not part:
                    raise CheckerError("it has ended")
                line += part
        answer = json.loads(line)
        return answer["errors"], answer["js"]

    def close(self) -> None:
        """End it. Idempotent."""
        self._process.kill()
        for end in (self._process.stdin, self._process.stdout):
            if end is not None:
                with contextlib.suppress(OSError):
                    end.close()
        self._process.wait()
