"""Documented functions out of the files of a package."""

import ast
import doctest
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from quipu import jsonl
from quipu.data.documents import Document
from quipu.data.keyed import generator
from quipu.exercises import check
from quipu.exercises.likeness import Suspect, kinds_of_any, likenesses
from quipu.exercises.real import inputs
from quipu.exercises.real.extract import Candidate, candidates, module
from quipu.exercises.real.traced import Traced, runner_in, trace
from quipu.exercises.run import Job, Outcome, Runner

TRIED = """

def _tried(function, *arguments):
    try:
        return ("value", repr(function(*arguments)))
    except Exception:
        return ("error", "")
"""
LEAST = 4  # calls that must succeed
Lines = tuple[list[dict[str, object]], Counter[str]]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A function with calls to try, those first that tests of its package make."""

    document: Document
    candidate: Candidate
    calls: tuple[tuple[str, ...], ...]
    doctests: tuple[tuple[str, str], ...]  # expression, what it gives

    def jobs(self) -> tuple[Job, Job]:
        """The calls, and the examples of its own docstring."""
        code, name = self.candidate.code, self.candidate.name
        tried = tuple(f"_tried({name}, {', '.join(arguments)})" for arguments in self.calls)
        examples = tuple(expression for expression, _ in self.doctests)
        return Job(code=code + TRIED, calls=tried), Job(code=code, calls=examples)


def read(file: Path) -> Iterator[Document]:
    """Python documents of a prepared package: parquet or JSON lines."""
    if file.suffix == ".jsonl":
        rows = jsonl.read(file)
    else:
        import pyarrow.parquet

        rows = iter(pyarrow.parquet.read_table(file).to_pylist())
    for row in rows:
        known = ("id", "text", "path", "package", "version", "licence", "language")
        fields = {name: str(row.get(name) or "") for name in known}
        if fields["path"].endswith(".py") or fields["language"] == "python":
            yield Document(
                id=fields["id"],
                text=fields["text"],
                path=fields["path"],
                package=fields["package"],
                version=fields["version"],
                licence=fields["licence"],
            )


def from_documents(file: Path, environment: Path | None, problems: Path | None = None) -> Lines:
    """Exercises of one package, and what was dropped, by reason; none solves one of `problems`."""
    dropped: Counter[str] = Counter()
    trials: list[Trial] = []
    doctests: list[tuple[dict[str, object], Suspect]] = []
    files = [
        (document, found)
        for document in read(file)
        if (found := module(document.text)) is not None and found.functions
    ]
    seen = [Traced()] * len(files) if environment is None else trace(files, environment)
    for (document, found), traced in zip(files, seen, strict=True):
        doctests += [
            (
                _line(document, name, text, "real doctest"),
                Suspect(code=text, name=name, kinds=kinds_of_any(found.functions[name])),
            )
            for name, text in traced.texts
        ]
        for candidate in candidates(found):
            if isinstance(candidate, str):
                dropped[candidate] += 1
            elif candidate.name not in {name for name, _ in traced.texts}:
                trials.append(_trial(document, candidate, traced))
    written = _run(trials, dropped)
    if problems is None:
        return [line for line, _ in (*doctests, *written)], dropped
    alone = Runner() if environment is None else runner_in(environment)
    lines = _unlike(doctests, problems, alone, dropped)
    return lines + _unlike(written, problems, Runner(), dropped), dropped


def _unlike(
    found: Sequence[tuple[dict[str, object], Suspect]],
    problems: Path,
    runner: Runner,
    dropped: Counter[str],
) -> list[dict[str, object]]:
    """Lines of those that solve no problem."""
    alike = likenesses([suspect for _, suspect in found], problems, runner, dropped)
    return [line for (line, _), like in zip(found, alike, strict=True) if not like]


def _trial(document: Document, candidate: Candidate, traced: Traced) -> Trial:
    seed = int(generator("real", document.id, candidate.name).integers(2**62))
    calls = dict.fromkeys(traced.calls.get(candidate.name, ()))
    calls |= dict.fromkeys(inputs.calls(candidate.node, random.Random(seed)))
    return Trial(
        document=document,
        candidate=candidate,
        calls=tuple(calls)[: inputs.CALLS],
        doctests=tuple(_doctests(candidate.docstring)),
    )


def _doctests(docstring: str) -> Iterator[tuple[str, str]]:
    """Examples on one line with a value."""
    try:
        examples = doctest.DocTestParser().get_examples(docstring)
    except ValueError:
        return
    for example in examples:
        source = example.source.strip()
        if example.want and "\n" not in source and not source.startswith(("import", "from")):
            yield source, example.want.strip()


def _run(trials: Sequence[Trial], dropped: Counter[str]) -> list[tuple[dict[str, object], Suspect]]:
    """Exercises of those whose calls show something, each with what it may be tried with."""
    jobs = [job for trial in trials for job in trial.jobs()]
    first, second = Runner().run(jobs, 0), Runner().run(jobs, 1)
    lines = []
    for number, trial in enumerate(trials):
        here = slice(2 * number, 2 * number + 2)
        if first[here][0] != second[here][0]:
            dropped["run: values differ"] += 1
            continue
        text = _text(trial, *first[here])
        if text.startswith("run") or text.startswith("trivial"):
            dropped[text] += 1
            continue
        form = "real function" + (" with helpers" if trial.candidate.helpers else "")
        name, kinds = trial.candidate.name, kinds_of_any(trial.candidate.node)
        suspect = Suspect(code=trial.candidate.code, name=name, kinds=kinds)
        lines.append((_line(trial.document, name, text, form), suspect))
    return lines


def _text(trial: Trial, tried: Outcome, examples: Outcome) -> str:
    """The exercise, or the reason why there is none."""
    if not tried.ok:
        return f"run: {tried.status}"
    found = [ast.literal_eval(value) for value in tried.values]
    good = [
        (call, value)
        for call, (kind, value) in zip(trial.calls, found, strict=True)
        if kind == "value" and _readable(value)
    ]
    if len(good) < LEAST:
        return "run: few calls succeed"
    calls, values = [call for call, _ in good], [value for _, value in good]
    reason = check.dull(calls, values)
    if reason is not None:
        return reason
    candidate = trial.candidate
    if trial.doctests:
        held = examples.ok and examples.values == tuple(want for _, want in trial.doctests)
        return f"{candidate.code}" if held else "run: its own examples do not hold"
    r = random.Random(int(generator("shown", trial.document.id, candidate.name).integers(2**62)))
    shown = check.examples(calls, values, r.choice((2, 3, 4)), r)
    told = with_examples(candidate, shown) if r.random() < 0.6 else None
    if told is not None:
        return told
    tests = [f"assert {e.call(candidate.name)} == {e.value}" for e in shown]
    return candidate.code.rstrip() + "\n\n\n" + "\n".join(tests) + "\n"


def _readable(value: str) -> bool:
    """Whether a value is a literal that a person could check."""
    if len(value) > check.LONGEST_VALUE or re.search(r"\bnan\b|\binf\b| at 0x", value):
        return False
    try:
        ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return False
    return True


def with_examples(candidate: Candidate, shown: Sequence[check.Example]) -> str | None:
    """The function with examples at the end of its docstring; None where it has odd quotes."""
    node = ast.parse(candidate.source).body[0]
    assert isinstance(node, ast.FunctionDef)
    told = node.body[0]
    lines = candidate.source.splitlines()
    source = "\n".join(lines[told.lineno - 1 : told.end_lineno]).strip()
    if not re.match(r'^"""[^\\]*"""$', source, re.S) or len(node.body) < 2:
        return None
    margin = " " * told.col_offset
    examples = [line for example in shown for line in example.prompt(candidate.name)]
    if any("\\" in line for line in examples):
        return None
    inside = source[3:-3].rstrip()
    body = "\n".join(f"{margin}{line}" for line in examples)
    docstring = f'{margin}"""{inside}\n\n{body}\n{margin}"""'
    changed = [*lines[: told.lineno - 1], docstring, *lines[told.end_lineno :]]
    before = f"{candidate.before}\n\n\n" if candidate.before else ""
    return before + "\n".join(changed) + "\n"


def _line(document: Document, name: str, text: str, form: str) -> dict[str, object]:
    return {
        "id": f"exercises/{document.id}#{name}",
        "path": document.path,
        "text": text,
        "package": document.package,
        "licence": document.licence,
        "language": "python",
        "group": "exercises",
        "provenance": {"form": form, "file": document.id, "version": document.version},
        "signature": f"{document.id}#{name}",
    }
