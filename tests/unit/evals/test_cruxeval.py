"""CRUXEval by a hand-made row: prompts, the half of the assertion that counts, refusals."""

import json

import pytest

from quipu.evals.task import Complete, Score, Trial
from quipu.evals.tasks.cruxeval import SOURCE, CruxEval

ROW = {"id": "sample_0", "code": "def f(d):\n    return {**d}", "input": "{'output': 1}",
       "output": "{'output': 1}"}  # fmt: skip
PROGRAM = "def f(d):\n    return {**d}\nassert "


def problem(asks):
    (found,) = CruxEval(asks=asks).problems({SOURCE.name: json.dumps(ROW).encode()})
    return found


@pytest.mark.parametrize(
    ("asks", "end"),
    [("input", "assert f(??) == {'output': 1}"), ("output", "assert f({'output': 1}) == ??")],
)
def test_the_prompt_asks_for_one_half(asks, end):
    prompt = CruxEval(asks=asks).prompt(problem(asks))
    assert isinstance(prompt, Complete)
    assert prompt.text.endswith(
        f"[PYTHON]\ndef f(d):\n    return {{**d}}\n{end}\n[/PYTHON]\n[ANSWER]\n"
    )
    assert prompt.text.count("[ANSWER]\n") == 3


@pytest.mark.parametrize(
    ("asks", "answer", "assertion"),
    [
        ("output", "assert f({'output': 1}) == {}\n[/ANSWER] more", "{} == f({'output': 1})"),
        ("output", "{1: 2}", "{1: 2} == f({'output': 1})"),
        ("input", "assert f({}) == {'output': 1}\n", "{'output': 1} == f({})"),
        ("input", "f({})", "{'output': 1} == f({})"),
    ],
)
def test_the_half_that_was_asked_for_is_run(asks, answer, assertion):
    trial = CruxEval(asks=asks).grade(problem(asks), answer)
    assert isinstance(trial, Trial)
    assert trial.complete
    assert trial.program == f"{PROGRAM}{assertion}\n"


@pytest.mark.parametrize(
    ("asks", "answer"), [("output", "f({'output': 1})"), ("input", "{'output': 1}")]
)
def test_an_answer_that_evades_the_question_is_wrong(asks, answer):
    assert isinstance(CruxEval(asks=asks).grade(problem(asks), answer), Score)
