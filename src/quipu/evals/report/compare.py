"""Two runs of a task, problem by problem."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from quipu.evals.report.reading import TaskRun
from quipu.evals.report.scores import main_measure
from quipu.evals.report.statistics import Estimate, paired, sign_test

_LETTERS = 160  # of a setting's value


@dataclass(frozen=True, kw_only=True)
class Flip:
    """A problem that the runs do not solve equally often."""

    problem: str
    group: str
    first: float  # share of samples that are right
    second: float


@dataclass(frozen=True, kw_only=True)
class Differs:
    """A setting that the runs do not share."""

    setting: str
    first: str
    second: str


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Second minus first, on the problems that both have."""

    first: str
    second: str
    measure: str
    problems: int
    difference: Estimate
    better: int  # problems that the second solves more often
    worse: int
    p: float  # exact McNemar where samples are one a problem, else the exact sign test
    test: str
    flipped: tuple[Flip, ...]  # the greatest first
    differs: tuple[Differs, ...]
    warnings: tuple[str, ...]


def compare(first: TaskRun, second: TaskRun) -> Comparison | None:
    """How the second run differs from the first.

    None where they share no judged problem, or problems are not what is measured.
    """
    if first.measured or second.measured:
        return None
    ours = {problem.id: problem for problem in first.judged}
    theirs = {problem.id: problem for problem in second.judged}
    both = [name for name in ours if name in theirs]
    if not both:
        return None
    pairs = [(ours[name].rate, theirs[name].rate) for name in both]
    flips = [
        Flip(problem=name, group=ours[name].group, first=a, second=b)
        for name, (a, b) in zip(both, pairs, strict=True)
        if a != b
    ]
    single = all(len(p.judged) == 1 for name in both for p in (ours[name], theirs[name]))
    exact = single and first.declaration.measure != "mean"
    better = sum(b > a for a, b in pairs)
    worse = sum(b < a for a, b in pairs)
    return Comparison(
        first=first.run,
        second=second.run,
        measure=main_measure(first),
        problems=len(both),
        difference=paired(*zip(*pairs, strict=True), first.declaration.name),
        better=better,
        worse=worse,
        p=sign_test(better, worse),
        test="exact McNemar test" if exact else "exact sign test",
        flipped=tuple(sorted(flips, key=lambda f: (-abs(f.second - f.first), f.second < f.first))),
        differs=tuple(differences(first, second)),
        warnings=tuple(_warnings(first, second, len(both))),
    )


def differences(first: TaskRun, second: TaskRun) -> Iterator[Differs]:
    """Everything in the manifests that is not the same."""
    a, b = flat(first.manifest), flat(second.manifest)
    for name in sorted(a.keys() | b.keys()):
        if not name.startswith("declaration.published") and a.get(name) != b.get(name):
            yield Differs(setting=name, first=a.get(name, "—"), second=b.get(name, "—"))


def flat(value: Mapping[str, Any], before: str = "") -> dict[str, str]:
    """Nested settings as `decoding.temperature`; lists are single values."""
    found: dict[str, str] = {}
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            found |= flat(inner, f"{before}{key}.")
        else:
            text = inner if isinstance(inner, str) else json.dumps(inner, ensure_ascii=False)
            found[f"{before}{key}"] = text if len(text) <= _LETTERS else text[:_LETTERS] + "…"
    return found


def _warnings(first: TaskRun, second: TaskRun, both: int) -> Iterator[str]:
    a, b = first.declaration, second.declaration
    if _hashes(first) != _hashes(second):
        yield (
            "the runs were made on different data (another sha256): their numbers measure"
            " different things"
        )
    if a.protocol != b.protocol or a.measure != b.measure:
        yield "the runs follow different protocols: a difference may be theirs, not the model's"
    if a.decoding != b.decoding:
        yield "the runs were decoded with different settings (see below)"
    most = max(len(first.judged), len(second.judged))
    if both < most:
        yield f"compared on the {both} problems that both runs have judged, of {most}"


def _hashes(task: TaskRun) -> dict[str, str]:
    return {source.path: source.sha256 for source in task.declaration.data}
