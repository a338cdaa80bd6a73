"""Quipu's evaluation: what it costs, beside what others use for the same work.

    python benchmarks/eval.py                     all parts
    python benchmarks/eval.py --only report --rounds 3

Run it with the Python that has Quipu. Contenders take turns. Results:
benchmarks/results/<date>-eval-<part>-<machine>.md.
"""

import argparse
import datetime
import platform
import sys
from collections.abc import Callable
from pathlib import Path

from eval_speed import compiled_programs, python_programs, report, verdicts
from eval_speed.setting import Setting

ROOT = Path(__file__).resolve().parents[1]
# Each part is a module of eval_speed with `measure(setting)`, which returns its page of results.
PARTS: dict[str, Callable[[Setting], str]] = {
    "report": report.measure,
    "python-programs": python_programs.measure,
    "compiled-programs": compiled_programs.measure,
    "verdicts": verdicts.measure,
}


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=tuple(PARTS), default=list(PARTS))
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--work", type=Path, default=ROOT / "build/eval-speed", metavar="PATH")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks/results", metavar="PATH")
    parser.add_argument("--name", default=platform.node(), help="of the machine, in file names")
    args = parser.parse_args()
    if args.rounds < 1:
        parser.error("--rounds is 1 or more")
    return args


def say(text: str) -> None:
    """Progress, on stderr."""
    print(f"{datetime.datetime.now():%H:%M:%S} {text}", file=sys.stderr, flush=True)


def main() -> None:
    """Measure the parts asked for, one file of results each."""
    args = arguments()
    args.work.mkdir(parents=True, exist_ok=True)
    args.results.mkdir(parents=True, exist_ok=True)
    setting = Setting(work=args.work, rounds=args.rounds, say=say)
    for part in args.only:
        path = args.results / f"{datetime.date.today()}-eval-{part}-{args.name}.md"
        path.write_text(PARTS[part](setting), encoding="utf-8")
        say(f"wrote {path}")


if __name__ == "__main__":
    main()
