"""The self-test: what it lets pass, and what it finds."""

import sys
from dataclasses import dataclass

import pytest

import small_task
from quipu.cli.eval import with_verb
from quipu.evals.attacks import attacks
from quipu.evals.selftest import QUICK, check_sandbox, check_task
from quipu.evals.task import Whole
from quipu.evals.tasks.mbpp import Mbpp
from quipu.sandbox.judge import open_judge
from quipu.sandbox.program import Limits
from small_task import ROWS, Small

FILES = {"rows.jsonl": ROWS}


def checked(task, of=small_task.honest, quick=False):
    judge = small_task.judge(of)
    return check_task(task, FILES, judge, Limits(), workers=2, quick=quick, told=lambda *_: None)


@pytest.mark.parametrize("kind", ["program", "exact"])
def test_solutions_pass_and_mutants_fail(kind):
    found = checked(Small(kind=kind))
    assert [(each.kind, each.right, each.of) for each in found] == [
        ("solutions pass", 6, 6),
        ("mutants fail", 6, 6),
    ]


def test_a_solution_that_fails_and_a_mutant_that_passes_are_told():
    solutions, mutants = checked(
        Small(), lambda source, _: "failed" if "f1" in source or "f2" in source else "passed"
    )
    assert [each.what for each in solutions.troubles] == ["S/1", "S/2"]
    assert solutions.right == 4
    assert [each.what for each in mutants.troubles] == ["S/0", "S/3", "S/4", "S/5"]


def test_a_failed_sandbox_shows_nothing():
    _, mutants = checked(Small(), lambda *_: "sandbox_error")
    assert mutants.right == 0


def test_a_time_out_beside_others_is_tried_again_alone():
    solutions, _ = checked(
        Small(),
        lambda source, again: "timeout" if again == 1 else small_task.honest(source, again),
    )
    assert solutions.right == 6


def test_a_quick_one_spreads_over_the_task():
    @dataclass(frozen=True, kw_only=True)
    class Long(Small):
        def problems(self, files):
            return super().problems(files) * 10

    solutions, _ = checked(Long(kind="exact"), quick=True)
    assert solutions.of == QUICK


def test_mbpp_is_tried_whole():
    assert isinstance(Mbpp(), Whole)
    assert not isinstance(Small(), Whole)


@pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's")
def test_every_attack_is_stopped():
    judge = open_judge()
    try:
        found = check_sandbox(judge, lambda *_: None)
    finally:
        judge.close()
    assert found.troubles == ()
    assert found.right == found.of == len(attacks())


def test_an_attack_that_succeeds_is_told():
    found = check_sandbox(small_task.judge(lambda *_: "passed"), lambda *_: None)
    assert found.right == 0
    assert {each.why for each in found.troubles} == {"succeeded"}


def test_the_verb_run_may_be_left_out():
    assert with_verb(["humaneval", "--limit", "3"]) == ["run", "humaneval", "--limit", "3"]
    assert with_verb(["--limit", "3", "humaneval"])[0] == "run"
    for words in ([], ["doctor"], ["--help"], ["selftest", "humaneval"]):
        assert with_verb(words) == words
