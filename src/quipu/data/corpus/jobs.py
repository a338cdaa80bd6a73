"""Pieces of work that leave files behind, and are never done twice.

A job's fingerprint says everything its files depend on. They are made under temporary names and
take their places whole; then a sidecar (`NAME.done`) records fingerprint, hashes and facts. Without
a sidecar of the right fingerprint nothing counts as done, so a process may be killed anywhere.
"""

import contextlib
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from quipu.data.corpus.plain import plain
from quipu.errors import DataError, QuipuError

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_READ_ONLY = (errno.EROFS,)
_PARTIAL = ".partial-"


@dataclass(frozen=True, kw_only=True)
class Job:
    """`function(output, *also, *arguments)` writes the files and returns small facts (JSON).

    `output` and `also` are where the files will lie, all in one folder; the function is given
    temporary names beside them. It lives at the top of a module, as its arguments' classes do.
    """

    name: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    output: Path
    also: tuple[Path, ...] = ()
    fingerprint: str
    size: int = 0  # bytes it reads, for progress


@dataclass(frozen=True, kw_only=True)
class Done:
    """A job whose files are in place."""

    job: Job
    facts: Any = None
    skipped: bool = False  # had been done before


@dataclass(frozen=True, kw_only=True)
class Failed:
    """A job that left no files, and why. `fatal`: so would every other one."""

    job: Job
    reason: str
    fatal: bool = False


class Executor(Protocol):
    """Carries out jobs in any order, many at a time; outcomes come as jobs end."""

    def run(self, jobs: Iterable[Job]) -> Iterator[Done | Failed]:
        """Outcomes of all jobs; DataError when going on makes no sense, such as a full disk."""
        ...


def make(
    name: str,
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    output: Path,
    *,
    also: tuple[Path, ...] = (),
    reads: Sequence[Path] = (),
    identity: object = None,
    version: int = 1,
    size: int = 0,
) -> Job:
    """A job whose fingerprint is that of its function, arguments and the files it `reads`.

    `identity` stands for the arguments where some of them change nothing of the result; paths
    among the arguments count by their last name only. `version` is raised when the function would
    give another result for the same arguments.
    """
    told = {
        "function": f"{function.__module__}.{function.__qualname__}",
        "version": version,
        "arguments": plain(arguments if identity is None else identity),
        "reads": [digest_of(path) for path in reads],
    }
    return Job(
        name=name,
        function=function,
        arguments=arguments,
        output=output,
        also=also,
        fingerprint=hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest(),
        size=size,
    )


@dataclass(frozen=True, kw_only=True)
class _Sidecar:
    """What a finished job left behind."""

    fingerprint: str
    files: dict[str, tuple[int, str]] = field(default_factory=dict)  # name: bytes, sha256
    facts: Any = None


def _sidecar_path(output: Path) -> Path:
    return output.with_name(output.name + ".done")


def _sidecar(output: Path) -> _Sidecar | None:
    try:
        found = json.loads(_sidecar_path(output).read_text(encoding="utf-8"))
        files = {name: (int(size), str(sha)) for name, (size, sha) in found["files"].items()}
        return _Sidecar(fingerprint=found["fingerprint"], files=files, facts=found["facts"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # none, or not one of ours: the job is done again


def finished(job: Job) -> Done | None:
    """What an earlier run of the same job told, if all its files are still there."""
    found = _sidecar(job.output)
    if found is None or found.fingerprint != job.fingerprint:
        return None
    for path in (job.output, *job.also):
        size, _ = found.files.get(path.name, (-1, ""))
        if not path.is_file() or path.stat().st_size != size:
            return None
    return Done(job=job, facts=found.facts, skipped=True)


def digest_of(path: Path) -> str:
    """SHA-256 of a file; that of a job's output comes from its sidecar."""
    found = _sidecar(path)
    if found is not None and path.name in found.files:
        size, digest = found.files[path.name]
        if path.stat().st_size == size:
            return digest
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def perform(job: Job) -> Done | Failed:
    """Do a job now, in this process. Whatever goes wrong is told, not raised."""
    try:
        return Done(job=job, facts=_made(job))
    except QuipuError as error:
        return Failed(job=job, reason=str(error))
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in DISK_FULL:
            return Failed(job=job, reason=f"the disk is full ({reason})", fatal=True)
        return Failed(job=job, reason=reason, fatal=error.errno in _READ_ONLY)
    except MemoryError:
        return Failed(job=job, reason="not enough memory")
    except Exception as error:
        # One package that nobody foresaw must not end the work on all others.
        return Failed(job=job, reason=f"{type(error).__name__}: {error}")


def _made(job: Job) -> Any:
    finals = (job.output, *job.also)
    partials = [p.with_name(f".{p.name}{_PARTIAL}{os.getpid()}") for p in finals]
    job.output.parent.mkdir(parents=True, exist_ok=True)
    try:
        facts = job.function(*partials, *job.arguments)
        facts = json.loads(json.dumps(facts, sort_keys=True))  # as a later run will read them
        files = {
            final.name: (partial.stat().st_size, digest_of(partial))
            for final, partial in zip(finals, partials, strict=True)
        }
        # Before any file changes: an older sidecar must not vouch for the new ones.
        _sidecar_path(job.output).unlink(missing_ok=True)
        for final, partial in zip(finals, partials, strict=True):
            partial.replace(final)
        told = {"fingerprint": job.fingerprint, "files": files, "facts": facts}
        write_whole(_sidecar_path(job.output), json.dumps(told, sort_keys=True) + "\n")
    finally:
        for partial in partials:
            _remove(partial)
    return facts


def write_whole(path: Path, text: str) -> None:
    """Write a text file so that a reader sees all of it or the former one."""
    partial = path.with_name(f".{path.name}{_PARTIAL}{os.getpid()}")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def remove_partials(folder: Path) -> None:
    """Remove what killed processes left half done; nobody else may be at work there."""
    for path in sorted(folder.rglob(f".*{_PARTIAL}*")):
        _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def stop_if_fatal(failed: Failed) -> None:
    """DataError for a failure that every other job would meet too."""
    if failed.fatal:
        raise DataError(
            f"{failed.job.name}: {failed.reason}",
            remedy="make room or choose another folder; the same command goes on from there",
        )


def complete(outcomes: Iterable[Done | Failed]) -> list[Done]:
    """All outcomes, sorted by job name, where no job may fail; DataError for the first that did."""
    done: list[Done] = []
    for outcome in outcomes:
        if isinstance(outcome, Failed):
            raise DataError(f"{outcome.job.name} failed", got=outcome.reason)
        done.append(outcome)
    return sorted(done, key=lambda one: one.job.name)
