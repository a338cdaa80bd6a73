"""Verdicts on published programs: ours beside those that were published with them.

Programs and verdicts are below check-vectors in the folder QUIPU_DATA: Qwen2.5-Coder 1.5B's answers
to MultiPL-E's HumanEval in seven languages, and to HumanEval as EvalPlus judged them.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from eval_speed.setting import Setting

from quipu.evals.data import data_folder, read_sources
from quipu.evals.runner.judging import tried
from quipu.evals.task import Trial
from quipu.evals.tasks.multipl_e import NAMES
from quipu.evals.tasks.plus import Plus
from quipu.sandbox.judge import open_judge
from quipu.sandbox.program import Judge, Limits, Outcome

VECTORS = "check-vectors/1.5b-base"
PYTHON = "python"
SETS = (*NAMES, PYTHON)
GOAL = 0.995
UNHANDLED = "ends with an unhandled exception, which its publisher counts as passing"
# What else a verdict may differ for.
EXPLAINED = {
    "php HumanEval_16_count_distinct_characters": "str_split('') has no item since PHP 8.2; it had"
    " an empty one in the 8.1 of MultiPL-E's container",
}


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One program: whether it passed here, by the rule of those who published it, and there."""

    id: str
    ours: bool
    by_their_rule: bool
    theirs: bool
    why: str  # they differ; empty for reasons unknown
    told: str  # by the program, at its end


def compare(judge: Judge, name: str, data: Path, every: int = 1) -> Iterator[Compared]:
    """Judge every n-th program of one of SETS. Raises OSError if its files are absent."""
    programs = _python(data) if name == PYTHON else _translated(name, data)
    for identity, trial, theirs in list(programs)[::every]:
        outcome = tried(judge, trial, Limits())
        ours = outcome.status == "passed"
        yield Compared(
            id=identity,
            ours=ours,
            by_their_rule=_unnoticed(outcome) if name == "cs" else ours,
            theirs=theirs,
            why=_why(f"{name} {identity}", outcome, theirs) if ours != theirs else "",
            told=outcome.stderr.decode(errors="replace")[-200:],
        )


def _unnoticed(outcome: Outcome) -> bool:
    """The rule of Qwen's harness for C#: a program that was built and run, and wrote no "Fail"."""
    ran = outcome.command == 1 and outcome.status in ("passed", "failed")
    return ran and b"Fail" not in outcome.stderr


def _why(program: str, outcome: Outcome, theirs: bool) -> str:
    if theirs and program.startswith("cs ") and b"Unhandled Exception" in outcome.stderr:
        return UNHANDLED
    return EXPLAINED.get(program, "")


def _translated(extension: str, data: Path) -> Iterator[tuple[str, Trial, bool]]:
    path = data / VECTORS / f"multipl-e/humaneval-{extension}-details.json"
    for _, runs in sorted(json.loads(path.read_text()).items()):
        found = runs[0][1]
        yield (
            found["task_id"],
            Trial(language=NAMES[extension], program=found["code"]),
            found["passed"],
        )


def _python(data: Path) -> Iterator[tuple[str, Trial, bool]]:
    """Against HumanEval's original inputs: those that EvalPlus added are not all at hand."""
    path = data / VECTORS / "evalplus-humaneval/generated_eval_results.json"
    published = json.loads(path.read_text())["eval"]
    task = Plus(kind="humaneval-mini", base=True)
    for problem in task.problems(read_sources(task.declaration.data, data)):
        (run,) = published[problem.id]
        grade = task.grade(problem, f"\n{run['solution']}")
        assert isinstance(grade, Trial)
        yield problem.id, grade, run["base_status"] == "pass"


def measure(setting: Setting) -> str:
    """Judge all programs once: verdicts do not depend on the clock."""
    rows, differing = [], []
    programs = equal = by_rule = 0
    judge = open_judge(data=data_folder())
    try:
        for name in SETS:
            found = list(compare(judge, name, data_folder()))
            same = sum(each.ours == each.theirs for each in found)
            theirs = sum(each.by_their_rule == each.theirs for each in found)
            rows.append(f"| {NAMES.get(name, name)} | {len(found)} | {same} | {theirs} |")
            differing += [
                f"| {NAMES.get(name, name)} | {each.id} | {_said(each.ours)} |"
                f" {_said(each.theirs)} | {each.why or f'unknown: {each.told!r}'} |"
                for each in found
                if each.ours != each.theirs
            ]
            programs, equal, by_rule = programs + len(found), equal + same, by_rule + theirs
            setting.say(rows[-1])
    finally:
        judge.close()
    return "\n".join(
        [
            "# Verdicts on published programs",
            "",
            "`python benchmarks/eval.py --only verdicts`",
            "",
            "Qwen2.5-Coder 1.5B's published answers to MultiPL-E's HumanEval and to HumanEval, and"
            " their published verdicts. Our rule for C# is MultiPL-E's, by which the paper's scores"
            " came about: an unhandled exception fails. The harness that published these verdicts"
            ' looks for the word "Fail" alone.',
            "",
            "| language | programs | equal verdicts | equal by the publisher's own rule |",
            "| --- | --- | --- | --- |",
            *rows,
            f"| all | {programs} | {equal} ({equal / programs:.2%}) |"
            f" {by_rule} ({by_rule / programs:.2%}; goal {GOAL:.1%}) |",
            "",
            "| language | program | here | published | why |",
            "| --- | --- | --- | --- | --- |",
            *differing,
            "",
        ]
    )


def _said(passed: bool) -> str:
    return "passed" if passed else "failed"
