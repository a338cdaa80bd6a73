"""Quipu's data pipeline beside what others use for the same work, on the same real files.

    python benchmarks/data.py                                 all parts
    python benchmarks/data.py --only near-dedup --rounds 3

Run it with the Python that has Quipu and its extra `data`. Peers go into an environment of their
own (--venv), files into --work, both made on the first run; packages come by name from whatever
index pip is set to. Everything runs on one core; contenders take turns. Results:
benchmarks/results/<date>-data-<part>-<machine>.md.
"""

import argparse
import datetime
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path

from data_speed import loading, near_dedup, tokenisation, whole_build
from data_speed.setting import Setting

ROOT = Path(__file__).resolve().parents[1]
PARTS: dict[str, Callable[[Setting], str]] = {
    "near-dedup": near_dedup.report,
    "tokenisation": tokenisation.report,
    "loader": loading.report,
    "whole-build": whole_build.report,
}


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=tuple(PARTS), default=list(PARTS))
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--files", type=int, default=20_000, metavar="N")
    parser.add_argument("--work", type=Path, default=ROOT / "build/data-speed", metavar="PATH")
    parser.add_argument("--venv", type=Path, default=ROOT / "build/data-peers", metavar="PATH")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks/results", metavar="PATH")
    parser.add_argument("--name", default=platform.node(), help="of the machine, in file names")
    args = parser.parse_args()
    if min(args.rounds, args.files) < 1:
        parser.error("--rounds and --files are 1 or more")
    return args


def say(text: str) -> None:
    """Progress, on stderr."""
    print(f"{datetime.datetime.now():%H:%M:%S} {text}", file=sys.stderr, flush=True)


def main() -> None:
    """Measure the parts asked for, one file of results each."""
    args = arguments()
    for library in ("OMP", "OPENBLAS", "ARROW", "RAYON"):
        os.environ[f"{library}_NUM_THREADS"] = "1"
    setting = Setting(work=args.work, venv=args.venv, rounds=args.rounds, files=args.files, say=say)
    args.work.mkdir(parents=True, exist_ok=True)
    args.results.mkdir(parents=True, exist_ok=True)
    for part in args.only:
        path = args.results / f"{datetime.date.today()}-data-{part}-{args.name}.md"
        path.write_text(PARTS[part](setting), encoding="utf-8")
        say(f"wrote {path}")


if __name__ == "__main__":
    main()
