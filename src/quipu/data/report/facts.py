"""Counts over a corpus folder, read a batch of rows at a time."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quipu.errors import DataError

DOCUMENTS = "documents.parquet"
DUPLICATES = Path("dedup") / "duplicates.parquet"
KEPT, HELD_OUT = "kept", "held out"
HELD_OUT_PREFIX = "held-out-"  # of the groups of shards that validation reads
BATCH_ROWS = 65_536
LENGTH_BINS = 25  # powers of two: bin n holds lengths from 2^n on
QUALITY_BINS = 20  # from 0 to 1
JACCARD_BINS = 15  # from 0.7 to 1

_COLUMNS = ["package", "version", "licence", "language", "group", "bytes", "quality", "state",
            "split"]  # fmt: skip
Counts = npt.NDArray[np.int64]

# "near duplicate of ID 0.83" names its step in two words, all others before a colon.
_STEP = re.compile(r"(exact duplicate|near duplicate) of |([^:]+)")
_OVERLAP = re.compile(r"decontaminat\w*: (\S+) of (.+) in (\S+)")


@dataclass(kw_only=True)
class Tally:
    """Documents and their bytes."""

    documents: int = 0
    bytes: int = 0

    def add(self, size: int) -> None:
        """Count one document."""
        self.documents += 1
        self.bytes += size


Tallies = defaultdict[str, Tally]


def _tallies() -> Tallies:
    return defaultdict(Tally)


def _bins(count: int) -> defaultdict[str, Counts]:
    return defaultdict(lambda: np.zeros(count, dtype=np.int64))


@dataclass(kw_only=True)
class PackageFacts:
    """What became of one package."""

    licences: Counter[str] = field(default_factory=Counter)  # kept documents under each
    groups: Tallies = field(default_factory=_tallies)  # kept
    version: str = ""
    duplicates: Tally = field(default_factory=Tally)
    held_out: bool = False

    @property
    def kept(self) -> Tally:
        """Of all groups."""
        return total(self.groups)


@dataclass(kw_only=True)
class Facts:
    """All that report and card say of a corpus."""

    name: str
    recipe: dict[str, Any]
    manifest: dict[str, Any]
    groups: Tallies = field(default_factory=_tallies)  # kept, of both splits
    held_out: Tallies = field(default_factory=_tallies)  # by group
    languages: Tallies = field(default_factory=_tallies)
    licences: Tallies = field(default_factory=_tallies)
    # Of each group, the bytes that each step took out; "" is the group of files of no language.
    steps: defaultdict[str, Tallies] = field(default_factory=lambda: defaultdict(_tallies))
    details: defaultdict[str, Tallies] = field(default_factory=lambda: defaultdict(_tallies))
    packages: dict[str, PackageFacts] = field(default_factory=dict)
    lengths: defaultdict[str, Counts] = field(default_factory=lambda: _bins(LENGTH_BINS))
    quality: defaultdict[str, Counts] = field(default_factory=lambda: _bins(QUALITY_BINS))
    tokens: dict[str, int] = field(default_factory=dict)  # of both splits
    token_lengths: dict[str, Counts] = field(default_factory=dict)
    jaccard: Counts = field(default_factory=lambda: np.zeros(JACCARD_BINS, dtype=np.int64))
    copied: Counter[tuple[str, str]] = field(default_factory=Counter)  # (removed from, stays in)
    overlaps: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    problems: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    @property
    def kept(self) -> Tally:
        """All documents that stay."""
        return total(self.groups)

    @property
    def read(self) -> Tally:
        """All documents that were looked at: files of a language we know."""
        dropped = [
            tally for group, steps in self.steps.items() if group for tally in steps.values()
        ]
        return _sum([self.kept, *dropped])

    @property
    def passed_over(self) -> Tally:
        """Files that are no documents: other languages, binaries, unreadable ones."""
        return total(self.steps.get("", _tallies()))

    def dropped_by_step(self) -> dict[str, Tally]:
        """What each step took out of documents, the most bytes first."""
        found: defaultdict[str, list[Tally]] = defaultdict(list)
        for group, steps in self.steps.items():
            for step, tally in steps.items():
                if group:
                    found[step].append(tally)
        return by_bytes({step: _sum(tallies) for step, tallies in found.items()})

    def overlap_table(self) -> list[tuple[str, dict[str, int], int]]:
        """Benchmark file, dropped documents by rule, and how many of its problems they met."""
        return [
            (name, dict(self.overlaps[name]), len(self.problems[name]))
            for name in sorted(self.overlaps)
        ]


def total(tallies: dict[str, Tally]) -> Tally:
    """Their sum."""
    return _sum(list(tallies.values()))


def _sum(tallies: list[Tally]) -> Tally:
    return Tally(documents=sum(t.documents for t in tallies), bytes=sum(t.bytes for t in tallies))


def by_bytes(tallies: dict[str, Tally]) -> dict[str, Tally]:
    """The same, the most bytes first."""
    return dict(sorted(tallies.items(), key=lambda item: (-item[1].bytes, item[0])))


def step_of(reason: str) -> str:
    """Name of the step that gave a reason."""
    found = _STEP.match(reason)
    return (found[1] or found[2]).strip() if found else "unnamed"


def package_of(id: str) -> str:
    """`ECOSYSTEM/NAME` of a document's id; names of npm may have a scope before a slash."""
    ecosystem, _, rest = id.partition("/")
    words = rest.split("/", 2)
    name = "/".join(words[:2]) if rest.startswith("@") else words[0]
    return f"{ecosystem}/{name}"


def gather(corpus: Path) -> Facts:
    """Count everything in a corpus folder; DataError when it is none."""
    if not (corpus / DOCUMENTS).is_file():
        raise DataError(
            f"{corpus} is no built corpus",
            got=f"no {DOCUMENTS}",
            remedy="build it first: quipu data build",
        )
    recipe = _json(corpus / "recipe.json")
    facts = Facts(
        name=str(recipe.get("name", corpus.name)),
        recipe=recipe,
        manifest=_json(corpus / "manifest.json"),
    )
    _count_documents(corpus / DOCUMENTS, facts)
    if (corpus / DUPLICATES).is_file():
        _count_duplicates(corpus / DUPLICATES, facts)
    if (corpus / "tokens" / "manifest.json").is_file():
        _count_tokens(corpus / "tokens", facts)
    return facts


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path} cannot be read", got=error, allowed="JSON") from error
    return found if isinstance(found, dict) else {}


def _rows(path: Path, columns: list[str]) -> Iterator[tuple[Any, ...]]:
    """Rows of a parquet file, a batch in memory at a time; DataError when it has other columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(BATCH_ROWS, columns=columns, use_threads=False):
                yield from zip(*(batch[name].to_pylist() for name in columns), strict=True)
    except (pa.ArrowException, KeyError, OSError) as error:
        raise DataError(f"{path} cannot be read", got=error, allowed="parquet") from error


def _count_documents(path: Path, facts: Facts) -> None:
    for row in _rows(path, _COLUMNS):
        package, version, licence, language, group, size, quality, state, split = row
        of_package = facts.packages.setdefault(package, PackageFacts())
        of_package.version = version or of_package.version
        if state != KEPT:
            _count_dropped(facts, of_package, group, size, state)
            continue
        facts.groups[group].add(size)
        facts.languages[language].add(size)
        facts.licences[licence].add(size)
        facts.lengths[group][_length_bin(size)] += 1
        facts.quality[group][min(int(max(quality, 0.0) * QUALITY_BINS), QUALITY_BINS - 1)] += 1
        of_package.groups[group].add(size)
        of_package.licences[licence] += 1
        if split == HELD_OUT:
            facts.held_out[group].add(size)
            of_package.held_out = True


def _count_dropped(facts: Facts, package: PackageFacts, group: str, size: int, reason: str) -> None:
    step = step_of(reason)
    facts.steps[group][step].add(size)
    if step.endswith("duplicate"):
        package.duplicates.add(size)
    elif step != "cap":  # whose details are as many as packages
        facts.details[step][reason.partition(": ")[2] or reason].add(size)
    if found := _OVERLAP.fullmatch(reason):
        rule, problem, benchmark = found.groups()
        facts.overlaps[benchmark][rule] += 1
        facts.problems[benchmark].add(problem)


def _length_bin(size: int) -> int:
    return min(max(size, 1).bit_length() - 1, LENGTH_BINS - 1)


def _count_duplicates(path: Path, facts: Facts) -> None:
    for id, kept_id, kind, jaccard in _rows(path, ["id", "kept_id", "kind", "jaccard"]):
        facts.copied[package_of(id), package_of(kept_id)] += 1
        if kind == "near":
            place = int((jaccard - 0.7) / 0.3 * JACCARD_BINS)
            facts.jaccard[min(max(place, 0), JACCARD_BINS - 1)] += 1


def _count_tokens(folder: Path, facts: Facts) -> None:
    from quipu.data.tokens.reading import TokenShards

    shards = TokenShards.open(folder)
    for name in shards.groups:
        group = name.removeprefix(HELD_OUT_PREFIX)
        counts = facts.token_lengths.setdefault(group, np.zeros(LENGTH_BINS, dtype=np.int64))
        for shard in shards.group(name).shards:  # one after another: lengths are in memory
            lengths = np.maximum(np.diff(shard.offsets), 1)
            bins = np.minimum(np.log2(lengths).astype(np.int64), LENGTH_BINS - 1)
            counts += np.bincount(bins, minlength=LENGTH_BINS)
            facts.tokens[group] = facts.tokens.get(group, 0) + len(shard.tokens)
