"""How long a report takes, and how much memory: one run, and two compared."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from eval_speed import made_runs
from eval_speed.setting import Setting

PROBLEMS, SAMPLES = 164, 200
GOAL_S, GOAL_MB = 10, 500


def measure(setting: Setting) -> str:
    """The table of this part."""
    folders = [setting.work / f"run-{seed}" for seed in (0, 1)]
    for seed, folder in enumerate(folders):
        shutil.rmtree(folder, ignore_errors=True)
        made_runs.write(
            folder, problems=PROBLEMS, samples=SAMPLES, seed=seed, skill=0.3 + 0.03 * seed
        )
    size = sum(path.stat().st_size for path in folders[0].rglob("*")) / 1e6
    rows = []
    for words, runs in (("one run", folders[:1]), ("two runs, compared", folders)):
        to = setting.work / "report"
        found = [_report(runs, to) for _ in range(setting.rounds)]
        seconds, megabytes = min(s for s, _ in found), max(m for _, m in found)
        page = (to / "report.html").stat().st_size / 1e6
        setting.say(f"{words}: {seconds:.1f} s, {megabytes:.0f} MB")
        rows.append(f"| {words} | {seconds:.1f} | {megabytes:.0f} | {page:.1f} |")
    return "\n".join(
        [
            f"# Report on {SAMPLES} samples x {PROBLEMS} problems",
            "",
            f"Made-up answers, {size:.0f} MB of lines a run; the whole command with its start, best"
            f" of {setting.rounds}; most memory of any round."
            f" Goal for one run: {GOAL_S} s and {GOAL_MB} MB.",
            "",
            "| report | seconds | peak memory, MB | page, MB |",
            "|---|---:|---:|---:|",
            *rows,
            "",
        ]
    )


def _report(runs: list[Path], to: Path) -> tuple[float, float]:
    """Seconds and peak megabytes of the command."""
    words = [sys.executable, "-m", "quipu.cli.main", "eval", "report", *map(str, runs)]
    began = time.perf_counter()
    child = subprocess.Popen(
        [*words, "--to", str(to)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"{' '.join(words)} ended with {child.returncode}")
    return time.perf_counter() - began, usage.ru_maxrss / 1024
