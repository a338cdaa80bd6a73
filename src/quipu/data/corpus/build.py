"""From a recipe to token shards, stage by stage; what is done already is not done again."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from quipu.data.corpus import exercises, jobs
from quipu.data.corpus.jobs import Done, Executor, Failed, Job
from quipu.data.corpus.lock import locked
from quipu.data.corpus.manifest import write_manifest
from quipu.data.corpus.prepare import dropped_beside, part_of, prepare_job
from quipu.data.corpus.recipe import CorpusRecipe, Transform, write_recipe
from quipu.data.corpus.requests import read_requests
from quipu.data.corpus.select import VERSION as SELECT_VERSION
from quipu.data.corpus.select import Selection, select
from quipu.data.corpus.texts import text_jobs
from quipu.data.corpus.tokens import build_tokens, remove_others
from quipu.data.decontamination.step import decontaminate
from quipu.data.dedup.on_disk import duplicates
from quipu.data.documents import Step
from quipu.data.report import page
from quipu.data.sources.fetching import fetch
from quipu.data.sources.packages import Archive, Failure, Package
from quipu.errors import DataError

STAGES = ("fetch", "prepare", "deduplicate", "select", "tokens", "report")
TEXT_BYTES_PER_TOKEN = 3  # of source code, about: how much text a shard takes


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a stage is. `total` is 0 while it is not known."""

    stage: str
    done: int
    total: int
    bytes: int = 0  # read so far, by what was not done before
    skipped: int = 0  # of `done`, those of an earlier run
    failed: int = 0


Told = Callable[[Progress], None]


@dataclass(frozen=True, kw_only=True)
class _Watched:
    """An executor that tells how far it is."""

    executor: Executor
    told: Told
    stage: str

    def run(self, job_list: Iterable[Job]) -> Iterator[Done | Failed]:
        """The outcomes of the executor, each told."""
        all_jobs = list(job_list)
        size = skipped = failed = 0
        for count, outcome in enumerate(self.executor.run(all_jobs), 1):
            done_before = isinstance(outcome, Done) and outcome.skipped
            skipped += done_before
            failed += isinstance(outcome, Failed)
            size += 0 if done_before else outcome.job.size
            self.told(
                Progress(
                    stage=self.stage,
                    done=count,
                    total=len(all_jobs),
                    bytes=size,
                    skipped=skipped,
                    failed=failed,
                )
            )
            yield outcome


@dataclass(kw_only=True)
class Build:
    """One build in a folder that nobody else works in."""

    recipe: CorpusRecipe
    folder: Path
    executor: Executor
    told: Told
    archives: list[Archive] = field(default_factory=list)
    missing: dict[Package, str] = field(default_factory=dict)
    prepared: dict[Package, dict[str, Any]] = field(default_factory=dict)

    def run(self, job_list: Sequence[Job], stage: str) -> list[Done | Failed]:
        """Outcomes of jobs by name, with progress."""
        watched = _Watched(executor=self.executor, told=self.told, stage=stage)
        return sorted(watched.run(job_list), key=lambda outcome: outcome.job.name)

    @property
    def packages(self) -> tuple[Package, ...]:
        """Those that the recipe lists, and files of exercises."""
        folder = self.recipe.exercises
        added = () if folder is None else exercises.packages_of(folder)
        return (*self.recipe.packages, *added)

    def fetch(self) -> None:
        """Fetch all packages; what cannot be had is missing."""
        packages = self.packages
        _refuse_twice(map(str, packages))
        folder = self.folder / "archives"
        indexes = [str(path) for path in self.recipe.indexes]
        for count, found in enumerate(fetch(packages, folder, indexes), 1):
            if isinstance(found, Failure):
                self.missing[found.package] = found.reason
            else:
                self.archives.append(found)
            self.told(
                Progress(
                    stage="fetch",
                    done=count,
                    total=len(packages),
                    bytes=sum(archive.bytes for archive in self.archives),
                    failed=len(self.missing),
                )
            )
        self.archives.sort(key=lambda archive: part_of(archive.package))
        # Once without a version and once with the newest is twice, too.
        _refuse_twice(str(archive.package) for archive in self.archives)

    def prepare(self) -> None:
        """Read every archive and run every step; a package that fails is missing."""
        made = {}
        for archive in self.archives:
            steps = self._steps(archive.package)
            job = prepare_job(archive, self.folder / "archives", self.folder, steps)
            made[job.name] = (job, archive.package)
        # The largest first, so that no process is left with one when all others are done.
        by_size = sorted((job for job, _ in made.values()), key=lambda job: (-job.size, job.name))
        for outcome in self.run(by_size, "prepare"):
            _, package = made[outcome.job.name]
            if isinstance(outcome, Failed):
                self.missing[package] = outcome.reason
            else:
                self.prepared[package] = outcome.facts

    def _steps(self, package: Package) -> tuple[Transform, ...]:
        """Those of the recipe for such a package, then the one that knows the benchmarks."""
        recipe, generated = self.recipe, package.ecosystem == exercises.ECOSYSTEM
        steps = recipe.prose_steps if package.prose else () if generated else recipe.steps
        return (*steps, *self._benchmarks[generated])

    @cached_property
    def _benchmarks(self) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
        """The step that knows the benchmarks, if there are any: for packages, for exercises."""
        folder, index = self.recipe.benchmarks, self.folder / "benchmarks.index"
        if folder is None:
            return (), ()
        known = (
            decontaminate(benchmarks=folder, index=index, signatures=signatures)
            for signatures in (False, True)
        )
        of_packages, of_exercises = ((step,) for step in known)
        return of_packages, of_exercises

    @property
    def parts(self) -> list[str]:
        """Prepared packages, as files below `packages`."""
        return sorted(part_of(package) for package in self.prepared)

    def deduplicate(self) -> Path:
        """Find duplicates among all documents."""
        parts = [part_of(package) for package, facts in self.prepared.items() if facts["kept"]]
        some = [part for part in parts if not exercises.is_exercises(part)]
        if not some:
            raise self._nothing()
        paths = [self.folder / "packages" / part for part in sorted(some)]
        watched = _Watched(executor=self.executor, told=self.told, stage="deduplicate")
        return duplicates(paths, self.folder / "dedup", self.recipe.near, watched)

    def _nothing(self) -> DataError:
        reasons: Counter[str] = Counter()
        for facts in self.prepared.values():
            reasons.update(facts["dropped"])
        dropped = ", ".join(f"{reason} ({count})" for reason, count in reasons.most_common(4))
        missing = f"{len(self.missing)} of {len(self.recipe.packages)} packages missing"
        got = [dropped or "no files"]
        if self.missing:
            got += [missing, *list(self.missing.values())[:2]]
        return DataError(
            "no document passed all steps",
            got="; ".join(got),
            remedy="look into packages/**/*.dropped.parquet",
        )

    def select(self, found: Path) -> None:
        """Decide what stays; write documents.parquet."""
        recipe, folder = self.recipe, self.folder
        selection = Selection(
            cap_bytes=recipe.cap_bytes,
            cap_share=recipe.cap_share,
            held_out=recipe.held_out,
            held_out_by=recipe.held_out_by,
            requests=read_requests(folder),
        )
        packages = folder / "packages"
        reads = [packages / part for part in self.parts]
        job = jobs.make(
            "select",
            select,
            (packages, self.parts, found, selection),
            folder / "documents.parquet",
            reads=[*reads, *map(dropped_beside, reads), found],
            version=SELECT_VERSION,
        )
        jobs.complete(self.run([job], "select"))

    def texts(self) -> list[Path]:
        """Collect the texts of what stays, in order."""
        size = TEXT_BYTES_PER_TOKEN * self.recipe.shard_tokens
        found = jobs.complete(self.run(list(text_jobs(self.folder, size)), "texts"))
        files = [one.job.output for one in found]
        if files:
            names = {file.name for file in files}
            remove_others(self.folder / "texts", {*names, *(f"{name}.done" for name in names)})
        return files


def build(
    recipe: CorpusRecipe,
    folder: Path,
    executor: Executor,
    *,
    until: str = STAGES[-1],
    told: Told = lambda _: None,
) -> dict[str, Any]:
    """Build a corpus in `folder`, or go on with it; returns what its manifest says."""
    assert until in STAGES
    last = STAGES.index(until)
    with locked(folder):
        jobs.remove_partials(folder)
        write_recipe(recipe, folder)
        work = Build(recipe=recipe, folder=folder, executor=executor, told=told)
        work.fetch()
        if last >= STAGES.index("prepare"):
            work.prepare()
        if last >= STAGES.index("deduplicate"):
            found = work.deduplicate()
        if last >= STAGES.index("select"):
            work.select(found)
        if last >= STAGES.index("tokens"):
            build_tokens(recipe, folder / "tokens", work.texts(), work.run)
        told_manifest = write_manifest(folder, recipe, work.archives, work.missing, work.prepared)
        if last >= STAGES.index("report"):
            page.write(folder)
        return told_manifest


def _refuse_twice(packages: Iterable[str]) -> None:
    """DataError for a package that a recipe names twice: its documents would have one id."""
    twice = [name for name, count in Counter(packages).items() if count > 1]
    if twice:
        raise DataError("package named twice", got=", ".join(sorted(twice)), allowed="each once")
