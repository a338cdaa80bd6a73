"""Exercises that solve a benchmark's problem are found by trying them."""

import gzip
import json
import re

import pytest

from quipu.errors import DataError
from quipu.exercises.composed import block
from quipu.exercises.likeness import HUMANEVAL, MBPP, collect
from quipu.exercises.run import Job, Runner

ADD = {
    "task_id": "HumanEval/0",
    "prompt": 'def total(a, b):\n    """Add."""\n',
    "entry_point": "total",
    "canonical_solution": "    return a + b\n",
    "test": "def check(candidate):\n    assert candidate(1, 2) == 3\n",
}
LARGEST = {
    "task_id": 1,
    "code": "def largest(values):\n    return max(values)",
    "test_setup_code": "",
    "test_list": ["assert largest([1, 3, 2]) == 3", "assert largest([7]) == 7"],
}


@pytest.fixture
def problems(tmp_path):
    folder = tmp_path / "benchmarks"
    for name, row in ((HUMANEVAL, ADD), (MBPP, LARGEST)):
        path = folder / name
        path.parent.mkdir(parents=True)
        data = (json.dumps(row) + "\n").encode()
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return collect(folder, tmp_path / "problems.json")


def solved(problems, code, name, kinds):
    job = Job(code=code, calls=(str(problems), name, kinds), kind="likeness", free=True)
    (outcome,) = Runner().run([job])
    assert outcome.ok
    return list(outcome.values)


@pytest.mark.parametrize(
    ("code", "kinds", "found"),
    [
        ("def f(x, y):\n    return y + x", "number number", ["HumanEval/0"]),
        ("def f(items):\n    return sorted(items)[-1]", "sequence of number", ["MBPP/1"]),
        ("def f(items):\n    return max(items)", "sequence of str", []),
        ("def f(items):\n    return min(items)", "sequence of number", []),
        ("def f(items):\n    return max(items)", "any 1", ["MBPP/1"]),
        ("def f(x, y=0):\n    return x + y", "any 2", ["HumanEval/0"]),
        ("def f(x, y=0):\n    return x + y", "any 1", []),
        ("def f(x, y):\n    return x * y", "number number", []),
        ("def f(x, y):\n    while True:\n        pass", "number number", []),
        ("def f(x, y):\n    raise SystemExit", "number number", []),
    ],
)
def test_whoever_passes_a_problems_tests_solves_it(problems, code, kinds, found):
    assert solved(problems, code, "f", kinds) == found


@pytest.mark.usefixtures("problems")
def test_a_block_leaves_out_what_solves_a_problem(tmp_path):
    lines, dropped = block(3, "train", 0, 60, Runner())
    asserts, task = next(
        (found, line)
        for line in lines
        if (found := re.findall("^[# ]*(assert .*)$", line["text"], re.MULTILINE))
        and line["path"].startswith("task/")
    )
    name = asserts[0].split()[1].partition("(")[0]
    row = {**LARGEST, "code": f"def {name}(): pass", "test_list": asserts}
    (tmp_path / "benchmarks" / MBPP).write_text(json.dumps(row) + "\n")
    again = collect(tmp_path / "benchmarks", tmp_path / "again.json")
    kept, why = block(3, "train", 0, 60, Runner(), again)
    assert task["text"] not in {line["text"] for line in kept}
    assert why["likeness: passes a benchmark's tests"] >= 1
    assert dropped["likeness: passes a benchmark's tests"] == 0
    assert why["likeness: error"] == 0


def test_a_folder_without_benchmarks_is_a_clear_error(tmp_path):
    with pytest.raises(DataError, match="benchmark file"):
        collect(tmp_path, tmp_path / "problems.json")
