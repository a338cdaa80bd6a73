"""One task run from prompts to verdicts, begun or gone on with."""

import queue
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from quipu.errors import QuipuError
from quipu.evals.data import read_sources
from quipu.evals.runner.folder import Folder, Key, Sample, Verdict
from quipu.evals.runner.generate import Generating, check_abilities
from quipu.evals.runner.judging import Judging, TimedOut
from quipu.evals.runner.manifest import manifest, prompts_hash, settle
from quipu.evals.runner.scores import Scores, Tally
from quipu.evals.runner.settings import Settings
from quipu.evals.task import Decoding, Measured, Problem, Task, Trial
from quipu.llm import LLM
from quipu.sandbox.program import Judge

_TICK_S = 0.2


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a run stands. Tokens are those of this process, all else is of the run."""

    task: str
    problems: int = 0  # with all their verdicts
    of_problems: int = 0
    samples: int = 0  # answered
    judged: int = 0
    of_samples: int = 1
    tokens: int = 0
    rate: float = 0.0  # mean grade so far
    alone: int = 0  # time-outs that are judged once more


Told = Callable[[Progress], None]
Event = Sample | Verdict | TimedOut | BaseException


def run(
    task: Task | Measured,
    llm: LLM,
    folder: Path,
    settings: Settings,
    told: Told,
    *,
    open_judge: Callable[[], Judge],
) -> Scores:
    """Run a task in `folder`/NAME, or finish what is there; the same files however often it ends.

    `open_judge` is called if the task's answers are programs; the judge and its sandbox are closed
    at the end. Raises AbilityError, DataError, SandboxError or UsageError before anything is asked,
    BackendError and QuipuError on the way: what is finished is kept.
    """
    files = read_sources(task.declaration.data, settings.data)
    place = folder / task.declaration.name
    if isinstance(task, Measured):
        return _measured(task, llm, files, place, settings, told)
    problems = task.problems(files)
    check_abilities(llm, map(task.prompt, problems))
    decoding = settings.decoding(task.declaration.decoding)
    prompts = prompts_hash(map(task.prompt, problems))
    asked = problems[: settings.limit]
    languages = _languages(task, problems)
    judge = open_judge() if languages else None
    try:
        for language in languages:
            assert judge is not None
            judge.require(language)  # before the model is asked for hours
        kept = Folder(place)
        try:
            told_of = manifest(
                task.declaration,
                decoding,
                settings,
                llm,
                files,
                prompts=prompts,
                limit=len(asked) if len(asked) < len(problems) else None,
                judge=judge,
                languages=languages,
            )
            settle(place, told_of)
            kept.describe((problem, task.prompt(problem)) for problem in asked)
            return _Run(task, llm, kept, settings, decoding, asked, judge, told).finish()
        finally:
            kept.close()
    finally:
        if judge is not None:
            judge.close()


def _languages(task: Task, problems: Sequence[Problem]) -> list[str]:
    """Languages of the programs that answers become, from the first problem of each group."""
    firsts = {problem.group: problem for problem in reversed(problems)}
    # Some answers get a value at once, an empty one say, where others become programs.
    answers = [
        (p, text) for p in firsts.values() for text in ("", task.solution(p), task.mutant(p))
    ]
    grades = [task.grade(problem, text) for problem, text in answers if text is not None]
    return sorted({grade.language for grade in grades if isinstance(grade, Trial)})


def _measured(
    task: Measured,
    llm: LLM,
    files: Mapping[str, bytes],
    place: Path,
    settings: Settings,
    told: Told,
) -> Scores:
    """The numbers of a task that draws no samples: one line, made once."""
    declaration = task.declaration
    key = ("", 0)
    tally = Tally()
    kept = Folder(place)
    try:
        settle(place, manifest(declaration, declaration.decoding, settings, llm, files))
        found = next(kept.verdicts({key}), None)
        if found is None:

            def tell(done: int, of: int) -> None:
                told(Progress(task=declaration.name, judged=done, samples=done, of_samples=of))

            measures = dict(task.measure(llm, files, tell))
            value = next(iter(measures.values()), 0.0)
            found = Verdict(problem="", sample=0, status="measured", value=value, measures=measures)
            kept.add(found)
        tally.add(found)
    finally:
        kept.close()
    return tally.scores(declaration)


class _Run:
    """The main thread's part: it alone writes, in the order in which things come."""

    def __init__(
        self,
        task: Task,
        llm: LLM,
        kept: Folder,
        settings: Settings,
        decoding: Decoding,
        problems: Sequence[Problem],
        judge: Judge | None,
        told: Told,
    ) -> None:
        self._task, self._llm, self._kept, self._told = task, llm, kept, told
        self._settings, self._decoding, self._judge = settings, decoding, judge
        self._problems = {problem.id: problem for problem in problems}
        assert len(self._problems) == len(problems), "problems share an id"
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._put = self._events.put
        self._tally = Tally(decoding.samples)
        self._graded: set[Key] = set()
        self._again: list[Sample] = []  # timed out once
        self._unanswered = self._ungraded = 0

    def finish(self) -> Scores:
        """Ask and judge what is missing."""
        wanted = {
            (name, number) for name in self._problems for number in range(self._decoding.samples)
        }
        answered, ungraded = self._resume(wanted)
        self._unanswered = len(wanted) - len(answered)
        self._ungraded = len(wanted) - len(self._graded)
        judging = Judging(
            self._task, self._judge, self._settings.limits, self._put, self._settings.workers
        )
        generating = Generating(
            self._task,
            self._llm,
            self._decoding,
            self._left(answered),
            self._put,
            seed=self._settings.seed,
            parallel=min(self._settings.parallel, self._unanswered),
        )
        try:
            for sample in ungraded:
                judging.grade(self._problems[sample.problem], sample)
            self._take(generating, judging)
            self._judge_again(generating, judging)
        except BaseException:
            generating.stop()
            judging.stop()
            self._keep_finished()
            raise
        generating.stop()
        judging.stop()
        return self._tally.scores(self._task.declaration)

    def _resume(self, wanted: set[Key]) -> tuple[set[Key], list[Sample]]:
        """What has been answered, and of that what has not been graded."""
        for found in self._kept.verdicts(wanted):
            self._tally.add(found)
            self._graded.add(found.key)
        answered: set[Key] = set()
        ungraded = []
        for sample in self._kept.answers(wanted):
            answered.add(sample.key)
            if sample.key not in self._graded:
                ungraded.append(sample)
        return answered, ungraded

    def _left(self, answered: set[Key]) -> Iterator[tuple[Problem, int]]:
        """What is still to be asked; samples of a problem together, for they share its prompt."""
        for problem in self._problems.values():
            for number in range(self._decoding.samples):
                if (problem.id, number) not in answered:
                    yield problem, number

    def _take(self, generating: Generating, judging: Judging) -> None:
        """Write what comes until all is there, time-outs aside."""
        while self._unanswered or self._ungraded > len(self._again):
            self._tell(generating)
            try:
                event = self._events.get(timeout=_TICK_S)
            except queue.Empty:
                continue
            if isinstance(event, BaseException):
                raise event
            self._write(event)
            if isinstance(event, Sample) and event.key not in self._graded:
                judging.grade(self._problems[event.problem], event)

    def _judge_again(self, generating: Generating, judging: Judging) -> None:
        """Judge time-outs once more, one by one, now that nothing else runs."""
        while self._again:
            self._tell(generating)
            sample = self._again[-1]
            self._write(judging.alone(self._problems[sample.problem], sample))
            self._again.pop()
        self._tell(generating)

    def _write(self, event: Sample | Verdict | TimedOut) -> None:
        if isinstance(event, TimedOut):
            self._again.append(event.sample)
            return
        self._kept.add(event)
        if isinstance(event, Sample):
            self._unanswered -= 1
        else:
            self._tally.add(event)
            self._graded.add(event.key)
            self._ungraded -= 1

    def _keep_finished(self) -> None:
        """Write what has come and was not looked at; a full disk has been told of."""
        with suppress(QuipuError, queue.Empty):
            while True:
                event = self._events.get_nowait()
                if not isinstance(event, BaseException):
                    self._write(event)

    def _tell(self, generating: Generating) -> None:
        samples = len(self._problems) * self._decoding.samples
        self._told(
            Progress(
                task=self._task.declaration.name,
                problems=self._tally.complete,
                of_problems=len(self._problems),
                samples=samples - self._unanswered,
                judged=samples - self._ungraded,
                of_samples=samples,
                tokens=generating.tokens,
                rate=self._tally.rate,
                alone=len(self._again),
            )
        )
