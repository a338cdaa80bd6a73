"""Blocks of exercises made in processes, then put together: duplicates over all of them dropped.

A block is a job of the corpus: made once, a function of its number and seed; so a killed build goes
on where it was, and any number of processes gives the same bytes.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from quipu import jsonl
from quipu.data.corpus.executors.local import LocalExecutor
from quipu.data.corpus.jobs import Done, Executor, Failed, Job, make, write_whole
from quipu.data.documents import Document, Step
from quipu.errors import DataError
from quipu.exercises.compose import PRIMITIVES, Split
from quipu.exercises.composed import block
from quipu.exercises.measures import Measures
from quipu.exercises.real import exercises, packages
from quipu.exercises.run import Runner

BYTES_PER_TOKEN = 3.3  # of such text, with a vocabulary of some ten thousand pieces
SHARD_BYTES = 16 << 20
MOST_OF_A_SHAPE = 12  # exercises with the same steps in the same form
MOST_ALIKE = 3  # of one form whose functions give the same values: other words, other code
YIELD = 0.7  # exercises of a draft, about
VERSION = 3  # of the code that makes blocks; the grammar's files are counted in besides
NAME = "exercises"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to build: so many exercises or bytes of one split, from a seed."""

    folder: Path
    seed: int = 0
    split: Split = "train"
    count: int | None = None
    tokens: int | None = None
    decontaminate: Step | None = None
    problems: Path | None = None  # of benchmarks, that no exercise may solve
    prepared: Path | None = None
    environment: Path | None = None
    drafts: int = 500  # in a block


@dataclass
class Build:
    """The state of putting blocks together."""

    plan: Plan
    shards: "Shards"
    measures: Measures
    kept: int = 0
    bytes: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    failed: dict[str, str] = field(default_factory=dict)  # blocks, and why
    alike: Counter[str] = field(default_factory=Counter)
    shapes: Counter[str] = field(default_factory=Counter)

    @property
    def done(self) -> float:
        """The share of the plan that is fulfilled."""
        if self.plan.count is not None:
            return self.kept / max(1, self.plan.count)
        assert self.plan.tokens is not None
        return self.bytes / max(1.0, self.plan.tokens * BYTES_PER_TOKEN)

    def enough(self) -> bool:
        """Whether the plan is fulfilled."""
        return self.done >= 1.0

    def add(self, line: dict[str, object]) -> None:
        """Take an exercise, unless there is one like it."""
        signature = str(line.pop("signature"))
        provenance = line["provenance"]
        assert isinstance(provenance, dict)
        shape = f"{provenance['form']} {provenance.get('shape', line['id'])}"
        if self.alike[signature] == MOST_ALIKE:
            self.dropped["duplicate: same values as another"] += 1
        elif self.shapes[shape] == MOST_OF_A_SHAPE:
            self.dropped["duplicate: too many of the same steps"] += 1
        else:
            self.alike[signature] += 1
            self.shapes[shape] += 1
            self.kept += 1
            text = json.dumps(line, ensure_ascii=False)
            self.bytes += len(str(line["text"]).encode())
            self.shards.write(text)
            self.measures.add(line)

    def facts(self) -> dict[str, object]:
        """What was built, as JSON."""
        return {
            "seed": self.plan.seed,
            "split": self.plan.split,
            "exercises": self.kept,
            "bytes": self.bytes,
            "tokens_about": round(self.bytes / BYTES_PER_TOKEN),
            "dropped": dict(sorted(self.dropped.items())),
            "failed": dict(sorted(self.failed.items())),
            **self.measures.facts(),
        }


class Shards:
    """JSON lines in files of some size, each of which appears when it is full."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: list[str] = []
        self._lines: list[str] = []
        self._bytes = 0

    def write(self, line: str) -> None:
        """Add a line."""
        self._lines.append(line)
        self._bytes += len(line)
        if self._bytes >= SHARD_BYTES:
            self.close()

    def close(self) -> None:
        """Write what is left."""
        if self._lines:
            name = f"{NAME}-{len(self.names):05d}.jsonl"
            write_whole(self.folder / name, "\n".join(self._lines) + "\n")
            self.names.append(name)
        self._lines, self._bytes = [], 0


def build(
    plan: Plan, processes: int, progress: Callable[[Build], None] = lambda _: None
) -> dict[str, object]:
    """Build into the plan's folder; the facts that its manifest.json tells."""
    if (plan.count is None) == (plan.tokens is None):
        raise DataError("how many exercises", got="both or none", allowed="--count or --tokens")
    plan.folder.mkdir(parents=True, exist_ok=True)
    (plan.folder / "manifest.json").unlink(missing_ok=True)
    for old in plan.folder.glob(f"{NAME}-*.jsonl"):
        old.unlink()
    state = Build(plan=plan, shards=Shards(plan.folder), measures=Measures())
    executor = LocalExecutor(processes if processes > 1 else 0)
    if plan.prepared is not None:
        for outcome in _in_order(executor, _real_jobs(plan)):
            _take(state, outcome, progress)
    number = 0
    while not state.enough():
        wave = _wave(state)
        jobs = [_job(plan, n) for n in range(number, number + wave)]
        number += wave
        before = state.kept
        for outcome in _in_order(executor, jobs):
            _take(state, outcome, progress)
            if state.enough():
                break
        if state.kept == before:
            why = next((state.failed[job.name] for job in jobs if job.name in state.failed), None)
            raise DataError("no new exercises are found", got=why, remedy="ask for fewer")
    state.shards.close()
    facts = {**state.facts(), "shards": state.shards.names}
    write_whole(plan.folder / "manifest.json", json.dumps(facts, indent=1, sort_keys=True) + "\n")
    return facts


def _wave(state: Build) -> int:
    """How many blocks may be needed still."""
    if state.plan.count is not None:
        left = float(state.plan.count - state.kept)
    else:
        assert state.plan.tokens is not None
        size = state.bytes / state.kept if state.kept else 650.0
        left = (state.plan.tokens * BYTES_PER_TOKEN - state.bytes) / size
    return max(1, min(64, int(left / (state.plan.drafts * YIELD)) + 1))


def _in_order(executor: Executor, jobs: list[Job]) -> Iterator[Done | Failed]:
    """Outcomes in the order of the jobs' names, each as soon as all before it are there."""
    waiting: dict[str, Done | Failed] = {}
    names = iter(sorted(job.name for job in jobs))
    following = next(names, None)
    for outcome in executor.run(jobs):
        waiting[outcome.job.name] = outcome
        while following in waiting:
            yield waiting.pop(str(following))
            following = next(names, None)


def _take(state: Build, outcome: Done | Failed, progress: Callable[[Build], None]) -> None:
    """Take the exercises of a block; one that failed is recorded and made anew the next time."""
    if isinstance(outcome, Failed):
        state.failed[outcome.job.name] = outcome.reason
        return
    state.dropped.update(outcome.facts)
    for line in jsonl.read(outcome.job.output):
        if state.enough():
            break
        state.add(line)
    progress(state)


def _job(plan: Plan, number: int) -> Job:
    """The job of a composed block."""
    step = plan.decontaminate
    return make(
        f"{plan.split} {plan.seed} {number:06d}",
        composed_block,
        (plan.seed, plan.split, number, plan.drafts, step, plan.problems),
        plan.folder / "blocks" / f"{plan.split}-{plan.seed}-{number:06d}.jsonl",
        reads=() if plan.problems is None else (plan.problems,),
        identity=(plan.seed, plan.split, number, plan.drafts, repr(step), _grammar()),
        version=VERSION,
    )


def _real_jobs(plan: Plan) -> list[Job]:
    """A job for every prepared package of the split."""
    assert plan.prepared is not None
    step = plan.decontaminate
    return [
        make(
            f"package {file.stem}",
            real_block,
            (file, plan.environment, step, plan.problems),
            plan.folder / "blocks" / f"package-{plan.split}-{file.stem}.jsonl",
            reads=(file, *(() if plan.problems is None else (plan.problems,))),
            identity=(repr(step), plan.environment is not None),
            version=VERSION,
        )
        for file in packages(plan.prepared, plan.split)
    ]


def _grammar() -> str:
    """A hash of the files that say what exercises there are."""
    files = [*sorted(PRIMITIVES.glob("*.toml")), *sorted(PRIMITIVES.parent.glob("*.toml"))]
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def composed_block(
    output: Path,
    seed: int,
    split: Split,
    number: int,
    drafts: int,
    step: Step | None,
    problems: Path | None,
) -> dict[str, int]:
    """Write a block; what was dropped, by reason."""
    lines, dropped = block(seed, split, number, drafts, Runner(), problems)
    return _written(output, lines, dropped, step)


def real_block(
    output: Path,
    file: Path,
    environment: Path | None,
    step: Step | None,
    problems: Path | None = None,
) -> dict[str, int]:
    """Write the exercises of one package; what was dropped, by reason."""
    lines, dropped = exercises(file, environment, problems)
    return _written(output, lines, dropped, step)


def _written(
    output: Path, lines: Iterable[dict[str, object]], dropped: Counter[str], step: Step | None
) -> dict[str, int]:
    kept = []
    for line in lines:
        reason = step(_document(line)) if step is not None else None
        if reason is None:
            kept.append(json.dumps(line, ensure_ascii=False) + "\n")
        else:
            dropped[_short(reason)] += 1
    output.write_text("".join(kept), encoding="utf-8")
    return dict(sorted(dropped.items()))


def _short(reason: str) -> str:
    """A reason without the problem it names."""
    return reason.partition(" of ")[0]


def _document(line: dict[str, object]) -> Document:
    return Document(
        id=str(line["id"]),
        path=str(line["path"]),
        text=str(line["text"]),
        package=str(line["package"]),
        licence=str(line["licence"]),
        language=str(line["language"]),
        group=str(line["group"]),
    )
