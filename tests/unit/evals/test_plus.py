"""EvalPlus's format by hand-made rows, and its verdicts by the grader itself."""

import gzip
import json
import math
import re
from collections import Counter

import pytest

from quipu.evals.grading import plus
from quipu.evals.task import Complete, Trial
from quipu.evals.tasks.plus import SOURCES, Plus, typed

ROW = {
    "task_id": "HumanEval/0",
    "prompt": "\n\ndef half(x):\n",
    "entry_point": "half",
    "canonical_solution": "\n    return x / 2\n",
    "base_input": [[1], [float("inf")]],
    "plus_input": [[3]],
    "atol": 0,
}


class Equal:
    def __eq__(self, other):
        return True

    __hash__ = None  # type: ignore[assignment]


def problem(task, row=ROW):
    (found,) = task.problems({task.source.name: gzip.compress(json.dumps(row).encode())})
    return found


def judged(task, answer, row=ROW):
    """Runs the judged program here: it is ours."""
    trial = task.grade(problem(task, row), answer)
    assert isinstance(trial, Trial)
    assert trial.complete
    try:
        exec(trial.program, {"__name__": "program"})
    except AssertionError:
        return False
    return True


def test_the_prompt_is_stripped_and_ends_with_a_line_break():
    task = Plus(kind="humaneval")
    assert task.prompt(problem(task)) == Complete(text="def half(x):\n")


def test_a_function_of_mbpp_is_not_cut_where_it_begins():
    assert "\ndef " in Plus(kind="humaneval").declaration.decoding.stop
    assert "\ndef " not in Plus(kind="mbpp").declaration.decoding.stop


@pytest.mark.parametrize("kind", SOURCES)
def test_the_solution_passes_and_the_mutant_fails(kind):
    task = Plus(kind=kind)
    row = {**ROW, "prompt": '"""Halve."""'} if kind == "mbpp" else ROW
    body = "def half(x):\n    return x / 2\n" if kind == "mbpp" else ROW["canonical_solution"]
    row = {**row, "canonical_solution": f"\n{body}"}
    found = problem(task, row)
    assert judged(task, task.solution(found), row)
    assert not judged(task, task.mutant(found), row)


def test_original_inputs_alone_are_a_task_of_their_own():
    answer = "    return x / 2 if x != 3 else 0\n"
    assert judged(Plus(kind="humaneval", base=True), answer)
    assert not judged(Plus(kind="humaneval"), answer)
    assert Plus(kind="mbpp", base=True).declaration.name == "mbpp-plus-base"
    assert Plus(kind="humaneval-mini").declaration.name == "humaneval-plus-mini"


def test_an_answer_cannot_change_the_inputs_of_the_next_call():
    row = {**ROW, "entry_point": "first", "prompt": "def first(x):\n", "base_input": [[[2, 1]]],
           "plus_input": [[[2, 1]]], "canonical_solution": "    return x[0]\n"}  # fmt: skip
    assert judged(Plus(kind="humaneval"), "    x.reverse()\n    return x[1]\n", row)


@pytest.mark.parametrize(
    ("found", "wanted", "right"),
    [
        (1, 1.0, True),
        (0.1 + 0.2, 0.3, True),
        ([0.1 + 0.2], [0.3], True),
        ((0.3,), [0.3], False),
        ([0.3, 1.0], [0.3], False),
        (0.301, 0.3, False),
        ("a", "b", False),
        (math.inf, math.inf, True),
    ],
)
def test_floats_are_compared_with_a_tolerance(found, wanted, right):
    assert plus.same(found, wanted, 0) is right


@pytest.mark.parametrize("value", [Equal(), [Equal()], {"a": Equal()}, (1, (Equal(),))])
def test_a_value_that_claims_to_equal_everything_counts_for_nothing(value):
    with pytest.raises(AssertionError):
        plus.plain(value)


def test_values_of_the_usual_containers_are_plain():
    assert plus.plain(Counter("aa")) == {"a": 2}
    assert plus.plain([(1, {2}), None]) == [(1, {2}), None]


def test_problems_with_several_right_answers_have_rules_of_their_own():
    assert plus.right("find_zero", [[-1, 0, 1]], -1.0, 1.0, 1e-4)
    assert not plus.right("find_zero", [[-1, 0, 1]], 2.0, 1.0, 1e-4)
    assert plus.right("Diff", [[1], [2]], [2, 1], [1, 2], 0)
    assert plus.right("sum_div", [7], 0, 1, 0)
    assert plus.right("digit_distance_nums", [1, 2], 1, 9, 0)
    assert plus.right("surface_Area", [3, 4], 35, 33, 0)
    text = "import re\ndef check_str(x):\n    return re.match('a', x)\n"
    plus.check(lambda x: x[0] == "a", "check_str", [["ab"], ["b"]], text, 0)
    plus.check(lambda x: re.match("a", x), "check_str", [["ab"], ["b"]], text, 0)


@pytest.mark.parametrize(
    ("number", "given", "wanted"),
    [
        (2, [[1], [2]], [(1,), (2,)]),
        (63, [[[1], [2]]], [[(1,), (2,)]]),
        (75, [[[1]], 2], [[(1,)], 2]),
        (106, [[1], [2]], [[1], (2,)]),
        (307, [[1], 2, 3], [(1,), 2, 3]),
        (259, [[[1]], [[2]]], [((1,),), ((2,),)]),
        (580, [[[1], 2]], [((1,), 2)]),
        (115, [[[1], []]], [[{1}, {}]]),
        (124, ["1", "1j"], [1.0, 1j]),
        (252, ["1j"], [1j]),
        (278, [[1, [2]]], [(1, (2,))]),
        (722, [{"a": [1]}, 2], [{"a": (1,)}, 2]),
        (11, [[1]], [[1]]),
    ],
)
def test_arguments_get_the_types_that_json_lacks(number, given, wanted):
    assert typed(number, given) == wanted
