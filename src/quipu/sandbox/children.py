"""Watching a child: its output, its time, its memory; and ending all that it has left behind."""

import contextlib
import os
import select
import signal
import time
from typing import Any

from quipu.sandbox.confine import COMPLETE

LOOK_S = 0.05  # between two looks at CPU time and memory
ENDLESS = 16  # times the output that is kept: then the program is ended
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
# How runtimes say that they got no memory.
_NO_MEMORY = (b"MemoryError", b"bad_alloc", b"OutOfMemory", b"out of memory", b"Allowed memory")


def watch(
    child: int, ends: tuple[int, int, int], limits: dict[str, Any], complete: bool, alone: bool
) -> dict[str, Any]:
    """Follow a child to its end, or end it; what came of it."""
    began = time.monotonic()
    out, err, word = ends
    read: dict[int, bytearray] = {end: bytearray() for end in ends}
    counts = dict.fromkeys(ends, 0)
    poll = select.poll()
    process = os.pidfd_open(child)
    for end in (*ends, process):
        os.set_blocking(end, False)
        poll.register(end, select.POLLIN)
    verdict, detail, greatest, looked = "", "", 0, began
    running = True
    while running and not verdict:
        for end, _ in poll.poll(LOOK_S * 1000):
            if end == process:
                running = False
            elif not _read(end, read[end], counts, limits["output_bytes"]):
                poll.unregister(end)
        if max(counts.values()) > ENDLESS * limits["output_bytes"]:
            verdict, detail = "failed", "endless output"
        now = time.monotonic()
        if now - began > limits["wall_s"]:
            verdict, detail = "timeout", f"wall time over {limits['wall_s']:g} s"
        if running and now - looked >= LOOK_S:
            looked, (cpu_s, memory, count) = now, _usage(alone)
            greatest = max(greatest, memory)
            if cpu_s > limits["cpu_s"]:
                verdict, detail = "timeout", f"CPU time over {limits['cpu_s']:g} s"
            elif memory > limits["memory_bytes"]:
                verdict, detail = "memory", f"over {limits['memory_bytes']:,} bytes"
            elif count > limits["processes"]:  # root's are not counted by the kernel
                verdict, detail = "failed", f"over {limits['processes']} processes"
    if verdict:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    _, status, used = os.wait4(child, 0)
    os.close(process)
    wall_s = time.monotonic() - began
    end_all(alone)
    for end in ends:
        _read(end, read[end], counts, limits["output_bytes"])
    cpu_s = used.ru_utime + used.ru_stime
    answer: dict[str, Any] = {
        "stdout": bytes(read[out]),
        "stderr": bytes(read[err]),
        "cpu_s": cpu_s,
        "wall_s": wall_s,
        "peak_bytes": max(greatest, used.ru_maxrss * 1024),
        "exit_code": os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
        "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else None,
    }
    if not verdict:
        verdict, detail = _verdict(answer, bytes(read[word]), limits, complete)
    return answer | {"status": verdict, "detail": detail}


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
