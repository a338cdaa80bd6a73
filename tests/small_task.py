"""Tiny benchmarks and a model that answers by the seed, for tests of runs.

As a program: `python small_task.py RUN DATA PARALLEL` runs one of them, slowly enough to be killed.
"""

import hashlib
import json
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from conformance.vocabulary import tokenizer
from quipu.backend.script import Line, Script
from quipu.backend.scripted import ScriptedBackend, ScriptedStream
from quipu.config import Abilities
from quipu.errors import BackendError
from quipu.evals.data import Source
from quipu.evals.runner.run import run
from quipu.evals.runner.settings import Settings
from quipu.evals.task import (
    Chat,
    Complete,
    Declaration,
    Decoding,
    Infill,
    Problem,
    Score,
    Trial,
)
from quipu.llm import LLM
from quipu.sandbox.judge import LocalJudge, open_judge
from quipu.sandbox.program import Judge, Outcome, Program
from quipu.text.chat import Message

ROWS = b"".join(json.dumps({"number": n}).encode() + b"\n" for n in range(6))
SOURCE = Source(path="small/rows.jsonl", sha256=hashlib.sha256(ROWS).hexdigest())


@dataclass(frozen=True, kw_only=True)
class Small:
    """Functions that must return 1; or words that must be "right"."""

    kind: str = "program"  # program, exact, mean, infill, chat
    decoding: Decoding = Decoding(max_tokens=24, stop=("\n#",))

    @property
    def declaration(self) -> Declaration:
        measure = {"exact": "exact match", "mean": "mean"}.get(self.kind, "pass@k")
        return Declaration(
            name=f"small-{self.kind}",
            title="Small",
            protocol="none",
            source="made up",
            measure=measure,
            decoding=self.decoding,
            data=(SOURCE,),
            ks=(1, 2, 10),
        )

    def problems(self, files: Mapping[str, bytes]) -> Sequence[Problem]:
        rows = [json.loads(line) for line in files["rows.jsonl"].splitlines()]
        return [Problem(id=f"S/{row['number']}", facts=row) for row in rows]

    def prompt(self, problem: Problem):
        text = f"def f{problem.facts['number']}():\n"
        if self.kind == "infill":
            return Infill(prefix=text, suffix="\n")
        if self.kind == "chat":
            return Chat(messages=(Message(role="user", content=text),))
        return Complete(text=text)

    def grade(self, problem: Problem, answer: str):
        if self.kind in ("exact", "mean"):
            return Score(value=float("1" in answer), measures={"letters": float(len(answer))})
        name = f"f{problem.facts['number']}"
        text = f"def {name}():\n{answer}\nassert {name}() == 1\n"
        return Trial(language="python", program=text, complete=True)

    def solution(self, _problem: Problem) -> str | None:
        return "    return 1"

    def mutant(self, _problem: Problem) -> str | None:
        return "    return 2"


@dataclass(frozen=True, kw_only=True)
class Measuring:
    """Implements `Measured`."""

    calls: list[int] = field(default_factory=list)

    @property
    def declaration(self) -> Declaration:
        return replace(Small().declaration, name="small-measured", measure="mean")

    def measure(self, _llm, files, told):
        self.calls.append(len(files))
        told(1, 1)
        return {"perplexity at 128": 3.5}


class Model(ScriptedBackend):
    """Returns 0 or 1, as the seed says, and counts what it is asked."""

    def __init__(self, *, name="small", context=200, infill=False, chat=None, delay_s=0.0):
        abilities = Abilities(infill=infill, chat=chat)
        script = Script(model=name, lines=(), context=context, abilities=abilities)
        super().__init__(script, tokenizer())
        self.delay_s = delay_s
        self.asked = []
        self.fails_after = None
        self.under_way = self.most = 0
        self._guard = threading.Lock()

    def submit(self, request):
        with self._guard:
            self.asked.append(request)
            if self.fails_after is not None and len(self.asked) > self.fails_after:
                raise BackendError("server http://127.0.0.1:9 cannot be reached")
        room = self.info.context - len(request.prompt)
        if room < 1:
            return super().submit(request)
        number = (request.sampling.seed or 0) % 2
        line = Line(texts=(f"    return {number}\n# more",), delay_s=self.delay_s)
        return _Counted(self, ScriptedStream(line, request, self.tokenizer, room, self._closed))

    def _find(self, _ids):
        return Line(texts=("",))


class _Counted:
    """A stream that tells its model when it is read."""

    def __init__(self, model: Model, stream: ScriptedStream) -> None:
        self._model, self._stream = model, stream

    def __iter__(self):
        with self._model._guard:
            self._model.under_way += 1
            self._model.most = max(self._model.most, self._model.under_way)
        time.sleep(self._model.delay_s)
        yield from self._stream
        with self._model._guard:
            self._model.under_way -= 1

    def cancel(self) -> None:
        self._stream.cancel()


class Verdicts:
    """Implements `Sandbox` by what a function says of a source, without running anything."""

    layers = ("none",)

    def __init__(self, of) -> None:
        self._of = of
        self.programs: list[str] = []
        self.under_way = 0
        self.alone: list[bool] = []  # whether each ran by itself
        self._guard = threading.Lock()

    def run(self, program: Program) -> Outcome:
        source = program.files["program.py"].decode()
        with self._guard:
            self.programs.append(source)
            self.under_way += 1
            again = self.programs.count(source)
        time.sleep(0.005)
        with self._guard:
            self.alone.append(self.under_way == 1)
            self.under_way -= 1
        return Outcome(status=self._of(source, again), detail="said so")

    def close(self) -> None:
        pass


def honest(source: str, _again: int) -> str:
    """What a sandbox would say of a program of `Small`."""
    return "passed" if "return 1" in source else "failed"


def judge(of=honest) -> Judge:
    """A judge that runs nothing."""
    return LocalJudge(Verdicts(of))


def data(folder: Path) -> Path:
    """A data folder with the rows."""
    (folder / "small").mkdir(parents=True, exist_ok=True)
    (folder / SOURCE.path).write_bytes(ROWS)
    return folder


def lines(folder: Path, name: str) -> list[dict]:
    """Lines of a file of a run, in an order of their own, without what time it took."""
    text = (folder / f"{name}.jsonl").read_text()
    found = [json.loads(line) for line in text.splitlines()]
    for line in found:
        line.pop("cpu_s", None)
    return sorted(found, key=lambda line: (line["problem"], line["sample"]))


if __name__ == "__main__":
    run(
        Small(),
        LLM(Model(delay_s=0.002)),
        Path(sys.argv[1]),
        Settings(samples=8, data=Path(sys.argv[2]), parallel=int(sys.argv[3])),
        lambda _: None,
        open_judge=lambda: open_judge(workers=1),
    )
