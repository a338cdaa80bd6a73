"""Functions of packages: which are taken, with what, and what must hold of them."""

import gzip
import json

import pytest

from quipu.exercises.likeness import HUMANEVAL, MBPP, collect
from quipu.exercises.real import exercises, packages
from quipu.exercises.real.extract import candidates, imports_of, misaligned, module
from quipu.exercises.run import Job, Runner

PACKAGE = '''
import math
import os
from collections import Counter

LIMIT = 3
_cache = {}


def _half(number):
    return number // 2


def most_common(words, count=2):
    """Return the `count` most common of the words, most common first."""
    return [word for word, _ in Counter(words).most_common(count)]


def halves(number):
    """Halve a number until it is small, and return all values on the way.

    >>> halves(20)
    [20, 10, 5]
    """
    found = [number]
    while found[-1] > LIMIT + 2:
        found.append(_half(found[-1]))
    return found


def wrong(number):
    """Return the square root of the number.

    >>> wrong(4)
    3
    """
    return math.sqrt(number)


def current(path):
    """Return the absolute form of the path."""
    return os.path.abspath(path)


def remembered(key):
    """Return what is remembered of a key, or compute it."""
    return _cache[key]


def constant(value):
    """Return one for any value that is given."""
    return 1


def undocumented(value):
    return value + 1


def same(function):
    return function


@same
def spaced(name, width):
    """Pad a name with `width` blanks in front, with help of another part.

    >>> spaced("a", 2)
    '  a'
    """
    return Padding(width).put(name)


class Padding:
    """Blanks."""

    def __init__(self, width):
        self.width = width

    def put(self, text):
        return " " * self.width + text


def test_halves():
    assert halves(44)[-1] == 5
'''


@pytest.fixture
def prepared(tmp_path):
    """A prepared package of one file, and a folder where it can be imported."""
    row = {"id": "pypi/part/1.0/part.py", "path": "part.py", "package": "pypi/part"}
    row |= {"text": PACKAGE, "version": "1.0", "licence": "MIT", "language": "python"}
    file = tmp_path / "prepared" / "part-1.0.jsonl"
    file.parent.mkdir()
    file.write_text(json.dumps(row) + "\n")
    place = tmp_path / "place"
    place.mkdir()
    (place / "part.py").write_text(PACKAGE)
    return file, place


def names(lines):
    """Names of the functions of exercises."""
    return {str(line["id"]).partition("#")[2] for line in lines}


def test_functions_that_stand_alone_with_helpers_are_taken(prepared):
    lines, dropped = exercises(prepared[0], None)
    assert names(lines) == {"most_common", "halves"}
    assert dropped["function: imports"] == 1
    assert dropped["run: its own examples do not hold"] == 1
    assert any(reason.startswith("trivial") for reason in dropped)
    texts = {str(line["id"]).partition("#")[2]: line["text"] for line in lines}
    assert "def _half" in texts["halves"]
    assert "LIMIT = 3" in texts["halves"]
    assert texts["most_common"].startswith("from collections import Counter\n\n\ndef")


def test_exercises_run_and_keep_their_licence(prepared):
    lines, _ = exercises(prepared[0], None)
    for line in lines:
        assert line["licence"] == "MIT"
        assert line["group"] == "exercises"
    outcomes = Runner().run([Job(code=str(line["text"])) for line in lines])
    assert all(outcome.ok for outcome in outcomes)


def test_examples_that_need_the_package_are_run_in_it(prepared):
    lines, _ = exercises(*prepared)
    texts = {str(line["id"]).partition("#")[2]: line["text"] for line in lines}
    assert "spaced" in texts
    assert texts["spaced"].startswith("from part import Padding, same\n\n\n@same\ndef spaced")
    assert "wrong" not in texts


def test_calls_of_tests_are_traced(prepared):
    from quipu.exercises.real.functions import read
    from quipu.exercises.real.traced import trace

    (document,) = read(prepared[0])
    found = module(document.text)
    assert found is not None
    assert ("44",) in trace([(document, found)], prepared[1])[0].calls["halves"]


def test_the_same_package_gives_the_same_exercises(prepared):
    assert exercises(*prepared) == exercises(*prepared)


@pytest.mark.parametrize(
    ("environment", "name", "code", "tests"),
    [
        (False, "most_common", "def largest(words): pass",
         ["assert largest(['b', 'a', 'b'], 1) == ['b']"]),
        (True, "halves", "def down(n): pass", ["assert down(20) == [20, 10, 5]"]),
        (True, "spaced", "def pad(a, b): pass", ["assert pad('x', 3) == '   x'"]),
    ],
)  # fmt: skip
def test_a_function_that_solves_a_benchmarks_problem_is_left_out(
    prepared, tmp_path, environment, name, code, tests
):
    file, place = prepared
    row = {"task_id": 1, "code": code, "test_setup_code": "", "test_list": tests}
    other = {"task_id": "H/0", "entry_point": "no", "test": "assert candidate(1, 2, 3, 4)"}
    for path, line in ((MBPP, row), (HUMANEVAL, other)):
        target = tmp_path / "benchmarks" / path
        target.parent.mkdir(parents=True)
        data = json.dumps(line).encode()
        target.write_bytes(gzip.compress(data) if path.endswith(".gz") else data)
    problems = collect(tmp_path / "benchmarks", tmp_path / "problems.json")
    where = place if environment else None
    before, _ = exercises(file, where)
    after, dropped = exercises(file, where, problems)
    assert names(before) - names(after) == {name}
    assert dropped["likeness: passes a benchmark's tests"] == 1
    assert dropped["likeness: error"] == 0


def test_packages_are_held_out_by_name(tmp_path):
    for number in range(200):
        (tmp_path / f"part{number}-1.0.jsonl").touch()
    train, dev = packages(tmp_path, "train"), packages(tmp_path, "dev")
    assert len(train) + len(dev) == 200
    assert not set(train) & set(dev)
    assert 1 <= len(dev) <= 30


@pytest.mark.parametrize(
    ("docstring", "arguments"),
    [
        ("The sum of all numbers in the list.", ["numbers"]),
        ("Return it.", ["numbers"]),
        ("Return the sum of all there is here.", ["zz"]),
        ("Return the sum of all numbers. " * 20, ["numbers"]),
    ],
)
def test_docstrings_that_do_not_fit_are_told(docstring, arguments):
    assert misaligned(docstring, arguments) is not None


def test_a_fitting_docstring_is_taken():
    assert misaligned("Return the sum of all numbers in the list.", ["numbers"]) is None


def test_broken_files_have_no_functions():
    assert module("def f(:\n") is None
    assert module("") is not None


def test_a_generator_is_not_taken():
    found = module('def f(items):\n    """Yield the items of a list one by one."""\n    yield 1\n')
    assert found is not None
    assert list(candidates(found)) == ["function: generator"]


def test_imports_are_put_together():
    lines = ["from a import c", "import z", "from __future__ import annotations", "from a import b"]
    assert imports_of(lines) == "from __future__ import annotations\nimport z\nfrom a import b, c"
