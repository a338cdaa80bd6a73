"""The step that drops documents with benchmark problems in them, and the count of what it met."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from quipu.data.decontamination import index as indexes
from quipu.data.decontamination import trees
from quipu.data.decontamination.index import PROSE, RULES, SIGNATURE, TREE, Index
from quipu.data.documents import Document, Step
from quipu.data.hashing import Hashes
from quipu.data.steps.subject import is_python
from quipu.data.steps.syntax import functions

FEW = 20  # n-grams: a program with fewer must be there whole
FEW_PROSE = 10
_load = lru_cache(maxsize=2)(indexes.load)


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """What a document has in common with one file's form of one problem."""

    benchmark: str  # file
    problem: str
    rule: str  # program, prose, function, signature
    share: float  # of the problem's n-grams; 1.0 for functions and signatures


@dataclass(frozen=True, kw_only=True)
class Decontaminate:
    """Drops a document that holds a benchmark's program, its question, or a function of it.

    At least `share` of the n-grams of one text of a problem must be there, all of them where the
    text is short, or one of its functions whatever its names. That a function has the name and
    number of parameters of a benchmark's is a reason to drop generated data alone: `signatures`.
    """

    fingerprint: str  # of the benchmarks
    share: float = 0.5
    signatures: bool = False
    counted: tuple[str, ...] = ()  # folders of benchmarks that are counted and drop nothing
    index: Path = field(repr=False)  # where the index lies is no part of what the step does

    def __call__(self, document: Document) -> str | None:
        return self.reason(self.overlaps(document))

    def reason(self, overlaps: Iterable[Overlap]) -> str | None:
        """Why a document with these is dropped, if it is."""
        found = [
            overlap
            for overlap in overlaps
            if (self.signatures or overlap.rule != RULES[SIGNATURE])
            and overlap.benchmark.partition("/")[0] not in self.counted
        ]
        if not found:
            return None
        worst = min(found, key=lambda o: (-o.share, o.rule, o.problem, o.benchmark))
        return f"decontaminate: {worst.rule} of {worst.problem} in {worst.benchmark}"

    def overlaps(self, document: Document) -> tuple[Overlap, ...]:
        """All that the document has in common with benchmarks, signatures always included."""
        index = _load(self.index)
        keys = [indexes.sought(index, indexes.every(document.text))]
        if is_python(document):
            keys.append(indexes.sought(index, _function_keys(index, document.text)))
        items = index.table.find(np.concatenate(keys))
        if not len(items):
            return ()
        numbers, counts = np.unique(items, return_counts=True)
        sizes, rules = index.size[numbers], index.rule[numbers]
        few = np.where(rules == PROSE, FEW_PROSE, FEW)
        half = np.ceil(self.share * sizes)
        needed = np.where((sizes < few) | (rules >= TREE), sizes, np.maximum(half, few / 2))
        return tuple(
            Overlap(
                benchmark=index.files[index.file[number]],
                problem=index.problems[index.problem[number]],
                rule=RULES[index.rule[number]],
                share=round(float(count) / float(index.size[number]), 4),
            )
            for number, count, need in zip(numbers, counts, needed, strict=True)
            if count >= need
        )


@dataclass(frozen=True, kw_only=True)
class KeepAll:
    """The step of a recipe that declares to have no benchmarks."""

    def __call__(self, document: Document) -> str | None:  # noqa: ARG002
        return None


def decontaminate(
    *,
    benchmarks: Path | None,
    index: Path,
    share: float = 0.5,
    signatures: bool = False,
    counted: tuple[str, ...] = (),
) -> Step:
    """Drops what overlaps with a folder of benchmarks; its index is written to the file `index`.

    benchmarks=None drops nothing, which a recipe must say; a folder that is missing is a DataError.
    Overlap with the folders in `counted` is no reason; `signatures` is for generated data.
    """
    if benchmarks is None:
        return KeepAll()
    return Decontaminate(
        fingerprint=indexes.build(benchmarks, index),
        index=index,
        share=share,
        signatures=signatures,
        counted=counted,
    )


@dataclass(frozen=True, kw_only=True)
class Met:
    """The step, and a count of all that its documents met, dropped or not."""

    step: Decontaminate
    counts: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def __call__(self, document: Document) -> str | None:
        overlaps = self.step.overlaps(document)
        for benchmark, rule in {(overlap.benchmark, overlap.rule) for overlap in overlaps}:
            self.counts[benchmark][rule] += 1
        return self.step.reason(overlaps)

    def table(self) -> dict[str, dict[str, int]]:
        """How many documents met each benchmark file, by rule."""
        return {
            benchmark: {rule: counts[rule] for rule in RULES}
            for benchmark, counts in sorted(self.counts.items())
        }


def _function_keys(index: Index, text: str) -> Hashes:
    """Signatures of all functions, and shapes of those that may be a benchmark's."""
    found = functions(text)
    keys = [trees.signature(function) for function in found]
    frames = np.array([trees.frame(function) for function in found], np.uint64)
    alike = [found[number] for number in np.flatnonzero(indexes.among(index.frames, frames))]
    keys += [trees.shape(function)[0] for function in alike]
    return np.array(keys, np.uint64)
