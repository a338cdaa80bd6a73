"""Scores of a run as it goes and at its end. Intervals and comparisons are the report's."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from quipu.evals.runner.folder import RETRIED, Verdict
from quipu.evals.task import Declaration


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What came out of a run."""

    task: str
    scores: Mapping[str, float]  # "pass@1", "exact match", …: from 0 to 1; further measures
    problems: int  # with a verdict
    samples: int  # with a verdict
    statuses: Mapping[str, int]  # how many samples of each, those of a failed sandbox too


class Tally:
    """Counts verdicts as they come."""

    def __init__(self, samples: int = 1) -> None:
        """`samples` are those of each problem."""
        self.statuses: Counter[str] = Counter()
        self.judged = 0  # samples with a verdict
        self.complete = 0  # problems all of whose samples have one
        self._of = samples
        self._value = 0.0
        self._samples: Counter[str] = Counter()
        self._passed: Counter[str] = Counter()
        self._values: defaultdict[str, float] = defaultdict(float)
        self._measures: defaultdict[str, list[float]] = defaultdict(list)
        self._measured: dict[str, float] = {}

    def add(self, verdict: Verdict) -> None:
        """Count one; a failed sandbox says nothing about the answer."""
        self.statuses[verdict.status] += 1
        if verdict.status == RETRIED:
            return
        if verdict.status == "measured":
            self._measured.update(verdict.measures)
            return
        self.judged += 1
        self._value += verdict.value
        self._samples[verdict.problem] += 1
        self.complete += self._samples[verdict.problem] == self._of
        self._passed[verdict.problem] += verdict.status == "passed"
        self._values[verdict.problem] += verdict.value
        for name, value in verdict.measures.items():
            self._measures[name].append(value)

    @property
    def rate(self) -> float:
        """Mean grade of the samples so far."""
        return self._value / self.judged if self.judged else 0.0

    def scores(self, declaration: Declaration) -> Scores:
        """Scores of what is there."""
        found = dict(self._measured)
        if self._samples and declaration.measure == "pass@k":
            for k in declaration.ks:
                rates = [
                    pass_at_k(samples, self._passed[name], k)
                    for name, samples in self._samples.items()
                    if samples >= k
                ]
                if rates:
                    found[f"pass@{k}"] = _mean(rates)
        elif self._samples:
            found[declaration.measure] = _mean(
                self._values[name] / samples for name, samples in self._samples.items()
            )
        for name, values in self._measures.items():
            found[name] = _mean(values)
        return Scores(
            task=declaration.name,
            scores=found,
            problems=len(self._samples),
            samples=self.judged,
            statuses=dict(self.statuses),
        )


def pass_at_k(samples: int, passed: int, k: int) -> float:
    """Unbiased probability that one of k samples passes (arXiv 2107.03374, section 2.1)."""
    if samples - passed < k:
        return 1.0
    return 1.0 - math.prod(1.0 - k / i for i in range(samples - passed + 1, samples + 1))


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return math.fsum(found) / len(found)
