"""A child that lasts: plain programs with plain tests run in it one after the other.

Forking, confining and ending a process takes longer than most programs do. What a program and its
tests can reach is known when both are plain (`plain`): nothing that outlives them. So one child,
confined as every other, runs many. Where anything but an exception or the last statement ends a
program that was not a child's first, it runs again in a new one, and that outcome counts.
"""

import contextlib
import marshal
import os
import struct
import warnings
from functools import partial
from typing import Any

from quipu.sandbox import children
from quipu.sandbox.confine import Confinement, started
from quipu.sandbox.frozen import can_freeze
from quipu.sandbox.plain import plain
from quipu.sandbox.running import run_many

# A child is left when it has done so much, that time, memory and limits stay those of a program.
MOST_PROGRAMS = 1000
MOST_CPU_S = 10
MOST_GROWTH_BYTES = 8 * 2**20


class Host:
    """The child of a worker that lasts, if there is one at the moment."""

    def __init__(self, confinement: Confinement) -> None:
        self._confinement = confinement
        self._possible = can_freeze()
        self._child: _Child | None = None

    @property
    def lasts(self) -> bool:
        """Whether there is a child."""
        return self._child is not None

    def run(self, job: dict[str, Any]) -> dict[str, Any] | None:
        """The outcome of a program that may share a child with others; None if it may not."""
        task = self._task(job)
        if task is None:
            return None
        command = job["commands"][0]
        child = self._child
        if child is not None and child.command == command and not child.worn:
            answer = child.ask(task)
            if answer.pop("lasts"):
                return answer
        self.end()
        child = self._child = _Child(command, self._confinement)
        answer = child.ask(task)
        if not answer.pop("lasts"):
            self.end()
        return answer

    def end(self) -> None:
        """End the child and all that is below the worker."""
        if self._child is not None:
            self._child.close()
            self._child = None
            children.end_all(self._confinement.alone)

    def _task(self, job: dict[str, Any]) -> bytes | None:
        """What a child needs, if the program is plain with its tests."""
        if not self._possible or job["apart"] is None or job["stdin"]:
            return None
        if job["environment"] != self._confinement.environment:
            return None
        ((name, source),) = job["files"].items()
        program, whole = job["apart"]["program"], source.decode(errors="surrogatepass")
        if not whole.startswith(program):
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they would be told on this process's stderr
            found = plain(program, whole.removeprefix(program))
            if found is None:
                return None
            try:  # here, for then it is read once
                code = compile(found.tree, name, "exec")
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                return None
        return marshal.dumps({"code": code, "source": source, "modules": sorted(found.modules)})


class _Child:
    def __init__(self, command: dict[str, Any], confinement: Confinement) -> None:
        self.command = command
        self._alone = confinement.alone
        given, self._asks = os.pipe()
        # The kernel's limit is for all that it runs; the worker looks at each program's time.
        limits = command["limits"] | {"cpu_s": command["limits"]["cpu_s"] + MOST_CPU_S}
        run = partial(run_many, command["words"][1])
        self._process, self._ends = started(
            command | {"limits": limits}, confinement, confinement.environment, given, run
        )
        self._programs, self._used_s, self._clean = 0, 0.0, True
        self._first_peak = self._peak = 0

    @property
    def worn(self) -> bool:
        """Whether it has done enough."""
        return (
            not self._clean
            or self._programs >= MOST_PROGRAMS
            or self._used_s > MOST_CPU_S
            or self._peak - self._first_peak > MOST_GROWTH_BYTES
        )

    def ask(self, task: bytes) -> dict[str, Any]:
        """The outcome of a program; of one that `lasts`, the child goes on."""
        with contextlib.suppress(BrokenPipeError):  # that it has ended will be seen
            os.write(self._asks, struct.pack("<I", len(task)) + task)
        limits = self.command["limits"]
        answer = children.watch(
            self._process, self._ends, limits, True, self._alone, used_s=self._used_s
        )
        self._used_s, self._clean = answer.pop("used_s", 0.0), answer.pop("clean", False)
        self._peak = answer["peak_bytes"]
        self._first_peak = self._first_peak or self._peak
        self._programs += 1
        return answer

    def close(self) -> None:
        """Close the descriptors."""
        for end in (*self._ends, self._asks):
            os.close(end)
