"""quipu eval report: what runs say, as a page, as text and for programs."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from quipu.evals.report.facts import Report

EPILOG = """\
examples:
  quipu eval report runs/7b
  quipu eval report runs/7b runs/7b-tuned --to report/

Writes report.html, one file with all its pictures and some answers inside, report.md, and
report.json with every number. Each run after the first is compared with the first: difference with
its interval, an exact paired test, and the problems that flipped. The same runs give the same
bytes."""


def register(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "report",
        help="say what runs say: scores, intervals, comparisons, answers",
        description="Report on one run, or compare several.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folders of runs")
    parser.add_argument(
        "--to", type=Path, metavar="FOLDER", help="write there (default: the first run's folder)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the files; the scores go to stderr, the paths to stdout."""
    from quipu.evals.report.page import write

    report, written = write(args.runs, args.to or args.runs[0])
    _print(report)
    sys.stdout.write("".join(f"{path}\n" for path in written))
    return 0


def _print(report: "Report") -> None:
    from quipu.evals.report import wording

    console = Console(stderr=True, highlight=False)
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("task", overflow="fold")
    for name in ("measure", "run"):
        table.add_column(name, overflow="fold")
    for name in ("score", "95 % interval", "problems"):
        table.add_column(name, justify="right", no_wrap=True)
    for task in report.tasks:
        for facts in task.runs:
            for score in facts.scores:
                table.add_row(
                    task.declaration.name,
                    score.measure,
                    facts.run,
                    wording.value(score),
                    wording.interval(score),
                    str(score.problems),
                )
    console.print(table)
    for task in report.tasks:
        for pair in task.comparisons:
            console.print(
                f"{task.declaration.name}: {pair.second} minus {pair.first}"
                f" {wording.points(pair.difference)}, p {wording.probability(pair.p)}",
                markup=False,
            )
    for warning in _warnings(report):
        console.print(f"warning: {warning}", style="yellow", markup=False)


def _warnings(report: "Report") -> list[str]:
    found = list(report.warnings)
    for task in report.tasks:
        name = task.declaration.name
        found += [f"{name}, {facts.run}: {w}" for facts in task.runs for w in facts.warnings]
        found += [f"{name}: {w}" for pair in task.comparisons for w in pair.warnings]
    return found
