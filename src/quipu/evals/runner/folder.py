"""A task's part of a run folder: what is done already, and what is added line by line.

    manifest.json   all that can change a number; see `manifest`
    problems.jsonl  {"problem", "group", "prompt"}: the prompts, as people read them
    samples.jsonl   {"problem", "sample", "seed", "text", "finish_reason", "tokens"}
    outcomes.jsonl  {"problem", "sample", "status", "value", "detail", "cpu_s"}, and "measures",
                    an object of further numbers, where a grade has some

Lines come in any order; no problem and sample comes twice. A finish reason is `stop`, `length`, or
`prompt_too_long` for a problem that does not fit the model's context, which then has failed.
A status is one of the sandbox's; `passed` and `failed` also tell whether an exact match holds;
`scored` is a grade in between, by `value`; `measured` the one line of a task that draws no samples.
"""

import json
import os
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeVar, assert_never

from quipu import jsonl
from quipu.errors import QuipuError, UsageError
from quipu.evals.task import Chat, Complete, Infill, Problem, Prompt

Key = tuple[str, int]  # problem, number of the sample
TOO_LONG = "prompt_too_long"
RETRIED = "sandbox_error"  # a status that says nothing about an answer
_BLOCK = 1 << 16


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One answer."""

    problem: str
    sample: int
    seed: int
    text: str
    finish_reason: str
    tokens: int

    @property
    def key(self) -> Key:
        return self.problem, self.sample


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How one answer was graded."""

    problem: str
    sample: int
    status: str
    value: float
    detail: str = ""
    cpu_s: float = 0.0
    measures: Mapping[str, float] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        return self.problem, self.sample


_Line = TypeVar("_Line", Sample, Verdict)


class Folder:
    """Reads and adds to the files of a task's run. One writer at a time."""

    def __init__(self, path: Path) -> None:
        """Make the folder and mend its files: a line that was cut short is dropped."""
        self.path = path
        self.samples = path / "samples.jsonl"
        self.outcomes = path / "outcomes.jsonl"
        with kept(path):
            path.mkdir(parents=True, exist_ok=True)
            self._lock = _lock(path / "lock")
            for file in (self.samples, self.outcomes):
                _mend(file)

    def verdicts(self, wanted: Collection[Key]) -> Iterator[Verdict]:
        """Verdicts that stand; those of a failed sandbox are dropped, to be tried again."""
        lines = jsonl.read(self.outcomes) if self.outcomes.exists() else iter(())
        if any(line.get("status") == RETRIED for line in lines):
            with kept(self.outcomes):
                jsonl.keep(self.outcomes, lambda line: line.get("status") != RETRIED)
        for verdict in self._read(self.outcomes, Verdict):
            if verdict.key in wanted:
                yield verdict

    def answers(self, wanted: Collection[Key]) -> Iterator[Sample]:
        """Samples that are there."""
        for sample in self._read(self.samples, Sample):
            if sample.key in wanted:
                yield sample

    def add(self, line: Sample | Verdict) -> None:
        """Add a line to the file of its kind. Raises QuipuError if it cannot be written."""
        path = self.samples if isinstance(line, Sample) else self.outcomes
        found = asdict(line)
        if not found.get("measures", True):
            del found["measures"]
        with kept(path):
            jsonl.append(path, found)

    def describe(self, problems: Iterable[tuple[Problem, Prompt]]) -> None:
        """Write what is asked, for people; never less than there was."""
        path = self.path / "problems.jsonl"
        lines = [
            {"problem": problem.id, "group": problem.group, "prompt": _readable(prompt)}
            for problem, prompt in problems
        ]
        with kept(path):
            if path.exists() and path.read_bytes().count(b"\n") >= len(lines):
                return
            aside = path.with_suffix(".tmp")
            with aside.open("w", encoding="utf-8") as file:
                file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
            aside.replace(path)

    def close(self) -> None:
        """Let others write. Idempotent."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _read(self, path: Path, kind: type[_Line]) -> Iterator[_Line]:
        lines = jsonl.read(path) if path.exists() else iter(())
        for number, line in enumerate(lines, 1):
            try:
                yield kind(**line)  # type: ignore[arg-type]
            except TypeError as error:
                raise QuipuError(
                    f"{path} line {number}", got=error, remedy="remove the line; it is made again"
                ) from error


def _readable(prompt: Prompt) -> str:
    match prompt:
        case Complete():
            return prompt.text
        case Infill():
            return f"{prompt.prefix}⟨…⟩{prompt.suffix}"
        case Chat():
            return "\n\n".join(f"{each.role}: {each.content}" for each in prompt.messages)
        case _:
            assert_never(prompt)


@contextmanager
def kept(path: Path) -> Iterator[None]:
    """Turn an OSError into an error that names the file and what to do."""
    try:
        yield
    except OSError as error:
        raise QuipuError(
            f"cannot write {path}",
            got=error.strerror or error,
            remedy="finished work is kept: make room, and run the same command again",
        ) from error


def _mend(path: Path) -> None:
    """Drop a last line without its end: the run was killed, or the disk full, meanwhile."""
    if not path.exists():
        return
    with path.open("rb+") as file:
        end = file.seek(0, os.SEEK_END)
        whole = end
        while whole > 0:
            start = max(whole - _BLOCK, 0)
            file.seek(start)
            at = file.read(whole - start).rfind(b"\n")
            if at >= 0:
                whole = start + at + 1
                break
            whole = start
        if whole != end:
            file.truncate(whole)


def _lock(path: Path) -> int | None:
    """A lock that ends with this process, where the system has such. Raises UsageError if taken."""
    if sys.platform == "win32":
        return None
    import fcntl

    found = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(found)
        raise UsageError(
            f"run folder {path.parent}",
            got="another process that writes to it",
            remedy="wait for it, or name another folder with --run",
        ) from error
    return found
