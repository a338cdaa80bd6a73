"""What may share a process with its tests, and what may not."""

import ast
import time

import pytest

from quipu.sandbox.plain import plain

NOT_PLAIN = [
    "import math\nm = math",
    "import math\nmath.fabs = abs",
    "from math import pi as len",
    "import re\nre.enum.sys",
    "import os",
    "import os.path",
    "from . import x",
    "import numpy as np",
    "from functools import wraps",
    "from typing import get_origin",
    "import operator\noperator.attrgetter",
    "type(type(1))('A', (), {})",
    "t = type",
    "'{0.__globals__}'.format(f)",
    "f = str.format",
    "'a'.format_map({})",
    "getattr(1, 'x')",
    "eval('1')",
    "exec",
    "open('x')",
    "globals()",
    "vars()",
    "__builtins__",
    "x.__class__",
    "x._y",
    "e.tb_frame",
    "class A:\n    def __eq__(s, o): return True",
    "class A:\n    __eq__ = lambda s, o: True",
    "class A(metaclass=type): pass",
    "@f\nclass A: pass",
    "def f():\n    global abs\n    abs = 1",
    "len = 1",
    "def f(): pass\nf = 2",
    "for abs in []: pass",
    "[(len := 1) for _ in '']",
    "match x:\n    case object(__class__=c): pass",
    "async def f(): await x",
    "def f(): pass\ndef g():\n    global f\n    f = 1",
    "math = 1",
    "class math: pass",
    "exit()",
    "raise SystemExit",
    "def f(__class__): pass",
    "import math as re\nimport re",
    "from collections import *\nabc.x",
    "try: pass\nexcept Exception as len: pass",
    "x.__init__.__globals__",
    "from random import _os",
]


@pytest.mark.parametrize("source", NOT_PLAIN)
def test_what_could_reach_the_tests_is_not_plain(source):
    if source.endswith("abc.x"):
        assert plain(source)  # a star brings none of its modules
        return
    assert not plain(source)


PLAIN = [
    "import math, re\ndef f(x):\n    return math.sqrt(x) if re.match('a', 'b') else x",
    "from typing import List, Optional\nfrom collections import Counter, deque\nx = Counter()",
    "class A(Exception):\n    def __init__(self):\n        super().__init__()\n        self.x = 1",
    "def f(x):\n    sum = 0\n    for list in x:\n        sum += list\n    return sum",
    "def f(x):\n    return type(x) == int or type(x) in (int, float) or x.copy()",
    "'{:.2f} {}'.format(1, 2)",
    "import sys\nsys.setrecursionlimit(9)\nx = sys.maxsize",
    "if __name__ == '__main__':\n    print(1)",
    "import datetime\ndatetime.datetime(2000, 1, 1)",
    "node = f()\nnode.next.next = None",
]


@pytest.mark.parametrize("source", PLAIN)
def test_what_solutions_are_made_of_is_plain(source):
    assert plain(source)


def _nested(before: str, after: str, count: int) -> str:
    opened = "".join(f"{' ' * n}{before}\n" for n in range(count)) + " " * count + "pass\n"
    return opened + "".join(f"{' ' * n}{after}\n" for n in reversed(range(count)) if after)


# Read and compiled outside of the program's own process: none may take long, or end it.
HEAVY = {
    "open brackets": "(" * 49_000,
    "closed brackets": "(" * 190 + "1" + ")" * 190,
    "open braces": "{(" * 90,
    "brackets in brackets": "[x for x in " * 60 + "y" + "]" * 60,
    "signs": "-" * 49_000,
    "a chain of attributes": "x" + ".x" * 24_000,
    "a long sum": "1" + " + 1" * 12_000,
    "powers": "2" + "**2" * 16_000,
    "text times text": "'a'" + "*4096" * 9_000,
    "tuples in tuples": "((((1,)*255,)*255,)*255,)*255",
    "lambdas": "lambda:" * 7_000,
    "conditions": "a if b else " * 4_000 + "a",
    "comparisons": "a" + "<a" * 24_000,
    "blocks with finally": _nested("try:", "finally: x = 1", 19),
    "blocks with except": _nested("try:", "except ValueError: x = 1", 19),
    "loops with else": _nested("for x in y:", "else: x = 1", 19),
    "functions": _nested("def f():", "", 90),
    "more text than is read": "x = 1\n" * 100_000,
}


@pytest.mark.parametrize("name", HEAVY)
def test_no_program_is_heavy_to_read_and_compile(name):
    began = time.process_time()
    if plain(HEAVY[name]):
        compile(HEAVY[name], name, "exec")
    assert time.process_time() - began < 2


def test_blocks_that_a_compiler_copies_are_not_plain():
    assert not plain(_nested("try:", "finally: x = 1", 2))


@pytest.mark.parametrize("program", ["def f(x):\n    return x\n", "x = 1\n# é\n\n", "y = [\n1]"])
def test_a_file_is_read_in_two_parts_as_it_is_in_one(program):
    rest = "\ndef check(f):\n    assert f(1) == 1\n\ncheck(len)\n"
    found, whole = plain(program, rest), plain(program + rest)
    assert ast.dump(found.tree, include_attributes=True) == ast.dump(
        whole.tree, include_attributes=True
    )


@pytest.mark.parametrize("program", ["x = 1", "x = '''\n", "x = (\n", "x = 1 \\\n", "if x:\n"])
def test_what_a_program_leaves_open_does_not_swallow_its_tests(program):
    assert not plain(program, "2\nassert False\n# ''')\n")
