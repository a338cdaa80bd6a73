"""Plain programs share one process, and nothing of one is there for the next."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quipu.sandbox import frozen, lasting
from quipu.sandbox.judge import open_judge
from quipu.sandbox.local import LocalSandbox
from quipu.sandbox.program import Apart, Judge, Limits, Outcome

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's")
LIMITS = Limits(cpu_s=0.5, wall_s=20, memory_bytes=512 * 2**20, output_bytes=10_000)
PLAIN = "def answer(x): return x + 1"
TESTS = "assert answer(1) == 2\n"


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    opened = open_judge()
    yield opened
    opened.close()


def judged(judge: Judge, program: str, tests: str = TESTS) -> Outcome:
    return judge.judge(
        "python",
        f"{program}\n{tests}",
        limits=LIMITS,
        apart=Apart(program=program, tests=tests),
    )


def hosts(judge: Judge) -> set[int]:
    """Processes below the workers that have no children: the one that lasts, if there is one."""
    assert isinstance(judge.sandbox, LocalSandbox)
    (worker,) = judge.sandbox._all
    found: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(") ")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            found.setdefault(int(fields[1]), []).append(int(path.parent.name))
    number_one = found.get(worker._process.pid, [])
    return set(found.get(number_one[0], [])) if number_one else set()


def test_plain_programs_share_a_process_until_one_is_not_plain(judge):
    assert judged(judge, PLAIN).status == "passed"
    if not hosts(judge):
        pytest.skip("without namespaces the worker is not told from its child")
    first = hosts(judge)
    assert judged(judge, PLAIN, "assert answer(1) == 3\n").status == "failed"
    assert judged(judge, PLAIN).status == "passed"
    assert hosts(judge) == first
    assert judged(judge, "import os\n" + PLAIN).status == "passed"
    assert hosts(judge) == set()
    assert judged(judge, PLAIN, "import os\n" + TESTS).status == "passed"
    assert hosts(judge) == set()
    assert judged(judge, PLAIN).status == "passed"
    assert hosts(judge) not in (set(), first)


# What a program does, and tests that it would change for a program that comes later.
TRIES = {
    "recursion limit": (
        "import sys\nsys.setrecursionlimit(60)",
        "def deep(n): return deep(n - 1) + 1 if n else 0",
        "assert deep(500) == 500\n",
    ),
    "name": ("def helper(): return 1", "x = 1", "assert 'helper' not in globals()\n"),
    "counter": (
        "from collections import Counter\nC = Counter\ndef nothing(*a): pass\n"
        "try: C.__init__ = nothing\nexcept TypeError: pass",
        "from collections import Counter",
        "assert Counter('aab') == {'a': 2, 'b': 1}\n",
    ),
    "fraction": (
        "from fractions import Fraction\nC = Fraction\n"
        "try: C.limit_denominator = 3\nexcept TypeError: pass\n"
        "try: C.mro()[1].numerator = 3\nexcept TypeError: pass",
        "from fractions import Fraction",
        "assert Fraction(1, 3).limit_denominator(2) == Fraction(1, 2)\n",
    ),
    "typing": (
        "from typing import Sequence\nS = Sequence\ntry: S.index = 3\nexcept TypeError: pass",
        "x = 1",
        "import collections.abc\nassert callable(collections.abc.Sequence.index)\n",
    ),
    "a generator that waits": (
        "def waiting():\n    try:\n        yield 1\n    except:\n        print('late')\n"
        "g = waiting()\nnext(g)\nh = [g]\nh.append(h)",
        "print('own')",
        "assert True\n",
    ),
    "generators that leave others": (
        "def waiting():\n    try:\n        yield 1\n    except:\n        print('late')\n"
        "        again()\ndef again():\n    g = waiting()\n    next(g)\n    h = [g]\n"
        "    h.append(h)\nagain()",
        "print('own')",
        "assert True\n",
    ),
    "memory": ("x = 'y' * 60_000_000", "x = 1", "assert True\n"),
    "half a line": ("print('half', end='')", "print('own')", "assert True\n"),
}


@pytest.mark.parametrize("name", TRIES)
def test_nothing_of_a_program_is_there_for_the_next(judge, name):
    tries, program, tests = TRIES[name]
    judged(judge, PLAIN)
    before = judged(judge, program, tests)
    assert before.status == "passed", before
    assert judged(judge, tries, "assert True\n").status == "passed"
    after = judged(judge, program, tests)
    assert (after.status, after.stdout, after.stderr) == ("passed", before.stdout, b"")
    assert after.peak_bytes < 60_000_000


def test_random_numbers_begin_anew(judge):
    draws = "import random\nprint(random.random())"
    judged(judge, "import random\nrandom.seed(1)", "assert True\n")
    first = judged(judge, draws, "assert True\n").stdout
    judged(judge, "import random\nrandom.seed(1)", "assert True\n")
    assert judged(judge, draws, "assert True\n").stdout != first


@pytest.mark.parametrize(
    "program",
    [
        "from fractions import Fraction\nFraction.register(int)",
        "import collections\ncollections.Counter.__init__ = None",
        "import re\nre.I.x = 1",
    ],
)
def test_what_would_change_a_module_is_not_plain(program):
    assert lasting.plain(program) is None


KINDS = {
    "passed": (PLAIN, TESTS, b""),
    "failed": (PLAIN, "print(7)\nassert answer(1) == 3\n", b"7\n"),
    "timeout": ("def answer(x):\n    while True: pass", TESTS, b""),
    "memory": ("def answer(x): return len([0] * 10**9)", TESTS, b""),
    "crashed": (
        "import sys\nsys.setrecursionlimit(10**7)\n"
        "def deep(n): return [*map(deep, [n])]\ndef answer(x): return deep(x)",
        TESTS,
        b"",
    ),
}
ALONE: dict[str, tuple[object, ...]] = {}


def told(outcome: Outcome) -> tuple[object, ...]:
    return outcome.status, outcome.exit_code, outcome.signal, outcome.stdout, outcome.stderr


@settings(max_examples=12, deadline=None)
@given(st.lists(st.sampled_from(sorted(KINDS)), min_size=2, max_size=4))
def test_an_outcome_does_not_depend_on_what_came_before(judge, kinds):
    for kind in kinds:
        program, tests, stdout = KINDS[kind]
        if kind not in ALONE:
            judged(judge, "import os")  # not plain: ends the process that is shared
            ALONE[kind] = told(judged(judge, program, tests))
        outcome = judged(judge, program, tests)
        assert told(outcome) == ALONE[kind]
        assert (outcome.status, outcome.stdout) == (kind, stdout)
        assert outcome.cpu_s < 2 * LIMITS.cpu_s + 0.5
        assert outcome.peak_bytes > 2**20


def test_a_program_that_swallows_a_part_of_its_tests_does_not_pass(judge):
    tests = 'assert answer(1) == 2\n"""What follows."""\nassert True\n'
    swallows = 'answer = int\n"""'
    source = swallows + "\n" + tests.replace('"""What follows."""', '"""\n"""What follows."""')
    assert lasting.plain(source) is not None  # with its tests it looks like a plain program
    apart = Apart(program=swallows, tests=source[len(swallows) + 1 :])
    outcome = judge.judge("python", source, limits=LIMITS, apart=apart)
    assert outcome.status == "failed", outcome


def test_time_counts_from_the_programs_own_beginning(judge):
    burn = "def answer(x):\n    for _ in range(4_000_000): x = x\n    return x + 1"
    costs = []
    while sum(costs) <= LIMITS.cpu_s:  # together more than any may take
        outcome = judged(judge, burn)
        assert (outcome.status, outcome.cpu_s > 0) == ("passed", True)
        costs.append(outcome.cpu_s)
    assert len(costs) > 1


def test_a_shared_process_that_was_ended_is_replaced(judge):
    assert judged(judge, PLAIN).status == "passed"
    found = hosts(judge)
    if not found:
        pytest.skip("without namespaces the worker is not told from its child")
    os.kill(*found, signal.SIGKILL)
    time.sleep(0.1)
    assert judged(judge, PLAIN).status == "passed"


def test_classes_of_this_interpreter_can_be_frozen():
    assert frozen.can_freeze()
