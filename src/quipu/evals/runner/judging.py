"""Answers graded, several at once: by a value of the task's, or by its program in the sandbox."""

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass

from quipu.evals.runner.folder import TOO_LONG, Sample, Verdict
from quipu.evals.task import Problem, Score, Task, Trial
from quipu.sandbox.program import Judge, Limits, Outcome

_DETAIL = 2000  # characters of a program's last words that are kept


@dataclass(frozen=True, kw_only=True)
class TimedOut:
    """A sample whose program ran out of time beside others: no verdict yet."""

    sample: Sample


class Judging:
    """Threads that grade samples; what they find goes to `put`.

    What has timed out is to be graded again by `alone` when nothing else runs: a busy machine must
    not decide.
    """

    def __init__(
        self,
        task: Task,
        judge: Judge | None,
        limits: Limits,
        put: Callable[[Verdict | TimedOut | BaseException], None],
        workers: int,
    ) -> None:
        self._task, self._judge, self._limits, self._put = task, judge, limits, put
        self._waiting: queue.SimpleQueue[tuple[Problem, Sample] | None] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, name="quipu-judging", daemon=True)
            for _ in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def grade(self, problem: Problem, sample: Sample) -> None:
        """Grade a sample soon."""
        self._waiting.put((problem, sample))

    def alone(self, problem: Problem, sample: Sample) -> Verdict:
        """Grade a sample now; a time-out counts."""
        return verdict(self._task, problem, sample, self._judge, self._limits)

    def stop(self) -> None:
        """Begin nothing more, and wait a little for what has begun."""
        self._stopped.set()
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join(timeout=1.0)

    def _work(self) -> None:
        while (item := self._waiting.get()) is not None and not self._stopped.is_set():
            problem, sample = item
            try:
                found = verdict(self._task, problem, sample, self._judge, self._limits)
            except BaseException as error:  # whatever it was, the run must hear of it
                self._put(error)
                return
            self._put(TimedOut(sample=sample) if found.status == "timeout" else found)


def verdict(
    task: Task, problem: Problem, sample: Sample, judge: Judge | None, limits: Limits
) -> Verdict:
    """Grade one sample. What the sandbox gets wrong is tried once more."""
    if sample.finish_reason == TOO_LONG:
        return _verdict(sample, "failed", 0.0, "the prompt does not fit the model's context")
    grade = task.grade(problem, sample.text)
    if isinstance(grade, Score):
        status = "passed" if grade.value >= 1 else "failed"
        if task.declaration.measure == "mean":
            status = "scored"
        return Verdict(
            problem=sample.problem,
            sample=sample.sample,
            status=status,
            value=grade.value,
            detail=grade.detail,
            measures=grade.measures,
        )
    assert judge is not None, "a trial needs a judge"
    outcome = tried(judge, grade, limits)
    if outcome.status == "sandbox_error":
        outcome = tried(judge, grade, limits)
    return _verdict(
        sample, outcome.status, float(outcome.status == "passed"), _detail(outcome), outcome.cpu_s
    )


def tried(judge: Judge, trial: Trial, limits: Limits) -> Outcome:
    """The outcome of a trial; wrong output is failing."""
    outcome = judge.judge(
        trial.language,
        trial.program,
        stdin=trial.stdin.encode(errors="surrogatepass"),
        limits=trial.limits or limits,
        complete=trial.complete,
        apart=trial.apart,
    )
    if outcome.status != "passed" or trial.expected_stdout is None:
        return outcome
    if _lines(outcome.stdout.decode(errors="replace")) == _lines(trial.expected_stdout):
        return outcome
    return Outcome(
        status="failed",
        exit_code=outcome.exit_code,
        stdout=outcome.stdout,
        cpu_s=outcome.cpu_s,
        wall_s=outcome.wall_s,
        detail="wrong output",
    )


def _verdict(sample: Sample, status: str, value: float, detail: str, cpu_s: float = 0.0) -> Verdict:
    return Verdict(
        problem=sample.problem,
        sample=sample.sample,
        status=status,
        value=value,
        detail=detail,
        cpu_s=round(cpu_s, 4),
    )


def _detail(outcome: Outcome) -> str:
    """What a person wants to know of a failure: the limit, and the last words on stderr."""
    if outcome.status == "passed":
        return ""
    words = outcome.stderr[-4 * _DETAIL :].decode(errors="replace").strip()[-_DETAIL:]
    return "\n".join(part for part in (outcome.detail, words) if part)


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip().split("\n")]
