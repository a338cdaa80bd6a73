"""SantaCoder infilling, GSM8K and APPS by hand-made rows."""

import gzip
import json

import pytest

from quipu.errors import DataError
from quipu.evals.data import Source
from quipu.evals.grading import contest
from quipu.evals.grading.contestant import contestant
from quipu.evals.task import Chat, Complete, Infill, Score, Trial
from quipu.evals.tasks.apps import SAMPLE, Apps
from quipu.evals.tasks.gsm8k import SOURCE as GSM8K
from quipu.evals.tasks.gsm8k import Gsm8k
from quipu.evals.tasks.santacoder import SOURCE as SANTACODER
from quipu.evals.tasks.santacoder import SantaCoder

APPS = Source(path="apps/test.jsonl", sha256="")


def lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def runs(trial):
    """Runs the judged program here: it is ours."""
    assert isinstance(trial, Trial)
    assert trial.complete
    try:
        exec(trial.program, {"__name__": "program"})
    except AssertionError:
        return False
    return True


def santacoder():
    row = {"name": "a-L1", "prompt": "x = 1", "suffix": "z = 3", "canonical_solution": "  y = 2"}
    data = lines({**row, "language": "py"}, {**row, "language": "java"})
    return {SANTACODER.name: gzip.compress(data)}


@pytest.mark.parametrize(
    ("answer", "value", "first"),
    [("\n  y = 2\n", 1, 1), ("\ny = 2\nw = 0\n", 0, 1), ("y = 3", 0, 0), ("", 0, 0)],
)
def test_the_missing_line_is_matched_without_the_white_space_around_it(answer, value, first):
    task = SantaCoder(language="py", order="spm")
    (problem,) = task.problems(santacoder())
    assert task.prompt(problem) == Infill(prefix="x = 1", suffix="z = 3", order="spm")
    score = task.grade(problem, answer)
    assert isinstance(score, Score)
    assert (score.value, score.measures["first line"]) == (value, first)


def gsm8k(answer="So it is 1,000 + 234.5\n#### 1,234.5"):
    return {GSM8K.name: lines({"question": "How\nmany?", "answer": answer})}


def test_gsm8k_asks_for_a_program_after_three_of_our_own():
    (problem,) = Gsm8k().problems(gsm8k())
    prompt = Gsm8k().prompt(problem)
    assert isinstance(prompt, Complete)
    assert prompt.text.count("def solution():\n") == 4
    assert prompt.text.endswith("    return 4 * week\n\n# Question: How many?\ndef solution():\n")
    exec(prompt.text.rpartition("# Question")[0], {})  # the examples are programs


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("    return 1234.5\n", True),
        ("    return 1234.5001\n", True),
        ("    from fractions import Fraction\n    return Fraction(2469, 2)\n", True),
        ("    return 1234\n", False),
    ],
)
def test_gsm8k_runs_the_program(answer, right):
    (problem,) = Gsm8k().problems(gsm8k())
    assert runs(Gsm8k().grade(problem, answer)) is right


def test_gsm8k_wants_a_final_number():
    with pytest.raises(DataError, match="row 1 ends with"):
        Gsm8k().problems(gsm8k("no number"))


def apps(*changes):
    row = {
        "id": 0,
        "question": "Double it.\n",
        "solutions": json.dumps(["print(2 * int(input()))\n"]),
        "input_output": json.dumps({"inputs": ["1\n", "4\n"], "outputs": ["2\n", "8"]}),
        "difficulty": "interview",
        "starter_code": "",
    }
    rows = [{**row, "id": number, **change} for number, change in enumerate(changes)]
    return {APPS.name: lines(*rows)}


CALLED = {
    "solutions": json.dumps(["class Solution:\n    def twice(self, x):\n        return x * 2\n"]),
    "input_output": json.dumps({"fn_name": "twice", "inputs": [[1], [2]], "outputs": [[2], 4]}),
    "starter_code": "class Solution:\n    def twice(self, x):\n",
}


def test_apps_shows_two_problems_and_asks_the_others():
    task = Apps(source=APPS)
    (problem,) = task.problems(apps({}, CALLED, {}))
    assert (problem.id, problem.group) == ("APPS/2", "interview")
    prompt = task.prompt(problem)
    assert isinstance(prompt, Complete)
    assert prompt.text.count("Q: Double it.\n") == 3
    assert "'''\nprint(2 * int(input()))\n'''\n\nQ: " in prompt.text
    assert prompt.text.endswith("(read from and write to standard IO)\nA:\n'''\n")


def test_apps_are_read_from_a_folder_for_each_problem():
    task = Apps(source=SAMPLE, zero_shot=True)
    row = json.loads(apps({})[APPS.name])
    del row["difficulty"], row["starter_code"]
    row["metadata"] = json.dumps({"difficulty": "competition", "url": "nowhere"})
    (problem,) = task.problems({SAMPLE.name: lines(row)})
    assert (problem.group, problem.facts["starter"]) == ("competition", "")
    with pytest.raises(DataError, match="no 'difficulty'"):
        task.problems({SAMPLE.name: lines({**row, "metadata": "{}"})})


def test_a_sample_of_apps_is_not_set_beside_published_scores():
    assert Apps(source=APPS).declaration.published
    assert not Apps(source=SAMPLE).declaration.published
    assert Apps(source=SAMPLE, zero_shot=True).declaration.name == "apps-sample-0-shot"


def test_apps_zero_shot_is_the_prompt_of_figure_14():
    task = Apps(source=APPS, zero_shot=True)
    one, other = task.problems(apps({}, CALLED))
    prompt = task.prompt(one)
    assert isinstance(prompt, Chat)
    assert "needs to read from and write to standard IO. Please wrap" in prompt.messages[0].content
    prompt = task.prompt(other)
    assert isinstance(prompt, Chat)
    assert prompt.messages[0].content.endswith("class Solution:\n    def twice(self, x):")


@pytest.mark.parametrize("change", [{}, CALLED])
def test_apps_runs_every_test(change):
    task = Apps(source=APPS, zero_shot=True)
    (problem,) = task.problems(apps(change))
    assert runs(task.grade(problem, task.solution(problem)))
    wrong = "print(2)" if not change else "def twice(x): return 2"
    assert not runs(task.grade(problem, f"Here: ```python\n{wrong}\n```"))


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        (
            'import sys\nprint(sys.stdin.buffer.read().decode().replace("\\n", " "))\nsys.exit()',
            True,
        ),
        ("print(input(), end=' \\n\\n')\nprint(input())", False),
        ("exit(1)", False),
    ],
)
def test_programs_are_given_standard_input(answer, right):
    try:
        contest.check(contestant(answer, ""), ["a b\n", ["c", "d"]], ["a b\n", "c d"], False)
        passed = True
    except (AssertionError, EOFError):
        passed = False
    assert passed is right


def test_a_malformed_problem_is_named():
    with pytest.raises(DataError, match="problem 0"):
        Apps(source=APPS).problems(apps({"input_output": "{"}))


def test_an_object_that_claims_to_equal_everything_is_no_result():
    answer = "class E:\n    def __eq__(self, o): return True\ndef f(x): return E()"
    with pytest.raises(AssertionError):
        contest.check(contestant(answer, "f"), [[1]], [2], True)
