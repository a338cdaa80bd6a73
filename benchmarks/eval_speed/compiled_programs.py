"""C++ and TypeScript programs judged a minute: ours beside compiling and running them plainly.

The programs are published ones, below check-vectors in the folder QUIPU_DATA.
"""

import contextlib
import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from eval_speed.setting import Setting

from quipu.evals.data import data_folder
from quipu.sandbox.judge import open_judge, typescript_module
from quipu.sandbox.program import Judge, Limits

PROGRAMS = "check-vectors/1.5b-base/multipl-e/humaneval-{}-details.json"
LANGUAGES = {"cpp": "cpp", "ts": "typescript"}
COUNT, GOAL = 24, 3


def measure(setting: Setting) -> str:
    """Both ways in turn, one program after the other."""
    rows = []
    judge = open_judge(data=data_folder())
    try:
        for extension, language in LANGUAGES.items():
            sources = _sources(extension)
            judge.judge(language, sources[0])  # compiles the header, starts the checker
            ours, theirs = [], []
            for _ in range(setting.rounds):
                theirs.append(_plain(extension, sources))
                ours.append(_judged(judge, language, sources))
            ratio = statistics.median(m / t for m, t in zip(ours, theirs, strict=True))
            setting.say(f"{language}: {ratio:.1f}")
            rates = (", ".join(f"{rate:.0f}" for rate in found) for found in (ours, theirs))
            rows.append(f"| {language} | {' | '.join(rates)} | {ratio:.1f} | {GOAL} |")
    finally:
        judge.close()
    return "\n".join(
        [
            "# Compiled programs judged a minute",
            "",
            "`python benchmarks/eval.py --only compiled-programs`",
            "",
            f"{COUNT} published programs of each language, one after the other, in turn. Ours: in"
            " the sandbox, a compiled header (C++), a checker that stays up (TypeScript). Plain:"
            " g++ or tsc, then the program, without confinement.",
            "",
            "| language | Quipu, programs/minute | plainly | ratio, median of rounds | goal |",
            "| --- | --- | --- | --- | --- |",
            *rows,
            "",
        ]
    )


def _sources(extension: str) -> list[str]:
    found = json.loads((data_folder() / PROGRAMS.format(extension)).read_text())
    return [runs[0][1]["code"] for _, runs in sorted(found.items())][:COUNT]


def _judged(judge: Judge, language: str, sources: Sequence[str]) -> float:
    began = time.monotonic()
    for source in sources:
        assert judge.judge(language, source).status != "sandbox_error"
    return 60 * len(sources) / (time.monotonic() - began)


def _plain(extension: str, sources: Sequence[str]) -> float:
    began = time.monotonic()
    for source in sources:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / f"p.{extension}").write_text(source)
            if extension == "cpp":
                build, run = ["g++", "-std=c++17", "p.cpp", "-o", "p"], ["./p"]
            else:
                compiler = str(typescript_module() / "bin" / "tsc")
                build, run = ["node", compiler, "--target", "esnext", "p.ts"], ["node", "p.js"]
            if subprocess.run(build, cwd=folder, capture_output=True).returncode == 0:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    subprocess.run(run, cwd=folder, capture_output=True, timeout=Limits().cpu_s)
    return 60 * len(sources) / (time.monotonic() - began)
