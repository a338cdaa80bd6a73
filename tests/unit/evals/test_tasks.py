"""Tasks by hand-made files of their formats: prompts to the byte, programs, refusals."""

import gzip
import json
from collections.abc import Mapping

import pytest

from quipu.errors import DataError
from quipu.evals.task import Chat, Complete, Infill, Trial
from quipu.evals.tasks.humaneval import HumanEval, sampled
from quipu.evals.tasks.infilling import KINDS, Infilling
from quipu.evals.tasks.mbpp import SHOTS, TESTED, Mbpp

ROW = {
    "task_id": "HumanEval/0",
    "prompt": "def one():\n",
    "entry_point": "one",
    "canonical_solution": "    return 1\n",
    "test": "def check(candidate):\n    assert candidate() == 1\n",
    "suffix": "\n# end\n",
}


def lines(*rows: Mapping[str, object]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def humaneval(row: Mapping[str, object] = ROW) -> dict[str, bytes]:
    return {"HumanEval.jsonl.gz": gzip.compress(lines(row))}


def mbpp() -> dict[str, bytes]:
    rows = [
        {
            "task_id": n,
            "text": f"Write {n}.",
            "code": f"def f{n}():\r\n\treturn {n}",
            "test_setup_code": "",
            "test_list": [f"assert f{n}() == {n}"],
            "challenge_test_list": [],
        }
        for n in (*SHOTS, *TESTED)
    ]
    return {"mbpp.jsonl": lines(*rows)}


def test_humaneval_is_asked_unstripped_and_graded_to_its_last_test():
    (problem,) = HumanEval().problems(humaneval())
    assert HumanEval().prompt(problem) == Complete(text="def one():\n")
    trial = HumanEval().grade(problem, "    return 1\n")
    assert isinstance(trial, Trial)
    assert trial.complete
    assert trial.program == (
        "def one():\n    return 1\n\ndef check(candidate):\n    assert candidate() == 1\n\n"
        "check(one)\n"
    )


def test_humaneval_draws_200_samples_for_the_larger_ks():
    decoding = sampled(HumanEval()).declaration.decoding
    assert (decoding.samples, decoding.temperature, decoding.top_p) == (200, 0.8, 0.95)


@pytest.mark.parametrize("kind", KINDS)
def test_infilling_asks_for_the_middle_and_runs_the_whole(kind):
    task = Infilling(kind=kind, order="spm")
    (problem,) = task.problems({task.source.name: gzip.compress(lines(ROW))})
    assert task.prompt(problem) == Infill(prefix="def one():\n", suffix="\n# end\n", order="spm")
    trial = task.grade(problem, "    return 1")
    assert isinstance(trial, Trial)
    assert trial.program.startswith("def one():\n    return 1\n# end\n")


def test_mbpp_shows_three_shots_and_asks_500_problems():
    problems = Mbpp().problems(mbpp())
    assert [p.id for p in problems] == [f"MBPP/{n}" for n in TESTED]
    prompt = Mbpp().prompt(problems[0])
    assert isinstance(prompt, Complete)
    assert prompt.text.count("[BEGIN]\n") == 4
    assert prompt.text.count("\n[DONE]\n\n") == 3
    assert "def f2():\n    return 2\n[DONE]" in prompt.text
    assert prompt.text.endswith("tests:\n\nassert f11() == 11\n[BEGIN]\n")


def test_mbpp_runs_set_up_code_after_the_solution():
    problem = Mbpp().problems(mbpp())[0]
    problem.facts["test_setup_code"] = "root = f11()"  # type: ignore[index]
    trial = Mbpp().grade(problem, "def f11(): return 11")
    assert isinstance(trial, Trial)
    assert trial.program == "def f11(): return 11\nroot = f11()\nassert f11() == 11\n"


@pytest.mark.parametrize(
    "answer", ["[PYTHON]\nx = 1\n[/PYTHON] done", "Sure! [PYTHON]\nx = 1\n", "\nx = 1\n"]
)
def test_the_zero_shot_answer_is_taken_from_its_tags(answer):
    task = Mbpp(zero_shot=True)
    problem = task.problems(mbpp())[0]
    prompt = task.prompt(problem)
    assert isinstance(prompt, Chat)
    assert prompt.messages[0].content.startswith("You are an expert Python programmer")
    trial = task.grade(problem, answer)
    assert isinstance(trial, Trial)
    assert trial.program.startswith("\nx = 1\n")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"no gzip", "malformed"),
        (gzip.compress(b"{"), "malformed"),
        (gzip.compress(b"[1]\n"), "row 1 is no object"),
        (gzip.compress(lines({"task_id": 1})), "row 1 has no prompt"),
    ],
)
def test_a_malformed_file_is_named(data, message):
    with pytest.raises(DataError, match=message):
        HumanEval().problems({"HumanEval.jsonl.gz": data})
