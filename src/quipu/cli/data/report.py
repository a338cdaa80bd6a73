"""`quipu data report`: a page with plots and a dataset card."""

import argparse
import sys
from pathlib import Path

EPILOG = """\
examples:
  quipu data report --corpus corpus/

Writes report.html, one file with all its pictures inside, and card.md into the corpus folder,
counted anew from its parquet files. The same corpus gives the same bytes."""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb to the parser of `quipu data`."""
    parser = subparsers.add_parser(
        "report",
        help="write a page with plots and a dataset card",
        description="Say what a corpus is made of: report.html and card.md.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--corpus", type=Path, required=True, metavar="FOLDER", help="a built one")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write both files; their paths go to stdout."""
    from quipu.data.report.page import write

    for path in write(args.corpus):
        sys.stdout.write(f"{path}\n")
    return 0
