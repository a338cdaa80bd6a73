"""A whole build: from archives on disk to token shards, its time and its memory."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
from data_speed.setting import Setting

from quipu.data.corpus.recipe import CorpusRecipe
from quipu_recipes.corpus import PACKAGES, shipped

PROCESSES = 2
GOAL_MINUTES, GOAL_GB = 15, 2
# About a gigabyte of files as they lie in the wheels, before anything is dropped.
SHARE = 0.5
_LOOK_S = 0.5


def part_of_shipped() -> CorpusRecipe:
    """Our corpus, with so many of its Python packages, every n-th so that all kinds are there."""
    python = [package for package in PACKAGES if package.ecosystem == "pypi"]
    step = round(1 / SHARE)
    return replace(shipped(), name="whole-build", packages=tuple(python[::step]))


def report(setting: Setting) -> str:
    """Fetch, then time everything after it in a folder without earlier results."""
    folder = setting.work / "whole-build"
    setting.say("fetching")
    _build(folder, "fetch")
    for name in ("packages", "dedup", "texts", "tokens"):
        subprocess.run(["rm", "-rf", str(folder / name)], check=True)
    (folder / "documents.parquet").unlink(missing_ok=True)
    setting.say("building")
    began = time.monotonic()
    peak = _build(folder, "tokens")
    minutes = (time.monotonic() - began) / 60
    documents = pq.read_table(folder / "documents.parquet", columns=["bytes", "state"])
    packaged = pc.sum(documents["bytes"]).as_py()
    ours = pc.invert(pc.match_substring_regex(documents["state"], "^(language|take|link)"))
    read = pc.sum(documents.filter(ours)["bytes"]).as_py()
    kept = documents.filter(pc.equal(documents["state"], "kept"))
    groups = json.loads((folder / "tokens/manifest.json").read_text())["groups"]
    tokens = sum(group["tokens"] for group in groups.values())
    return "\n".join(
        [
            "# A whole build",
            "",
            "`python benchmarks/data.py --only whole-build`",
            "",
            f"{documents.num_rows:,} files of {len(part_of_shipped().packages)} packages,"
            f" {packaged / 1e9:.2f} GB as they were packaged, of which {read / 1e9:.2f} GB"
            f" are in a language that is wanted; {kept.num_rows:,} files,"
            f" {pc.sum(kept['bytes']).as_py() / 1e6:,.0f} MB, {tokens / 1e6:,.1f} M tokens kept."
            f" From archives on disk to shards, vocabulary included, {PROCESSES} processes.",
            "",
            "| figure | measured | goal |",
            "| --- | --- | --- |",
            f"| minutes | {minutes:.1f} | |",
            f"| minutes a wanted GB | {minutes / (read / 1e9):.1f} | <= {GOAL_MINUTES} |",
            f"| peak memory of all processes, GB | {peak / 1e9:.2f} | <= {GOAL_GB} |",
            "",
        ]
    )


def _build(folder: Path, until: str) -> int:
    """Run the command; the most memory that its processes had together, in bytes."""
    words = ["-m", "quipu.cli.main", "data", "build", "data_speed.whole_build:part_of_shipped"]
    options = ["--to", str(folder), "--processes", str(PROCESSES), "--until", until]
    paths = [str(Path(__file__).parents[1]), *sys.path]
    process = subprocess.Popen(
        [sys.executable, *words, *options],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        stdout=subprocess.DEVNULL,
    )
    peak = 0
    ended = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ended.wait(_LOOK_S):
            peak = max(peak, sum(map(_private_bytes, _below(process.pid))))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        if process.wait():
            raise SystemExit(f"the build has failed with exit code {process.returncode}")
    finally:
        ended.set()
        watcher.join()
    return peak


def _below(process: int) -> Iterator[int]:
    yield process
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:
        return
    for child in children:
        yield from _below(int(child))


def _private_bytes(process: int) -> int:
    """Resident memory, what is shared with other processes by its share (PSS)."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
