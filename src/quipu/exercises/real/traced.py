"""Doctests and calls of a package's functions, run in its own environment."""

import ast
from dataclasses import dataclass, field
from pathlib import Path

from quipu.data.documents import Document
from quipu.exercises.real.extract import KNOWN, Module, free_names, imports_of, unfit
from quipu.exercises.run import Job, Limits, Runner

LIMITS = Limits(cpu_s=5.0, wall_s=60.0, memory_mb=1024)


@dataclass(frozen=True, kw_only=True)
class Traced:
    """Texts of functions whose own examples hold, and arguments of calls that were seen."""

    texts: tuple[tuple[str, str], ...] = ()  # name, imports and function
    calls: dict[str, tuple[tuple[str, ...], ...]] = field(default_factory=dict)


def trace(document: Document, found: Module, environment: Path) -> Traced:
    """Run the examples of a file's functions twice, with its package importable."""
    names = tuple(name for name in found.functions if not name.startswith("_"))
    if not any(">>>" in (ast.get_docstring(found.functions[n]) or "") for n in names):
        return Traced()
    path = document.path.removesuffix(".py").removesuffix("/__init__")
    job = Job(code=path.replace("/", "."), calls=names, kind="tracing", free=True)
    runner = Runner(limits=LIMITS, path=(str(environment.resolve()),))
    first, second = (runner.run([job], seed)[0] for seed in (0, 1))
    if not first.ok or not second.ok:
        return Traced()
    (held, calls), (again, _) = first.values, second.values
    seen: dict[str, tuple[tuple[str, ...], ...]] = {}
    for name, arguments, _ in calls:
        if sum(map(len, arguments)) < 70:
            seen[name] = (*seen.get(name, ()), tuple(arguments))
    texts = tuple(
        (name, text)
        for name in held
        if name in again and (text := _text(found, name, job.code)) is not None
    )
    return Traced(texts=texts, calls=seen)


def _text(found: Module, name: str, path: str) -> str | None:
    """A function after imports of all that it uses, its own file's names among them."""
    node = found.functions[name]
    docstring = ast.get_docstring(node) or ""
    if unfit(node, docstring.partition(">>>")[0].rstrip() or docstring) is not None:
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
