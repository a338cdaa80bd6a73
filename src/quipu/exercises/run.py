"""Running untrusted pieces of Python in confined processes, many pieces to a process.

The one seam to execution: a sandbox of the project's own can take this module's place.
"""

import json
import os
import selectors
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

WORKER = Path(__file__).with_name("worker.py")
Status = Literal["ok", "error", "timeout", "memory", "crashed"]


@dataclass(frozen=True, kw_only=True)
class Job:
    """A piece of code, and what to ask of it: expressions to evaluate, or inputs of a program.

    `free` pieces see all builtins and may import anything below the worker's path. `kind` names a
    module with `answer(job, allowed)` that is asked instead, with `code` and `calls` as it likes.
    """

    code: str
    calls: tuple[str, ...] = ()
    stdin: tuple[str, ...] = ()
    free: bool = False
    kind: str = ""
    name: str = "__main__"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a job: a text for each call or input; one line about the error otherwise."""

    status: Status
    values: tuple[Any, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every call gave a value."""
        return self.status == "ok"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What pieces may use: processor time each and together, memory, and silence of the worker."""

    cpu_s: float = 0.2
    batch_cpu_s: int = 300
    wall_s: float = 30.0
    memory_mb: int = 512


@dataclass(frozen=True, kw_only=True)
class Runner:
    """Answers jobs in order, each batch in a fresh process that ignores this one's environment."""

    limits: Limits = field(default_factory=Limits)
    path: tuple[str, ...] = ()  # folders that free pieces may import from

    def run(self, jobs: Sequence[Job], hash_seed: int = 0) -> list[Outcome]:
        """One outcome a job; a piece that takes its process down is answered `crashed`."""
        outcomes: list[Outcome] = []
        while len(outcomes) < len(jobs):
            outcomes += self._batch(jobs[len(outcomes) :], hash_seed)
        return outcomes

    def granted(self) -> tuple[str, ...]:
        """What the kernel takes from a worker for good: network, files."""
        with tempfile.TemporaryDirectory() as folder, self._start(folder, 0) as worker:
            assert worker.stdin is not None
            assert worker.stdout is not None
            worker.stdin.close()
            return tuple(json.loads(worker.stdout.read().splitlines()[0])["granted"])

    def _start(self, folder: str, hash_seed: int) -> "subprocess.Popen[bytes]":
        settings = {
            "cpu_s": self.limits.batch_cpu_s,
            "memory_mb": self.limits.memory_mb,
            "path": list(self.path),
        }
        # -I would ignore PYTHONHASHSEED, so -s -P -S and an otherwise empty environment.
        flags = ["-s", "-P", "-S", "-B", "-W", "ignore"]
        return subprocess.Popen(
            [sys.executable, *flags, str(WORKER), json.dumps(settings)],
            env={"PYTHONHASHSEED": str(hash_seed), "LC_ALL": "C.UTF-8", "TZ": "UTC"},
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def _batch(self, jobs: Sequence[Job], hash_seed: int) -> list[Outcome]:
        """Outcomes until the first piece that took the process down, that one included."""
        outcomes: list[Outcome] = []
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o555)
            worker = self._start(folder, hash_seed)
            try:
                lines = _Lines(worker, self.limits.wall_s)
                if lines.next() is None:
                    raise RuntimeError("the worker of exercises did not start")
                for job in jobs:
                    reply = lines.ask(self._line(job))
                    if reply is None:
                        outcomes.append(Outcome(status="timeout" if lines.silent else "crashed"))
                        break
                    outcomes.append(Outcome(status=reply["status"], values=tuple(reply["values"])))
            finally:
                worker.kill()
                worker.communicate()
        return outcomes

    def _line(self, job: Job) -> bytes:
        fields = {**vars(job), "cpu_s": self.limits.cpu_s, "tools": [str(WORKER.parent / "inside")]}
        return json.dumps(fields).encode() + b"\n"


class _Lines:
    """Answers of a worker, one for a question, with a limit on silence."""

    def __init__(self, worker: "subprocess.Popen[bytes]", wall_s: float) -> None:
        assert worker.stdin is not None
        assert worker.stdout is not None
        self.input, self.output = worker.stdin, worker.stdout
        self.wall_s = wall_s
        self.silent = False
        self._selector = selectors.DefaultSelector()
        self._selector.register(self.output, selectors.EVENT_READ)
        self._rest = b""

    def ask(self, line: bytes) -> dict[str, Any] | None:
        """The answer to one question; None if the worker has died or stays silent."""
        try:
            self.input.write(line)
            self.input.flush()
        except BrokenPipeError:
            return None
        return self.next()

    def next(self) -> dict[str, Any] | None:
        """The next line of the worker."""
        while b"\n" not in self._rest:
            if not self._selector.select(self.wall_s):
                self.silent = True
                return None
            piece = os.read(self.output.fileno(), 1 << 16)
            if not piece:
                return None
            self._rest += piece
        line, self._rest = self._rest.split(b"\n", 1)
        try:
            found = json.loads(line)
        except json.JSONDecodeError:
            return None
        return found if isinstance(found, dict) else None
