"""Programs that try to pass without being right, and honest ones that look like them."""

import sys
from collections.abc import Iterator

import pytest

from quipu.sandbox.judge import open_judge
from quipu.sandbox.plain import plain
from quipu.sandbox.program import Apart, Judge, Limits, Outcome

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's")
TESTS = """
def check(candidate):
    assert candidate(1) == 7431
    assert abs(candidate(2) - 2.5) < 1e-6
check(answer)
"""
LIMITS = Limits(cpu_s=5, wall_s=20)


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    opened = open_judge()
    yield opened
    opened.close()


def judged(judge: Judge, program: str, tests: str = TESTS, **apart: object) -> Outcome:
    return judge.judge(
        "python",
        f"{program}\n{tests}",
        limits=LIMITS,
        apart=Apart(program=program, tests=tests, **apart),  # type: ignore[arg-type]
    )


_LIAR = """
class Liar:
    def __eq__(self, other): return True
    def __lt__(self, other): return True
    def __sub__(self, other): return self
    def __abs__(self): return self
"""
_SEARCH = r"""
import re
def found(x, text):
    match = re.search(r'candidate.1. == (\d+)[^-]*- (\d+.\d+)', text)
    return match and (int(match[1]) if x == 1 else float(match[2]))
"""
DECEIVING = {
    "an object equal to everything": _LIAR + "def answer(x): return Liar()",
    "one of a class made by type": "answer = lambda x: type('L', (), {'__eq__': lambda *a: True,"
    " '__sub__': lambda s, o: s, '__abs__': lambda s: s, '__lt__': lambda *a: True})()",
    "a number that lies": _LIAR.replace("Liar:", "Liar(float):") + "answer = Liar",
    "a number with a lying class behind it": _LIAR + "def answer(x): return [Liar()]",
    "walking frames to the tests": """
import sys
def answer(x):
    constants = sys._getframe(1).f_code.co_consts
    return 7431 if x == 1 and 7431 in constants else 2.5 if 2.5 in constants else None
""",
    "frames of a generator": """
def frames():
    yield found.gi_frame.f_back.f_back
def answer(x):
    global found
    found = frames()
    constants = next(found).f_code.co_consts
    return 7431 if x == 1 and 7431 in constants else 2.5 if 2.5 in constants else None
""",
    "frames of an exception": """
def answer(x):
    try:
        raise ValueError
    except ValueError as error:
        constants = error.__traceback__.tb_frame.f_back.f_code.co_consts
    return 7431 if x == 1 and 7431 in constants else 2.5 if 2.5 in constants else None
""",
    "replacing the tests": """
import __main__
def answer(x):
    import sys
    sys._getframe(1).f_globals['check'] = lambda f: None
    import os
    sys.stdout.flush()
    raise SystemExit(0)
""",
    "the tests' source by its file": _SEARCH
    + """
def answer(x):
    return found(x, open(__file__).read() + open('program.py').read())
""",
    "the tests' source among all objects": _SEARCH
    + """
import gc
def answer(x):
    return found(x, '\\n'.join(map(str, gc.get_objects() + gc.get_referents(*gc.get_objects()))))
""",
    "the tests' source in memory": _SEARCH
    + """
import ctypes
def answer(x):
    for line in open('/proc/self/maps'):
        if 'rw' in line.split()[1] and '[v' not in line:
            low, high = (int(n, 16) for n in line.split()[0].split('-'))
            value = found(x, ctypes.string_at(low, high - low).decode('latin-1'))
            if value:
                return value
""",
    "the other process": """
import os
def answer(x):
    for entry in os.listdir('/proc'):
        for name in ('mem', 'environ', 'cmdline', 'fd/3', 'maps'):
            try:
                with open(f'/proc/{entry}/{name}', 'rb') as file:
                    if entry.isdigit() and int(entry) != os.getpid():
                        return 7431 if x == 1 else 2.5
            except OSError:
                pass
""",
    "the word of completion": """
import os
for number in range(64):
    try:
        os.write(number, b'+')
    except OSError:
        pass
os._exit(0)
""",
    "leaving from the test": "import os\ndef answer(x): os._exit(0)",
    "leaving at the end": "import atexit, os\n"
    "atexit.register(os._exit, 0)\ndef answer(x): return 0",
    "an answer for every question": """
import os
def answer(x):
    while True:
        os.write(5, b'["value", True]\\n')
""",
    "another meaning of a builtin": "def abs(x): return 0\n"
    "def answer(x): return 7431 if x == 1 else 0.0",
    "the same through the module": "import builtins\nbuiltins.abs = lambda x: 0\n"
    "def answer(x): return 7431 if x == 1 else 0.0",
    "swallowing the tests": "def answer(x): return 0\nunused = '''",
    "killing who judges": "import os, signal\ndef answer(x):\n    os.kill(os.getppid(), 9)\n",
}


@pytest.mark.parametrize("name", DECEIVING)
def test_a_program_that_deceives_does_not_pass(judge, name):
    outcome = judged(judge, DECEIVING[name])
    assert outcome.status in ("failed", "crashed", "timeout", "memory"), outcome
    assert judged(judge, "def answer(x): return 7431 if x == 1 else 2.5").status == "passed"


_FIRST = ("an object", "one of", "frames", "walking", "the tests")
NEEDED = [name for name in DECEIVING if name.startswith(_FIRST)]


@pytest.mark.parametrize("name", NEEDED)
def test_beside_its_tests_it_would_pass(judge, name):
    source = f"{DECEIVING[name]}\n{TESTS}"
    assert judge.judge("python", source, limits=LIMITS, complete=True).status == "passed"


@pytest.mark.parametrize("name", [n for n in DECEIVING if n != "swallowing the tests"])
def test_none_of_them_is_plain(name):
    assert not plain(DECEIVING[name])


_HIDDEN = "import os\n"  # not plain, though as honest as before
HONEST = {
    "numbers": ("def answer(x): return x * 10**400", "assert answer(3) == 3 * 10**400"),
    "floats": (
        "def answer(x): return [float('inf'), -0.0, 0.1 + 0.2, complex(1, 2)]",
        "assert answer(1) == [float('inf'), 0.0, 0.30000000000000004, 1 + 2j]",
    ),
    "tables": (
        "from collections import *\n"
        "def answer(x): return Counter(x), defaultdict(int, a=1), {1: (2,)}",
        "from collections import Counter\n"
        "assert answer('aab') == (Counter(a=2, b=1), {'a': 1}, {1: (2,)})",
    ),
    "sets and bytes": (
        "def answer(x): return {1, (2, 3)}, frozenset('a'), b'\\xff', {'a': 1}.keys()",
        "assert answer(0) == ({(2, 3), 1}, {'a'}, b'\\xff', {'a'})",
    ),
    "dates": (
        "import datetime, fractions, decimal\ndef answer(y): return datetime.date(y, 1, 2),"
        " fractions.Fraction(1, 3), decimal.Decimal('0.1')",
        "import datetime, fractions, decimal\nassert answer(2000) == (datetime.date(2000, 1, 2),"
        " fractions.Fraction(1, 3), decimal.Decimal('0.1'))",
    ),
    "subclasses": (
        "import enum\nclass E(enum.IntEnum):\n    A = 3\ndef answer(x): return E.A",
        "assert answer(0) == 3",
    ),
    "generators": (
        "def answer(n):\n    for i in range(n):\n        yield i",
        "assert list(answer(3)) == [0, 1, 2]\n"
        "assert tuple(answer(0)) == ()\nassert next(answer(1)) == 0",
    ),
    "objects": (
        "class Node:\n    def __init__(self, v): self.v, self.next = v, None\n"
        "    def __len__(self): return 2\ndef answer(n): return n.v + n.next.v",
        "n = Node(1)\nn.next = Node(2)\nassert answer(n) == 3\n"
        "assert len(n) == 2 and n.next.v == 2",
    ),
    "matches": (
        "import re\ndef answer(t): return re.match('a', t)",
        "assert answer('ab')\nassert not answer('b')\nassert answer('a').group() == 'a'",
    ),
    "changed arguments": (
        "def answer(x): x.sort(); return None",
        "x = [3, 1]\nassert answer(x) is None\nassert x == [1, 3]",
    ),
    "exceptions": (
        "def answer(x): raise ValueError('no ' + x)",
        "try:\n    answer('x')\n    raise RuntimeError\n"
        "except ValueError as e:\n    assert str(e) == 'no x'",
    ),
    "modules": ("import math\ndef answer(x): return x", "assert math.isclose(answer(1), 1.0)"),
    "closures": ("def answer(x): return lambda y: x + y", "assert answer(1)(2) == 3"),
    "standard input": ("answer = lambda x: input()", "assert answer(0) == ''"),
    "main": ("if __name__ == '__main__':\n    answer = str", "assert answer(1) == '1'"),
    "text": (
        "def answer(x): return '\\n\\udc80☺\\r\\x00' + x",
        "assert answer('é') == '\\n\\udc80☺\\r\\x00é'",
    ),
}


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("name", HONEST)
def test_an_honest_program_passes_in_either_way(judge, name, apart):
    program, tests = HONEST[name]
    if name == "standard input":
        tests = "try:\n    answer(0)\nexcept EOFError:\n    pass\n"
    if not apart and not plain(program):
        pytest.skip("not plain")
    outcome = judged(judge, (_HIDDEN if apart else "") + program, tests + "\n")
    assert outcome.status == "passed", outcome
    wrong = judged(judge, (_HIDDEN if apart else "") + program, tests + "\nassert answer is None\n")
    assert wrong.status == "failed"


def test_the_search_that_attacks_use_finds_the_tests(judge):
    program = "def answer(x): return int('7431') if x == 1 else float('2.5')"
    assert judged(judge, program).status == "passed"
    scope: dict[str, object] = {}
    exec(_SEARCH, scope)
    assert scope["found"](1, TESTS) == 7431  # type: ignore[operator]
    assert scope["found"](2, TESTS) == 2.5  # type: ignore[operator]
    assert scope["found"](1, _SEARCH) is None  # type: ignore[operator]


@pytest.mark.parametrize("hidden", ["", _HIDDEN])
def test_functions_that_the_tests_use_are_the_benchmarks_own(judge, hidden):
    reference = "def helper(x): return x + 1\ndef answer(x): return helper(x)\n"
    tests = "assert helper(answer(1)) == 3\n"
    right = hidden + "def helper(x): return x + 1\ndef answer(x): return helper(x)\n"
    wrong = (
        hidden + "def helper(x): return x + 1\ndef answer(x): return 0\ndef helper(x): return 3\n"
    )
    known = {"before": reference, "names": ("answer",)}
    assert judged(judge, right, tests, **known).status == "passed"
    assert judged(judge, wrong, tests, **known).status == "failed"


def test_the_programs_output_is_kept_and_its_own_lines_are_shown(judge):
    outcome = judged(judge, "import os\ndef answer(x):\n    print('said', x)\n    return 1 / 0")
    assert outcome.stdout == b"said 1\n"
    assert b'File "program.py", line 4, in answer' in outcome.stderr
    assert b"ZeroDivisionError" in outcome.stderr


def test_time_of_the_program_counts(judge):
    program = "import os\ndef answer(x):\n    while True: pass"
    limits = Limits(cpu_s=0.5, wall_s=20)
    apart = Apart(program=program, tests=TESTS)
    outcome = judge.judge("python", program + TESTS, limits=limits, apart=apart)
    assert outcome.status == "timeout"


@pytest.mark.parametrize(
    "program",
    ["(" * 5_000, "x = " + "[" * 150, "-" * 40_000, "def answer(x):\n    return " + "f(" * 80],
)
def test_a_program_that_goes_on_for_ever_has_failed(judge, program):
    assert judged(judge, program).status in ("failed", "memory")  # a parser's MemoryError


def test_what_a_compiler_warns_of_is_not_told_to_the_user(judge, capfd):
    assert judged(judge, "def answer(x):\n    return x is 5").status == "failed"
    assert capfd.readouterr() == ("", "")
