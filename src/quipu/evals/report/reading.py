"""Run folders, streamed into what a report needs: verdicts of all samples, texts of a few.

RUN/TASK/ holds manifest.json, samples.jsonl and outcomes.jsonl; problems.jsonl, if it is there, has
the group and the prompt of each problem. Lines may come in any order: the same lines give the same
report. A run may still be going: its last line may be torn, and samples may lack a verdict.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quipu.errors import DataError
from quipu.evals.data import Source
from quipu.evals.runner.folder import RETRIED
from quipu.evals.task import Declaration, Decoding, Published

MANIFEST, SAMPLES, OUTCOMES = "manifest.json", "samples.jsonl", "outcomes.jsonl"
PROBLEMS = "problems.jsonl"
MEASURED = "measured"  # the one line of a task that draws no samples
SHOWN_ANSWERS = 3  # of a problem, of different outcomes where there are
SHOWN_LETTERS = 4_000  # of an answer, from its beginning
SHOWN_PROMPT = 2_500  # of a prompt, from its end, which is nearest to the answer
_DETAIL = 500  # letters of its end, where messages say what was wrong
_LONG = 12  # lines
_ECHO = 40  # letters of the prompt's beginning that an answer repeats

Told = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """How one sample fared."""

    status: str
    value: float
    detail: str = ""
    measures: Mapping[str, float] = field(default_factory=dict)

    @property
    def message(self) -> str:
        """What was wrong, in a line."""
        return self.detail.rpartition("\n")[2].strip()

    @property
    def counts(self) -> bool:
        """Whether it says something about the answer."""
        return self.status != RETRIED


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """A sample's text, cut to what a page shows."""

    text: str
    letters: int  # before the cut
    finish_reason: str = ""
    tokens: int = 0


@dataclass(kw_only=True)
class ProblemRun:
    """One problem's samples."""

    id: str
    group: str = ""
    prompt: str = ""  # its end
    begin: str = ""
    verdicts: dict[int, Verdict] = field(default_factory=dict)
    answers: dict[int, Answer] = field(default_factory=dict)  # those shown

    @property
    def judged(self) -> list[Verdict]:
        """Verdicts about answers; errors of the sandbox are none."""
        return [verdict for verdict in self.verdicts.values() if verdict.counts]

    @property
    def passed(self) -> int:
        """How many samples are right in full."""
        return sum(verdict.value >= 1 for verdict in self.judged)

    @property
    def rate(self) -> float:
        """Mean value of the samples."""
        judged = self.judged
        return sum(verdict.value for verdict in judged) / len(judged)

    def shown(self) -> list[int]:
        """Samples worth a look: the first of each outcome, then the first others."""
        order = sorted(self.verdicts)
        kinds: dict[str, int] = {}
        for sample in order:
            kinds.setdefault(self.verdicts[sample].status, sample)
        firsts = sorted(kinds.values())
        return sorted([*firsts, *(s for s in order if s not in firsts)][:SHOWN_ANSWERS])


@dataclass(kw_only=True)
class Texts:
    """What all answers of a run look like."""

    count: int = 0
    empty: int = 0
    echoes: int = 0
    fenced: int = 0  # begin with a Markdown fence
    loops: int = 0  # one line over and over until max_tokens
    finish: Counter[str] = field(default_factory=Counter)
    hashes: Counter[int] = field(default_factory=Counter)

    def add(self, text: str, finish_reason: str, begin: str) -> None:
        """Count one answer."""
        bare = text.strip()
        self.count += 1
        self.finish[finish_reason] += 1
        self.hashes[hash(bare)] += 1
        self.empty += not bare
        self.fenced += bare.startswith("```")
        self.loops += finish_reason == "length" and _loops(bare)
        self.echoes += len(begin) >= _ECHO // 2 and bare.startswith(begin)


def _loops(text: str) -> bool:
    """Whether few different lines make most of a long text."""
    lines = text.splitlines()
    return len(lines) >= _LONG and len(set(lines)) <= len(lines) / 4


@dataclass(kw_only=True)
class TaskRun:
    """One task of one run."""

    run: str  # name of the run, for people
    declaration: Declaration
    manifest: Mapping[str, Any]
    problems: dict[str, ProblemRun]
    texts: Texts
    warnings: list[str]

    @property
    def judged(self) -> list[ProblemRun]:
        """Problems with a verdict at least."""
        return [problem for problem in self.problems.values() if problem.judged]

    @property
    def model(self) -> str:
        """Name of the model and how it ran, as far as the manifest says."""
        found = self.manifest.get("model")
        if not isinstance(found, Mapping):
            return ""
        return ", ".join(str(found[key]) for key in ("name", "backend") if found.get(key))

    @property
    def measured(self) -> bool:
        """Whether the model's own scores were measured, and nothing was sampled."""
        verdicts = [v for problem in self.problems.values() for v in problem.verdicts.values()]
        return bool(verdicts) and all(verdict.status == MEASURED for verdict in verdicts)

    @property
    def limited(self) -> bool:
        """Whether only some of the benchmark's problems were asked for."""
        settings = self.manifest.get("settings")
        inner = settings if isinstance(settings, Mapping) else {}
        return bool(self.manifest.get("limit") or inner.get("limit"))


def read_run(folder: Path, name: str) -> dict[str, TaskRun]:
    """All tasks of a run folder by name; a task's own folder is a run of one task.

    Raises DataError for a folder that is no run, or a file that is not what it should be.
    """
    if not folder.is_dir():
        raise DataError(f"run folder {folder}", got="no such folder", remedy="check the path")
    places = [folder] if (folder / MANIFEST).is_file() else sorted(folder.iterdir())
    found = [read_task(place, name) for place in places if (place / MANIFEST).is_file()]
    if not found:
        raise DataError(
            f"{folder} is no run",
            got=f"no TASK/{MANIFEST} in it",
            remedy="make one: quipu eval TASK --run FOLDER",
        )
    return {task.declaration.name: task for task in found}


def read_task(folder: Path, run: str) -> TaskRun:
    """One task of a run, its samples a line in memory at a time."""
    warnings: list[str] = []
    manifest = _object(folder / MANIFEST)
    declaration = _declaration(manifest.get("declaration"), folder / MANIFEST)
    problems: dict[str, ProblemRun] = {}
    if (folder / PROBLEMS).is_file():
        for line in lines(folder / PROBLEMS, warnings.append):
            name, prompt = str(line.get("problem", "")), str(line.get("prompt") or "")
            problems[name] = ProblemRun(
                id=name,
                group=str(line.get("group") or ""),
                prompt=prompt[-SHOWN_PROMPT:],
                begin=prompt.strip()[:_ECHO],
            )
    _read_outcomes(folder / OUTCOMES, problems, warnings.append)
    problems = {name: problems[name] for name in sorted(problems, key=_natural)}
    found = TaskRun(
        run=run,
        declaration=declaration,
        manifest=manifest,
        problems={name: problem for name, problem in problems.items() if problem.verdicts},
        texts=Texts(),
        warnings=warnings,
    )
    for problem in found.problems.values():
        problem.verdicts = dict(sorted(problem.verdicts.items()))
    if not found.measured:
        found.texts = _read_samples(folder / SAMPLES, problems, warnings.append)
    return found


def _natural(name: str) -> list[tuple[int, str]]:
    """Order in which 2 comes before 10."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def lines(path: Path, told: Told) -> Iterator[dict[str, Any]]:
    """Objects of a file that may still be written; a torn last line is told and left out."""
    if not path.is_file():
        raise DataError(
            f"run file {path}",
            got="no such file",
            remedy="run the task again with the same folder: it resumes",
        )
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                found = json.loads(line)
            except ValueError as error:
                if not line.endswith(b"\n"):
                    told(f"{path.name} ends in half a line, which is left out: resume the run")
                    return
                raise DataError(
                    f"{path} line {number}", got=error, allowed="one JSON object"
                ) from error
            if not isinstance(found, dict):
                raise DataError(f"{path} line {number}", got=found, allowed="a JSON object")
            yield found


def _read_outcomes(path: Path, problems: dict[str, ProblemRun], told: Told) -> None:
    twice = 0
    for number, line in enumerate(lines(path, told), 1):
        try:
            name, sample = str(line["problem"]), int(line["sample"])
            status, value = str(line["status"]), line.get("value")
            verdict = Verdict(
                status=status,
                value=float(status == "passed" if value is None else value),
                detail=str(line.get("detail") or "").strip()[-_DETAIL:],
                measures={k: float(v) for k, v in (line.get("measures") or {}).items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(
                f"{path} line {number}",
                got=f"{type(error).__name__}: {error}",
                allowed='"problem", "sample", "status", "value", "detail", "measures"',
            ) from error
        problem = problems.setdefault(name, ProblemRun(id=name))
        twice += sample in problem.verdicts
        problem.verdicts.setdefault(sample, verdict)
    if twice:
        told(f"{twice} outcomes are there twice; the first of each counts")


def _read_samples(path: Path, problems: dict[str, ProblemRun], told: Told) -> Texts:
    texts, unjudged = Texts(), 0
    seen: dict[str, set[int]] = {name: set() for name in problems}
    shown = {name: frozenset(problem.shown()) for name, problem in problems.items()}
    for number, line in enumerate(lines(path, told), 1):
        try:
            name, sample, text = str(line["problem"]), int(line["sample"]), str(line["text"])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{path} line {number}",
                got=f"{type(error).__name__}: {error}",
                allowed='"problem", "sample", "text"',
            ) from error
        problem = problems.get(name)
        if problem is None or sample not in problem.verdicts:
            unjudged += 1
            continue
        if sample in seen[name]:
            continue
        seen[name].add(sample)
        reason = str(line.get("finish_reason") or "")
        texts.add(text, reason, problem.begin)
        if sample in shown[name]:
            tokens = line.get("tokens")
            problem.answers[sample] = Answer(
                text=text[:SHOWN_LETTERS],
                letters=len(text),
                finish_reason=reason,
                tokens=len(tokens) if isinstance(tokens, list) else int(tokens or 0),
            )
    lost = sum(len(problem.verdicts) - len(seen[name]) for name, problem in problems.items())
    if unjudged:
        told(f"{unjudged} samples have no verdict yet and are left out: resume the run")
    if lost:
        told(f"{lost} outcomes have no sample beside them: was {path.name} cut?")
    return texts


def _object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read", got=error, allowed="a JSON object") from error
    if not isinstance(found, dict):
        raise DataError(f"{path} cannot be read", got=found, allowed="a JSON object")
    return found


def _declaration(found: Any, path: Path) -> Declaration:
    """The declaration as it was when the run was made, not as the task is today."""
    try:
        values = dict(found)
        decoding = dict(values["decoding"])
        decoding["stop"] = tuple(decoding.get("stop", ()))
        values["decoding"] = Decoding(**decoding)
        values["data"] = tuple(Source(**source) for source in values["data"])
        values["published"] = tuple(Published(**row) for row in values.get("published", ()))
        values["ks"] = tuple(values.get("ks", (1,)))
        return Declaration(**values)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path}: its declaration cannot be read",
            got=f"{type(error).__name__}: {error}",
            allowed="the fields of quipu.evals.task.Declaration",
            remedy="was it written by another version? then report with that one",
        ) from error
