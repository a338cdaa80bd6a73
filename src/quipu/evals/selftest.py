"""Whether this machine tells right from wrong: before a model is blamed, the harness is tried.

Every canonical solution must pass, every mutant of one must not, and no attack may get through.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from quipu.evals.attacks import attacks, stopped
from quipu.evals.runner.judging import tried
from quipu.evals.task import Problem, Score, Task, Whole
from quipu.sandbox.program import Judge, Limits

QUICK = 20  # solutions and mutants of each task, spread evenly

Told = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """Something that is not as it must be."""

    what: str  # the problem, or the attack
    why: str


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What came out of one kind of check: so many of so many were as they must be."""

    name: str
    kind: str  # "solutions pass", "mutants fail", "attacks are stopped"
    right: int
    of: int
    troubles: tuple[Trouble, ...]


@dataclass(frozen=True, kw_only=True)
class _Case:
    problem: Problem
    answer: str
    passes: bool


def check_task(
    task: Task,
    files: Mapping[str, bytes],
    judge: Judge,
    limits: Limits,
    *,
    workers: int,
    quick: bool,
    told: Told,
) -> list[Checked]:
    """Solutions and mutants of a task; empty if its data holds neither."""
    problems = task.whole(files) if isinstance(task, Whole) else task.problems(files)
    cases = [
        *_cases(problems, task.solution, passes=True, quick=quick),
        *_cases(problems, task.mutant, passes=False, quick=quick),
    ]
    troubles: dict[bool, list[Trouble]] = {True: [], False: []}
    again = []
    pool = ThreadPoolExecutor(max_workers=workers)
    try:
        outcomes = pool.map(lambda case: _status(task, case, judge, limits), cases)
        for done, (case, (status, detail)) in enumerate(zip(cases, outcomes, strict=True), 1):
            if status == "timeout":
                again.append(case)  # beside others: no verdict yet
            elif _wrong(case, status):
                troubles[case.passes].append(_trouble(case, status, detail))
            told(done, len(cases))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    for case in again:
        status, detail = _status(task, case, judge, limits)
        if _wrong(case, status):
            troubles[case.passes].append(_trouble(case, status, detail))
    return [
        _checked(task.declaration.name, kind, cases, troubles[passes], passes)
        for kind, passes in (("solutions pass", True), ("mutants fail", False))
        if any(case.passes == passes for case in cases)
    ]


def check_sandbox(judge: Judge, told: Told) -> Checked:
    """Attacks, one after the other."""
    known = attacks()
    troubles = []
    for done, attack in enumerate(known, 1):
        why = stopped(judge, attack)
        if why:
            troubles.append(Trouble(what=attack.name, why=why))
        told(done, len(known))
    return Checked(
        name="sandbox",
        kind="attacks are stopped",
        right=len(known) - len(troubles),
        of=len(known),
        troubles=tuple(troubles),
    )


def _cases(
    problems: Sequence[Problem],
    answer: Callable[[Problem], str | None],
    *,
    passes: bool,
    quick: bool,
) -> Iterator[_Case]:
    step = max(len(problems) // QUICK, 1) if quick else 1
    for problem in problems[::step]:
        text = answer(problem)
        if text is not None:
            yield _Case(problem=problem, answer=text, passes=passes)


def _status(task: Task, case: _Case, judge: Judge, limits: Limits) -> tuple[str, str]:
    """How a case ended, and words about it."""
    grade = task.grade(case.problem, case.answer)
    if isinstance(grade, Score):
        return ("passed" if grade.value >= 1 else "failed"), grade.detail
    outcome = tried(judge, grade, limits)
    words = outcome.stderr.decode(errors="replace").strip().rpartition("\n")[2]
    return outcome.status, words or outcome.detail


def _wrong(case: _Case, status: str) -> bool:
    """A sandbox that fails has shown nothing, whatever was expected."""
    return status == "sandbox_error" or (status == "passed") != case.passes


def _trouble(case: _Case, status: str, detail: str) -> Trouble:
    return Trouble(what=case.problem.id, why=f"{status} {detail}".strip())


def _checked(
    name: str, kind: str, cases: Sequence[_Case], troubles: Sequence[Trouble], passes: bool
) -> Checked:
    of = sum(case.passes == passes for case in cases)
    return Checked(name=name, kind=kind, right=of - len(troubles), of=of, troubles=tuple(troubles))
