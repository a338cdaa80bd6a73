"""Which problems a page shows with their answers: so many that it stays small."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quipu.evals.report.facts import TaskFacts
from quipu.evals.report.reading import Answer, ProblemRun, Verdict
from quipu.evals.report.statistics import generator

MOST_PROBLEMS = 200  # of a task
MOST_LETTERS = 2_500_000  # of a page


@dataclass(frozen=True, kw_only=True)
class ShownAnswer:
    """One answer and how it fared."""

    sample: int
    answer: Answer
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class ShownProblem:
    """One problem with some answers of each run that has it."""

    id: str
    group: str
    prompt: str
    flipped: bool
    rates: Mapping[str, tuple[int, int]]  # run: samples in full right, judged ones
    answers: Mapping[str, Sequence[ShownAnswer]]


def shown(task: TaskFacts, tasks: int) -> list[ShownProblem]:
    """Flipped problems, then others drawn at random, in order; for one of so many tasks."""
    flipped = [flip.problem for pair in task.comparisons for flip in pair.flipped]
    every = list(dict.fromkeys(name for run in task.runs for name in run.task.problems))
    drawn = generator("shown", task.declaration.name).permutation(len(every))
    order = dict.fromkeys([*flipped, *(every[int(place)] for place in drawn)])
    left = MOST_LETTERS // tasks
    found: dict[str, ShownProblem] = {}
    for name in [*order][:MOST_PROBLEMS]:
        problem = _shown(task, name, name in set(flipped))
        left -= len(problem.prompt) + sum(
            len(answer.answer.text) for answers in problem.answers.values() for answer in answers
        )
        if left < 0 and found:
            break
        found[name] = problem
    return [found[name] for name in every if name in found]


def _shown(task: TaskFacts, name: str, flipped: bool) -> ShownProblem:
    runs = {run.run: run.task.problems[name] for run in task.runs if name in run.task.problems}
    first = next(iter(runs.values()))
    return ShownProblem(
        id=name,
        group=first.group,
        prompt=first.prompt,
        flipped=flipped,
        rates={run: (problem.passed, len(problem.judged)) for run, problem in runs.items()},
        answers={run: _answers(problem) for run, problem in runs.items()},
    )


def _answers(problem: ProblemRun) -> list[ShownAnswer]:
    return [
        ShownAnswer(sample=sample, answer=problem.answers[sample], verdict=problem.verdicts[sample])
        for sample in problem.shown()
        if sample in problem.answers
    ]
