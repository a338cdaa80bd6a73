"""One measurement each in its own process, so that a crash is a result; a journal to go on from."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speed.environment import Environments, python_of
from speed.models import SHAPES
from speed.variants import ADAPTERS, VARIANTS, Command, Variant, Workshop, quipu_command

TIMEOUT_S = 900
READ_BYTES = 1 << 24
Result = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Load:
    """What is asked of an engine at once."""

    prompt_tokens: int
    new_tokens: int
    batch: int
    repeats: int  # inside one process, after one that warms up


# By model: one sequence after a long prompt, and eight together after short ones. So many tokens
# that the whole of it ends in 25 minutes on two cores.
LOADS: dict[str, dict[str, Load]] = {
    "one": {
        "nano": Load(prompt_tokens=512, new_tokens=129, batch=1, repeats=3),
        "1.1b": Load(prompt_tokens=512, new_tokens=33, batch=1, repeats=1),
        "7b": Load(prompt_tokens=512, new_tokens=17, batch=1, repeats=1),
    },
    "eight": {
        "nano": Load(prompt_tokens=64, new_tokens=65, batch=8, repeats=3),
        "1.1b": Load(prompt_tokens=16, new_tokens=17, batch=8, repeats=1),
        "7b": Load(prompt_tokens=16, new_tokens=9, batch=8, repeats=1),
    },
}
ROUNDS = {"nano": 5, "1.1b": 3, "7b": 2}
COLD_ROUNDS = 10


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One process to run."""

    model: str
    variant: str
    load: str
    round: int


def cells(
    models: Sequence[str], variants: Sequence[Variant], loads: Sequence[str], rounds: int | None
) -> Iterator[Cell]:
    """All of them, alternating: every variant once before any a second time."""
    for model in models:
        for number in range(rounds or ROUNDS[model]):
            for load in loads:
                for variant in variants:
                    if model in variant.models:
                        yield Cell(model=model, variant=variant.name, load=load, round=number)


class Journal:
    """Results of finished cells, one JSON line each; an interrupted run goes on from it."""

    def __init__(self, path: Path, run: str) -> None:
        """`run` says what results must share: those of another kind are not taken up."""
        self._path, self._run = path, run
        self.results: dict[str, Result] = {}
        lines = path.read_text().splitlines() if path.exists() else []
        for entry in map(json.loads, lines):
            if entry["run"] == run:
                self.results[entry["key"]] = entry["result"]

    def get(self, key: object, measure: Callable[[], Result]) -> Result:
        """The result under this key: an earlier one, or what `measure` gives."""
        name = repr(key)
        if name not in self.results:
            result = measure()
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a") as file:
                file.write(json.dumps({"run": self._run, "key": name, "result": result}) + "\n")
            self.results[name] = result
        return self.results[name]

    def discard(self) -> None:
        """Forget everything."""
        self._path.unlink(missing_ok=True)
        self.results = {}


def variant_of(name: str) -> Variant:
    """The variant of that name."""
    return next(variant for variant in VARIANTS if variant.name == name)


def command_of(cell: Cell, workshop: Workshop, threads: int) -> Command:
    """The command line of a cell; the last line that it prints is the result."""
    variant, load = variant_of(cell.variant), LOADS[cell.load][cell.model]
    options: Command = ["--model", workshop.file(cell.model, variant)]
    for name in ("prompt_tokens", "new_tokens", "batch"):
        options += [f"--{name.replace('_', '-')}", str(getattr(load, name))]
    options += ["--rounds", str(load.repeats), "--threads", str(threads)]
    if variant.adapter is None:
        return [*quipu_command("bench", "--json"), *options]
    python = python_of(workshop.environments.runs)
    return [python, ADAPTERS / variant.adapter, *options, "--vocab", str(SHAPES[cell.model].vocab)]


class Others:
    """How much of the processor other programs use, where Linux tells."""

    def __init__(self) -> None:
        self._begun_s, self._busy_s, self._ours_s = time.perf_counter(), _busy_s(), _children_s()

    def cores(self) -> float:
        """Cores in use, on average since this was made, by all but our ended children."""
        passed_s = time.perf_counter() - self._begun_s
        busy_s, ours_s = _busy_s() - self._busy_s, _children_s() - self._ours_s
        return max(0.0, busy_s - ours_s) / passed_s


def _busy_s() -> float:
    try:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    except OSError:
        return 0.0
    user, nice, system = map(int, fields[1:4])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


def _children_s() -> float:
    times = os.times()
    return times.children_user + times.children_system


def run_watched(command: Command, threads: int) -> Result:
    """As `run`; `others_cores` says how much other programs did meanwhile."""
    others = Others()
    return run(command, threads) | {"others_cores": others.cores()}


def run(command: Command, threads: int) -> Result:
    """What a process prints, or `failed` with the reason."""
    settings = {"OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}
    try:
        done = subprocess.run(
            command,
            env=os.environ | settings,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"no end after {TIMEOUT_S} s"}
    if done.returncode < 0:
        return {"failed": f"ended by {signal.Signals(-done.returncode).name}"}
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        return {"failed": f"exit {done.returncode}: {lines[-1] if lines else ''}"}
    found: Result = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def read_through(path: Path) -> None:
    """Bring a file, or those of a folder, into the page cache: loading is measured from there."""
    files = [path] if path.is_file() else [file for file in path.iterdir() if file.is_file()]
    for file in files:
        with file.open("rb", buffering=0) as source:
            while source.read(READ_BYTES):
                pass


def cold_commands(environments: Environments, model: Path) -> dict[str, Command]:
    """By engine: a new process that loads the embedded model and writes one token."""
    prompt = "def fibonacci(n):"
    return {
        "quipu": quipu_command("complete", prompt, "--max-tokens", "1"),
        "transformers": [
            python_of(environments.runs),
            ADAPTERS / "first_token_transformers.py",
            model,
            prompt,
        ],
    }


def cold(command: Command, threads: int) -> Result:
    """Seconds from starting a process to the first byte that it writes."""
    settings = {"OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}
    started = time.perf_counter()
    with subprocess.Popen(
        command, env=os.environ | settings, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        first = process.stdout.read(1)
        took_s = time.perf_counter() - started
        process.stdout.read()
    if not first or process.returncode:
        return {"failed": f"exit {process.returncode}"}
    return {"first_token_s": took_s}
