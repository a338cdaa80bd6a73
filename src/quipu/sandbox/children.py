"""Watching a child: its output, its time, its memory; and ending all that it has left behind."""

import contextlib
import marshal
import os
import select
import signal
import time
from typing import Any

from quipu.sandbox.running import COMPLETE

LOOK_S = 0.05  # between two looks at CPU time and memory
ENDLESS = 16  # times the output that is kept: then the program is ended
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
# How runtimes say that they got no memory.
_NO_MEMORY = (b"MemoryError", b"bad_alloc", b"OutOfMemory", b"out of memory", b"Allowed memory")


def watch(
    child: int,
    ends: tuple[int, int, int],
    limits: dict[str, Any],
    complete: bool,
    alone: bool,
    *,
    used_s: float | None = None,
) -> dict[str, Any]:
    """Follow a child to its end, or end it; what came of it.

    With `used_s`, CPU time of what it ran before, one that lasts: followed until it says what came
    of a program. Then `lasts` is true, `used_s` what it has used by now, and `clean` whether
    nothing is left of the program.
    """
    watched = _Watched(child, ends, limits, alone, used_s)
    watched.follow()
    answer = watched.told() if watched.lasts else watched.ended()
    answer["wall_s"] = time.monotonic() - watched.began
    out, err, word = (bytes(data) for data in watched.rest())
    answer |= {"stdout": out, "stderr": err}
    verdict, detail = watched.verdict, watched.detail
    if not verdict:
        verdict, detail = _verdict(answer, word, limits, complete)
    return answer | {"status": verdict, "detail": detail}


class _Watched:
    """A child, what is read of it, and why it has to end."""

    def __init__(
        self,
        child: int,
        ends: tuple[int, int, int],
        limits: dict[str, Any],
        alone: bool,
        used_s: float | None,
    ) -> None:
        self.began = self._looked = time.monotonic()
        self.verdict = self.detail = ""
        self.lasts = False
        self._child, self._ends, self._limits, self._alone = child, ends, limits, alone
        self._used_s, self._to_last = used_s or 0.0, used_s is not None
        self._read: dict[int, bytearray] = {end: bytearray() for end in ends}
        self._counts = dict.fromkeys(ends, 0)
        self._greatest = 0

    def follow(self) -> None:
        """Read and look until the child has ended, has to, or has said what came of a program."""
        word = self._read[self._ends[2]]
        running = True
        poll = select.poll()
        process = os.pidfd_open(self._child)
        for end in (*self._ends, process):
            os.set_blocking(end, False)
            poll.register(end, select.POLLIN)
        while running and not self.verdict and not self.lasts:
            for end, _ in poll.poll(LOOK_S * 1000):
                if end == process:
                    running = False
                elif not self._take(end):
                    poll.unregister(end)
            self._look(running)
            self.lasts = self._to_last and not self.verdict and word.startswith(COMPLETE)
        os.close(process)

    def told(self) -> dict[str, Any]:
        """What a child that lasts has said of a program."""
        word = self._read[self._ends[2]]
        exit_code, cpu_s, used_s, peak, clean = marshal.loads(word[len(COMPLETE) :])
        del word[len(COMPLETE) :]
        return {
            "lasts": True,
            "used_s": used_s,
            "clean": clean,
            "cpu_s": cpu_s,
            "peak_bytes": max(self._greatest, peak),
            "exit_code": exit_code,
            "signal": None,
        }

    def ended(self) -> dict[str, Any]:
        """How the child has ended, with all that was below it."""
        if self.verdict:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._child, signal.SIGKILL)
        _, status, used = os.wait4(self._child, 0)
        end_all(self._alone)
        return ({"lasts": False} if self._to_last else {}) | {
            "cpu_s": used.ru_utime + used.ru_stime - self._used_s,
            "peak_bytes": max(self._greatest, used.ru_maxrss * 1024),
            "exit_code": os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
            "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else None,
        }

    def rest(self) -> list[bytearray]:
        """All that was read: stdout, stderr, the word."""
        for end in self._ends:
            self._take(end)
        return [self._read[end] for end in self._ends]

    def _take(self, end: int) -> bool:
        return _read(end, self._read[end], self._counts, self._limits["output_bytes"])

    def _look(self, running: bool) -> None:
        """Whether a limit is passed: of output and wall time always, of the rest now and then."""
        limits, now = self._limits, time.monotonic()
        if max(self._counts.values()) > ENDLESS * limits["output_bytes"]:
            self.verdict, self.detail = "failed", "endless output"
        if now - self.began > limits["wall_s"]:
            self.verdict, self.detail = "timeout", f"wall time over {limits['wall_s']:g} s"
        if running and now - self._looked >= LOOK_S:
            self._looked, (cpu_s, memory, count) = now, _usage(self._alone)
            self._greatest = max(self._greatest, memory)
            if cpu_s - self._used_s > limits["cpu_s"]:
                self.verdict, self.detail = "timeout", f"CPU time over {limits['cpu_s']:g} s"
            elif memory > limits["memory_bytes"]:
                self.verdict, self.detail = "memory", f"over {limits['memory_bytes']:,} bytes"
            elif count > limits["processes"]:  # root's are not counted by the kernel
                self.verdict = "failed"
                self.detail = f"over {limits['processes']} processes"


def _verdict(
    answer: dict[str, Any], word: bytes, limits: dict[str, Any], complete: bool
) -> tuple[str, str]:
    if word not in (b"", COMPLETE):
        return "sandbox_error", word.decode(errors="replace")
    out_of_memory = any(sign in answer["stderr"][-4096:] for sign in _NO_MEMORY)
    if answer["signal"] is not None:
        name = signal.Signals(answer["signal"]).name
        if answer["signal"] == signal.SIGXCPU or (
            answer["signal"] == signal.SIGKILL and answer["cpu_s"] >= limits["cpu_s"]
        ):
            return "timeout", f"CPU time over {limits['cpu_s']:g} s"
        return ("memory" if out_of_memory else "crashed"), name
    if answer["exit_code"] != 0:
        return ("memory" if out_of_memory else "failed"), f"exit code {answer['exit_code']}"
    if complete and word != COMPLETE:
        return "failed", "left before its last statement"
    return "passed", ""


def _read(end: int, into: bytearray, counts: dict[int, int], most: int) -> bool:
    """Take what is there, keep the first `most` bytes; False at the end of the stream."""
    while True:
        try:
            part = os.read(end, 1 << 16)
        except BlockingIOError:
            return True
        if not part:
            return False
        counts[end] += len(part)
        into += part[: max(0, most - len(into))]
        if counts[end] > ENDLESS * most:
            return True


def end_all(alone: bool) -> None:
    """Kill and reap every process below this one, those that fled from their parents too."""
    while True:
        if alone:
            with contextlib.suppress(ProcessLookupError):
                os.kill(-1, signal.SIGKILL)  # all but number 1, which this is
        else:
            for process in _below(os.getpid()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
        try:
            while os.waitpid(-1, 0):
                pass
        except ChildProcessError:
            return


def _usage(alone: bool) -> tuple[float, int, int]:
    """CPU seconds, resident bytes and number of all processes below this one."""
    own = os.getpid()
    if alone:
        found = [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != own]
    else:
        found = _below(own)
    cpu_s, memory = 0.0, 0
    for process in found:
        try:
            with open(f"/proc/{process}/stat", "rb") as file:
                fields = file.read().rpartition(b") ")[2].split()
        except OSError:
            continue  # it has ended meanwhile
        cpu_s += sum(map(int, fields[11:15])) * _TICK_S  # with its own children's
        memory += int(fields[21]) * _PAGE
    return cpu_s, memory, len(found)


def _below(process: int) -> list[int]:
    """Descendants of a process; orphans are its own, for it is their reaper."""
    found: list[int] = []
    waiting = [process]
    while waiting:
        parent = waiting.pop()
        with contextlib.suppress(OSError), open(f"/proc/{parent}/task/{parent}/children") as file:
            children = list(map(int, file.read().split()))
            found += children
            waiting += children
    return found
