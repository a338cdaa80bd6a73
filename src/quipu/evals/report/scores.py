"""Scores of one task of one run, and what others have printed beside them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from quipu.evals.report.reading import ProblemRun, TaskRun
from quipu.evals.report.statistics import Array, Estimate, decoded, estimates
from quipu.evals.runner.folder import RETRIED
from quipu.evals.runner.scores import pass_at_k
from quipu.evals.task import Published

KINDS = ("passed", "failed", "timeout", "memory", "crashed")
_EXACT = ("pass@1", "exact match")  # measures whose percentage may be a count of problems


@dataclass(frozen=True, kw_only=True)
class Score:
    """A number with all that it needs to mean something."""

    measure: str
    group: str = ""
    problems: int
    samples: int  # of the problem with the fewest
    solved: int | None = None  # problems, where one sample says all
    share: bool = True  # from 0 to 1, written as a percentage
    estimate: Estimate


@dataclass(frozen=True, kw_only=True)
class Beside:
    """A published number, and ours minus it."""

    model: str
    measure: str
    group: str
    percent: float
    count: int | None  # of problems, where the percentage can be one count only
    problems: int | None
    source: str
    protocol: str  # "" is the task's own
    difference: float | None  # ours minus theirs, in points; None: we have no such score
    within: bool | None  # our interval holds it; None: we have no interval


def scores(task: TaskRun) -> list[Score]:
    """The task's measure for every declared k that the samples allow, then further measures."""
    return _scores(task, task.judged, "")


def groups(task: TaskRun) -> list[Score]:
    """The same for each group of problems, where there are at least two."""
    named: dict[str, list[ProblemRun]] = {}
    for problem in task.judged:
        named.setdefault(problem.group, []).append(problem)
    if len(named) < 2:
        return []
    return [score for name, inside in named.items() for score in _scores(task, inside, name)]


def curve(task: TaskRun) -> list[tuple[int, Estimate]]:
    """Pass@k for k up to the number of samples; nothing if one sample is all there is."""
    problems = task.judged
    most = _samples(problems)
    if task.declaration.measure != "pass@k" or most < 2:
        return []
    ks = sorted({most, *task.declaration.ks, *(m * 10**n for n in range(4) for m in (1, 2, 5))})
    ks = [k for k in ks if k <= most]
    rows = _pass_rows(problems, ks)
    # Keyed as the scores are, and like them with k = 1 first: the same problems are drawn for both.
    return list(zip(ks, estimates(rows, task.declaration.name, "", bounded=True), strict=True))


def beside(task: TaskRun, ours: Sequence[Score]) -> list[Beside]:
    """All published numbers of the task, the best first within each measure."""
    found = {(score.measure, score.group): score for score in ours}
    order = list(dict.fromkeys(row.measure for row in task.declaration.published))
    rows = sorted(
        task.declaration.published,
        key=lambda row: (row.group, order.index(row.measure), -row.value, row.model),
    )
    return [_beside(task, row, found.get((row.measure, row.group))) for row in rows]


def statuses(task: TaskRun) -> dict[str, int]:
    """Samples by outcome; errors of the sandbox last, they are no verdicts."""
    counts = Counter(
        v.status for problem in task.problems.values() for v in problem.verdicts.values()
    )
    known = [*KINDS, *sorted(set(counts) - {*KINDS, RETRIED}), RETRIED]
    return {status: counts[status] for status in known if counts[status]}


def main_measure(task: TaskRun) -> str:
    """Name of the task's own measure; a mean is called as others call it."""
    declaration = task.declaration
    if declaration.measure == "pass@k":
        return "pass@1"
    printed = {row.measure for row in declaration.published} - _further(task.judged).keys()
    return (
        printed.pop()
        if declaration.measure == "mean" and len(printed) == 1
        else declaration.measure
    )


def _beside(task: TaskRun, row: Published, ours: Score | None) -> Beside:
    exact = ours is not None and row.measure in _EXACT and not task.limited
    problems = ours.problems if ours and exact else None
    estimate = ours.estimate if ours else None
    scale = 100 if ours and ours.share else 1
    return Beside(
        model=row.model,
        measure=row.measure,
        group=row.group,
        percent=row.value,
        count=decoded(row.value, problems) if problems else None,
        problems=problems,
        source=row.source,
        protocol=row.protocol,
        difference=scale * estimate.value - row.value if estimate else None,
        within=estimate.holds(row.value / scale)
        if estimate and ours and ours.problems > 1
        else None,
    )


def _scores(task: TaskRun, problems: list[ProblemRun], group: str) -> list[Score]:
    if not problems:
        return []
    samples = _samples(problems)
    if task.declaration.measure == "pass@k":
        ks = [k for k in sorted({1, *task.declaration.ks}) if k <= samples]
        names, rows = [f"pass@{k}" for k in ks], _pass_rows(problems, ks)
    else:
        names = [main_measure(task)]
        rows = np.array([[problem.rate] for problem in problems])
    single = max(len(problem.judged) for problem in problems) == 1
    whole = single and task.declaration.measure != "mean"
    solved = sum(problem.passed for problem in problems) if whole else None
    found = estimates(rows, task.declaration.name, group, bounded=True)
    names = [] if task.measured else names
    main = [
        Score(measure=name, group=group, problems=len(problems), samples=samples, solved=solved,
              estimate=estimate)
        for name, estimate in zip(names, found, strict=False)
    ]  # fmt: skip
    return main + [_measure(task, problems, group, name) for name in _further(problems)]


def _measure(task: TaskRun, problems: list[ProblemRun], group: str, name: str) -> Score:
    """A further measure: the mean over the problems that have it."""
    values = []
    for problem in problems:
        has = [verdict.measures[name] for verdict in problem.judged if name in verdict.measures]
        if has:
            values.append(sum(has) / len(has))
    rows = np.array(values)[:, None]
    shares = _further(problems)
    return Score(
        measure=name,
        group=group,
        problems=len(values),
        samples=_samples(problems),
        # Where a task only measures, bits beside a perplexity may well be below 1.
        share=all(shares.values()) if task.measured else shares[name],
        estimate=estimates(rows, task.declaration.name, group, name)[0],
    )


def _further(problems: list[ProblemRun]) -> dict[str, bool]:
    """Further measures in the order in which the task gives them; whether they are shares."""
    found: dict[str, bool] = {}
    for problem in problems:
        for verdict in problem.judged:
            for name, value in verdict.measures.items():
                found[name] = found.get(name, True) and 0 <= value <= 1
    return found


def _samples(problems: list[ProblemRun]) -> int:
    return min((len(problem.judged) for problem in problems), default=0)


def _pass_rows(problems: list[ProblemRun], ks: list[int]) -> Array:
    once = cache(pass_at_k)
    return np.array(
        [[once(len(problem.judged), problem.passed, k) for k in ks] for problem in problems]
    )
