"""quipu train report: the curves of a run on a page."""

import argparse
import json
from pathlib import Path

from quipu.errors import QuipuError

EPILOG = """\
Writes report.html, one file with its pictures inside, and the pictures as PNG. Works while the
runs go on. Stages of a chain and several runs stand side by side.

examples:
  quipu train report runs/tiny --to report
  quipu train report runs/one runs/two --to report --json
"""


def register(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb to the parser of `quipu train`."""
    parser = verbs.add_parser(
        "report",
        help="curves of runs, as a page and as pictures",
        description="Draw the curves of runs.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="of a run or a chain")
    parser.add_argument("--to", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--json", action="store_true", help="print one object per run")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the report; what it says in short, and its files, go to stdout."""
    try:
        from quipu.train.report import summary, write
    except ModuleNotFoundError as error:
        raise QuipuError(
            f"a report needs {error.name}", remedy="pip install 'quipu-code[train,data]'"
        ) from error
    curves, written = write(args.runs, args.to)
    for one in curves:
        told = summary(one)
        print(json.dumps(told) if args.json else line_of(told))
    if not args.json:
        for path in written:
            print(path)
    return 0


def line_of(told: dict[str, object]) -> str:
    """A run in a line."""
    parts = [
        f"{told['name']}: step {told['step']:,} of {told['steps']:,}",
        f"loss {told['loss']:.3f}",
    ]
    parts.append(f"{told['tokens_per_s']:,.0f} tokens/s")
    if told["mfu"] is not None:
        parts.append(f"MFU {told['mfu']:.0%}")
    parts.append(f"checkpoints {told['checkpoint_share']:.1%} of the time")
    if told["skipped"]:
        parts.append(f"{told['skipped']} steps skipped")
    return " · ".join(parts)
