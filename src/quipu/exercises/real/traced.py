"""Doctests and calls of a package's functions, run in its own environment."""

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from quipu.data.documents import Document
from quipu.exercises.real.extract import KNOWN, Module, free_names, imports_of, unfit
from quipu.exercises.run import Job, Limits, Outcome, Runner

LIMITS = Limits(cpu_s=5.0, wall_s=60.0, memory_mb=1024)


def runner_in(environment: Path) -> Runner:
    """A runner whose pieces may import what lies in an environment."""
    return Runner(limits=LIMITS, path=(str(environment.resolve()),))


@dataclass(frozen=True, kw_only=True)
class Traced:
    """Texts of functions whose own examples hold, and arguments of calls that were seen."""

    texts: tuple[tuple[str, str], ...] = ()  # name, imports and function
    calls: dict[str, tuple[tuple[str, ...], ...]] = field(default_factory=dict)


def trace(files: Sequence[tuple[Document, Module]], environment: Path) -> list[Traced]:
    """Run the examples of files' functions twice, with their package importable; one a file.

    Modules share a process, which imports their package once, until one of them takes it down.
    """
    jobs = [_job(document, found) for document, found in files]
    asked = [job for job in jobs if job is not None]
    runner = runner_in(environment)
    runs = [iter(runner.run(asked, seed)) for seed in (0, 1)]
    traced = []
    for job, (_, found) in zip(jobs, files, strict=True):
        if job is None:
            traced.append(Traced())
        else:
            first, second = (next(run) for run in runs)
            both = first.ok and second.ok
            traced.append(_traced(found, job.code, first, second) if both else Traced())
    return traced


def _job(document: Document, found: Module) -> Job | None:
    """The job for a file, if its functions have examples."""
    names = tuple(name for name in found.functions if not name.startswith("_"))
    if not any(">>>" in (ast.get_docstring(found.functions[n]) or "") for n in names):
        return None
    path = document.path.removesuffix(".py").removesuffix("/__init__")
    return Job(code=path.replace("/", "."), calls=names, kind="tracing", free=True)


def _traced(found: Module, path: str, first: Outcome, second: Outcome) -> Traced:
    """What two runs of a file have shown."""
    (held, calls), (again, _) = first.values, second.values
    seen: dict[str, tuple[tuple[str, ...], ...]] = {}
    for name, arguments, _ in calls:
        if sum(map(len, arguments)) < 70:
            seen[name] = (*seen.get(name, ()), tuple(arguments))
    texts = tuple(
        (name, text)
        for name in held
        if name in again and (text := _text(found, name, path)) is not None
    )
    return Traced(texts=texts, calls=seen)


def _text(found: Module, name: str, path: str) -> str | None:
    """A function after imports of all that it uses, its own file's names among them."""
    node = found.functions[name]
    docstring = ast.get_docstring(node) or ""
    told = docstring.partition(">>>")[0].rstrip() or docstring
    if unfit(node, told, decorated=True) is not None:
        return None
    lines = []
    for used in sorted(free_names(node) - KNOWN - {name}):
        if used in found.imports:
            lines.append(_absolute(found.imports[used][1], path))
        elif used in found.names and not used.startswith("_"):
            lines.append(f"from {path} import {used}")
        else:
            return None
    head = imports_of(lines) + "\n\n\n" if lines else ""
    return f"{head}{found.source(node)}\n"


def _absolute(line: str, path: str) -> str:
    """An import from a relative name as one from the whole name."""
    dots = len(line.removeprefix("from ")) - len(line.removeprefix("from ").lstrip("."))
    if not dots or not line.startswith("from "):
        return line
    rest = line.removeprefix("from ").lstrip(".")
    parent = ".".join(path.split(".")[:-dots])
    joined = parent if rest.startswith(" ") else f"{parent}."
    return f"from {joined}{rest}"
