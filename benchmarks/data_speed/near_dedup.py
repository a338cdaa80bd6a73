"""Near-duplicate removal: its speed beside datatrove's, and what it finds beside brute force."""

import datetime
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
import venv
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from data_speed.all_pairs import similar_pairs
from data_speed.real_files import download, python_files
from data_speed.setting import Setting

from quipu.data.dedup.bands import bucket_pairs, packed, unpacked
from quipu.data.dedup.choose import choose
from quipu.data.dedup.settings import Near, similarity_found
from quipu.data.dedup.shingles import shingles_of, unique
from quipu.data.dedup.signatures import band_keys
from quipu.data.dedup.verify import similarities

HERE = Path(__file__).resolve().parent
PEER_PACKAGES = (
    "datatrove", "nltk", "orjson", "pyarrow", "regex", "spacy", "tokenizers", "xxhash<4",
)  # fmt: skip
NEAR = Near()
SPEED_FILES = 4000  # of all; the peer takes minutes for them
NAMES = {
    "quipu": "Quipu",
    "datatrove": "datatrove",
    "datatrove words": "datatrove without spaCy",
}


def report(setting: Setting) -> str:
    """Measure; the results as Markdown."""
    setting.say("fetching packages")
    wheels = download(setting.work / "wheels")
    files = python_files(wheels, setting.files)
    some = files[:: max(1, len(files) // SPEED_FILES)]
    part = _write_part(setting.work / "files.parquet", some)
    python = _install(setting)
    runs = _take_turns(setting, part, python)
    setting.say("comparing all pairs")
    found = _recall([text for _, text in files])
    versions = ", ".join(" ".join(wheel.name.split("-")[:2]) for wheel in wheels)
    files_measured = f"{len(some)} files, {_megabytes(some):.0f} MB"
    paragraphs = [
        "# Near-duplicate removal",
        f"{datetime.date.today()}; Python {platform.python_version()}, numpy {np.__version__}, "
        f"pyarrow {version('pyarrow')}, datatrove {_version(python)}. Python files from the wheels "
        f"of {versions}.",
        "```\npython benchmarks/data.py --only near-dedup\n```",
        "## Speed",
        f"{files_measured}; {setting.rounds} rounds, contenders alternating, one process on one "
        f"core each; medians. Load average at the end: {os.getloadavg()[0]:.1f}.",
        _speed_table(runs, _megabytes(some)),
        "Quipu's time has all stages: signatures, buckets, shingles of the candidates, their true "
        "Jaccard similarity, the choice. datatrove's has signatures, buckets and clusters (its "
        "defaults: 5-grams, 14 buckets of 8 hashes); it compares no texts. In the last line a "
        "regular expression stands for its tokenizer of English.",
        f"## Found, at Jaccard {NEAR.jaccard}",
        f"{len(files)} files, {_megabytes(files):.0f} MB.",
        _found_table(found),
        "The truth is every pair of different texts with that similarity, by an inverted index "
        "with a prefix filter (exact). Precision compares the sets of token runs themselves, not "
        f"their hashes. One pair alone, of similarity {NEAR.jaccard}, is found with probability "
        f"{similarity_found(NEAR, NEAR.jaccard):.3f} ({NEAR.bands} bands of {NEAR.rows}).",
    ]
    return "\n\n".join(paragraphs) + "\n"


def _megabytes(files: list[tuple[str, str]]) -> float:
    return sum(len(text.encode()) for _, text in files) / 1e6


def _write_part(path: Path, files: list[tuple[str, str]]) -> Path:
    import pyarrow
    from pyarrow import parquet

    ids, texts = zip(*files, strict=True)
    table = pyarrow.table({"id": ids, "text": texts, "quality": np.zeros(len(files))})
    parquet.write_table(table, path, row_group_size=1000)
    return path


def _install(setting: Setting) -> Path:
    """The peers' interpreter."""
    python = setting.venv / "bin/python"
    mark = setting.venv / ".installed-near-dedup"
    if not mark.exists():
        setting.say(f"installing {', '.join(PEER_PACKAGES)}")
        if not python.exists():
            venv.create(setting.venv, with_pip=True)
        command = [python, "-m", "pip", "install", "--quiet", *PEER_PACKAGES]
        subprocess.run(command, check=True)
        mark.touch()
    return python


def _version(python: Path) -> str:
    code = "from importlib.metadata import version; print(version('datatrove'))"
    command = [python, "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _take_turns(setting: Setting, part: Path, python: Path) -> dict[str, list[dict[str, Any]]]:
    commands = {
        "quipu": [sys.executable, HERE / "run_quipu.py"],
        "datatrove": [python, HERE / "run_datatrove.py"],
        "datatrove words": [python, HERE / "run_datatrove.py"],
    }
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in commands}
    for number in range(setting.rounds):
        for name, command in commands.items():
            work = setting.work / "run"
            shutil.rmtree(work, ignore_errors=True)
            words = ["words"] if name.endswith(" words") else []
            full = [*command, part, work, *words]
            with (setting.work / "log").open("w") as log:
                done = subprocess.run(full, stdout=-1, stderr=log, check=True, text=True)
            runs[name].append(json.loads(done.stdout.splitlines()[-1]))
            last = runs[name][-1]
            setting.say(f"round {number + 1} {name}: {last['cpu_s']:.1f} s of CPU")
    return runs


def _speed_table(runs: dict[str, list[dict[str, Any]]], megabytes: float) -> str:
    rows = ["| | MB/s | MB/s of CPU time | CPU s, all rounds | Quipu is faster | removed |"]
    rows.append("|---|---|---|---|---|---|")
    medians = {
        name: {unit: statistics.median(one[unit] for one in all_runs) for unit in all_runs[0]}
        for name, all_runs in runs.items()
    }
    for name, median in medians.items():
        every = ", ".join(f"{one['cpu_s']:.1f}" for one in runs[name])
        ratio = median["cpu_s"] / medians["quipu"]["cpu_s"]
        rows.append(
            f"| {NAMES[name]} | {megabytes / median['wall_s']:.2f} "
            f"| {megabytes / median['cpu_s']:.2f} | {every} | {ratio:.1f} x "
            f"| {median['removed']:.0f} |"
        )
    return "\n".join(rows)


def _recall(texts: list[str]) -> dict[str, float]:
    """Pairs and removed documents, by MinHash and by comparing all pairs."""
    different = sorted(set(texts))
    sets = [shingles_of(text, NEAR.shingle) for text in different]
    started = time.process_time()
    truth = similar_pairs(sets, NEAR.jaccard)
    seconds = time.process_time() - started
    keys = np.array([band_keys(one, NEAR) for one in sets]).T
    numbers = np.arange(len(sets))
    pairs = unique(
        np.concatenate([found for band in keys for found in bucket_pairs(band, numbers, NEAR)])
    )
    similarity = similarities(pairs, sets, NEAR.jaccard)
    enough = similarity >= NEAR.jaccard
    low, high = unpacked(pairs[enough])
    true_low, true_high = np.array(sorted(truth), dtype=np.int64).T
    order = [(0.0, f"{number:09}") for number in range(len(sets))]
    ours = set(choose(order, low, high, similarity[enough]))
    perfect = set(
        choose(order, true_low, true_high, np.array([truth[one] for one in sorted(truth)]))
    )
    right = _truly_similar(different, low, high)
    hits = np.isin(packed(true_low, true_high), pairs[enough]).sum()
    return {
        "texts": len(sets),
        "true pairs": len(truth),
        "candidates": len(pairs),
        "found pairs": int(enough.sum()),
        "recall": float(hits / len(truth)),
        "precision": right / int(enough.sum()),
        "removed by brute force": len(perfect),
        "removed": len(ours),
        "removed by both": len(ours & perfect),
        "brute force, s": seconds,
    }


def _truly_similar(texts: list[str], low: Any, high: Any) -> int:
    """How many pairs are similar enough when sets of token runs are compared, not of hashes."""
    from quipu.data.hashing import tokens

    runs: dict[int, set[bytes]] = {}
    for number in {*low.tolist(), *high.tolist()}:
        data, spans = texts[number].encode(), tokens(texts[number])
        ends = list(zip(spans.starts.tolist(), spans.ends.tolist(), strict=True))
        words = [data[start:end] for start, end in ends]
        size = min(NEAR.shingle, len(words))
        runs[number] = {
            b" ".join(words[start : start + size]) for start in range(len(words) - size + 1)
        }
    right = 0
    for left, other in zip(low.tolist(), high.tolist(), strict=True):
        shared = len(runs[left] & runs[other])
        union = len(runs[left]) + len(runs[other]) - shared
        right += shared >= NEAR.jaccard * union
    return right


def _found_table(found: dict[str, float]) -> str:
    rows = ["| figure | value |", "|---|---|"]
    for name, value in found.items():
        rows.append(
            f"| {name} | {value:.4f} |" if isinstance(value, float) else f"| {name} | {value} |"
        )
    return "\n".join(rows)
