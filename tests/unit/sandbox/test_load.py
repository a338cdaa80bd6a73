"""A busy machine gives the same verdicts: CPU time decides, not the clock on the wall."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from quipu.sandbox.judge import open_judge
from quipu.sandbox.program import Apart, Judge, Limits

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's")
LIMITS = Limits(cpu_s=0.6, wall_s=30)
_BURN = "import time\nwhile time.process_time() < {}: pass\n"
PROGRAMS = {
    "passes at once": "assert True",
    "passes after a third of its time": _BURN.format(0.2),
    "fails after a third of its time": _BURN.format(0.2) + "assert False",
    "sleeps longer than its CPU time": "import time\ntime.sleep(0.8)",
    "never ends": "while True: pass",
    "takes too much memory": "x = bytearray(10 * 2**30)",
    "crashes": "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)",
}
APART = "import time\ndef f():\n    while time.process_time() < {}: pass\n    return 1\n"


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """So many processes that do nothing but compute, ended by their ids."""
    found = [
        subprocess.Popen([sys.executable, "-I", "-S", "-c", "while True: pass"])
        for _ in range(processes)
    ]
    try:
        yield
    finally:
        for process in found:
            process.kill()
            process.wait()


def verdicts(judge: Judge) -> dict[str, str]:
    """Statuses of all programs, two at a time."""

    def one(source: str) -> str:
        return judge.judge("python", source, limits=LIMITS, complete=True).status

    def tested(cpu_s: float) -> str:
        program, tests = APART.format(cpu_s), "assert f() == 1\n"
        apart = Apart(program=program, tests=tests)
        return judge.judge("python", program + tests, limits=LIMITS, apart=apart).status

    with ThreadPoolExecutor(2) as pool:
        found = dict(zip(PROGRAMS, pool.map(one, PROGRAMS.values()), strict=True))
        times = {"tested apart, in time": 0.2, "tested apart, too slow": 2.5}
        return found | dict(zip(times, pool.map(tested, times.values()), strict=True))


def test_a_machine_with_all_cores_busy_gives_the_same_verdicts():
    judge = open_judge(workers=2)
    try:
        with busy(2 * len(os.sched_getaffinity(0))):
            found = verdicts(judge)
        assert found == {
            "passes at once": "passed",
            "passes after a third of its time": "passed",
            "fails after a third of its time": "failed",
            "sleeps longer than its CPU time": "passed",
            "never ends": "timeout",
            "takes too much memory": "memory",
            "crashes": "crashed",
            "tested apart, in time": "passed",
            "tested apart, too slow": "timeout",
        }
    finally:
        judge.close()
