"""All that a report says, task by task, before it is put into words."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from quipu.errors import DataError, UsageError
from quipu.evals.report import scores, signs
from quipu.evals.report.compare import Comparison, compare, flat
from quipu.evals.report.reading import TaskRun, read_run
from quipu.evals.report.scores import Beside, Score
from quipu.evals.report.statistics import Estimate
from quipu.evals.runner.folder import RETRIED, TOO_LONG
from quipu.evals.task import Declaration, Decoding

MOST_FAILURES = 8  # commonest messages
_MANY = 0.1  # share of answers that is worth a word
_NUMBER = re.compile(r"0x[0-9a-f]+|\d{4,}")  # addresses and the like: equal messages otherwise


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """One task of one run."""

    run: str
    task: TaskRun
    decoding: Decoding  # as it was, which may not be as it is declared
    problems: int
    samples: int
    statuses: Mapping[str, int]
    scores: Sequence[Score]
    groups: Sequence[Score]
    curve: Sequence[tuple[int, Estimate]]
    beside: Sequence[Beside]
    failures: Sequence[tuple[str, int]]
    settings: Mapping[str, str]
    warnings: Sequence[str]

    @property
    def main(self) -> Score | None:
        """The score that stands for the task."""
        return next((score for score in self.scores if score.share), None)


@dataclass(frozen=True, kw_only=True)
class TaskFacts:
    """One task of all runs that have it; each later run compared with the first."""

    declaration: Declaration
    runs: Sequence[RunFacts]
    comparisons: Sequence[Comparison]


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything."""

    runs: Sequence[str]
    tasks: Sequence[TaskFacts]
    warnings: Sequence[str]


def gather(folders: Sequence[Path]) -> Report:
    """Read run folders. DataError for one that cannot be read, or shares no task with the first."""
    names = _names(folders)
    runs = {name: read_run(folder, name) for name, folder in zip(names, folders, strict=True)}
    first = runs[names[0]]
    warnings = []
    for name in names[1:]:
        if not first.keys() & runs[name].keys():
            raise DataError(
                f"runs {names[0]} and {name} have no task in common",
                got=f"{', '.join(first)} and {', '.join(runs[name])}",
                remedy="report each alone",
            )
        if alone := sorted(first.keys() ^ runs[name].keys()):
            warnings.append(f"not in both {names[0]} and {name}: {', '.join(alone)}")
    order = list(dict.fromkeys(task for tasks in runs.values() for task in tasks))
    return Report(
        runs=names,
        tasks=[_task([tasks[name] for tasks in runs.values() if name in tasks]) for name in order],
        warnings=warnings,
    )


def _names(folders: Sequence[Path]) -> list[str]:
    """Last parts of the paths, or as much of them as tells runs apart."""
    places = [folder.resolve() for folder in folders]
    if len(set(places)) < len(places):
        raise UsageError("runs", got="the same folder twice", allowed="folders of different runs")
    for depth in range(1, max(len(place.parts) for place in places) + 1):
        names = ["/".join(place.parts[-depth:]) for place in places]
        if len(set(names)) == len(names):
            break
    return names


def _task(runs: Sequence[TaskRun]) -> TaskFacts:
    pairs = [compare(runs[0], run) for run in runs[1:]]
    return TaskFacts(
        declaration=runs[0].declaration,
        runs=[_run(run) for run in runs],
        comparisons=[pair for pair in pairs if pair],
    )


def _run(task: TaskRun) -> RunFacts:
    own, inside = scores.scores(task), scores.groups(task)
    counts, decoding = scores.statuses(task), _decoding(task)
    facts = RunFacts(
        run=task.run,
        task=task,
        decoding=decoding,
        problems=len(task.judged),
        samples=sum(counts.values()),
        statuses=counts,
        scores=own,
        groups=inside,
        curve=scores.curve(task),
        beside=scores.beside(task, [*own, *inside]),
        failures=_failures(task),
        settings={k: v for k, v in flat(task.manifest).items() if not k.startswith("declaration")},
        warnings=(),
    )
    return replace(facts, warnings=[*task.warnings, *_warnings(facts)])


def _decoding(task: TaskRun) -> Decoding:
    """What the run used: the manifest's own word, where it has one, before the declaration's."""
    found = task.manifest.get("decoding")
    known = {field.name for field in fields(Decoding)}
    if not isinstance(found, Mapping) or not found.keys() <= known:
        return task.declaration.decoding
    return replace(task.declaration.decoding, **{**found, "stop": tuple(found.get("stop", ()))})


def _failures(task: TaskRun) -> list[tuple[str, int]]:
    """Commonest messages of wrong answers."""
    found = Counter(
        _NUMBER.sub("…", verdict.message)
        for problem in task.judged
        for verdict in problem.judged
        if verdict.value < 1 and verdict.message
    )
    return sorted(found.items(), key=lambda item: (-item[1], item[0]))[:MOST_FAILURES]


def _warnings(facts: RunFacts) -> Iterator[str]:
    task, finish = facts.task, facts.task.texts.finish
    if not facts.problems:
        yield "no sample has a verdict: there is no score"
    if facts.main and not task.measured:
        yield from signs.signs(task, facts.main.estimate.value)
    if lost := facts.statuses.get(RETRIED, 0):
        yield (
            f"{lost} samples have no verdict because the sandbox failed; they count neither as"
            " right nor as wrong: resume the run to judge them again"
        )
    least = min((len(problem.judged) for problem in task.judged), default=0)
    for k in task.declaration.ks if task.declaration.measure == "pass@k" else ():
        if least < k <= facts.decoding.samples:
            yield f"pass@{k} is left out: some problems have only {least} samples with a verdict"
    if unheard := len(task.problems) - facts.problems:
        yield f"{unheard} problems have no verdict at all and are not in the scores"
    if task.limited:
        yield (
            f"only the first {facts.problems} problems were asked: published numbers are about"
            " all of them"
        )
    changed = [
        f"{field.name.replace('_', ' ')} {getattr(facts.decoding, field.name)!r}"
        f" (declared {getattr(task.declaration.decoding, field.name)!r})"
        for field in fields(Decoding)
        if getattr(facts.decoding, field.name) != getattr(task.declaration.decoding, field.name)
    ]
    if changed:
        yield f"not decoded as the protocol declares: {', '.join(changed)}"
    if fit := finish[TOO_LONG]:
        yield f"{fit} prompts did not fit the model's context; their answers count as wrong"
    suspected = facts.main is not None and facts.main.estimate.value <= signs.NEARLY
    if not suspected and finish["length"] >= _MANY * task.texts.count > 0:
        yield (
            f"{finish['length']} of {task.texts.count} answers end only because max_tokens was"
            " reached"
        )
