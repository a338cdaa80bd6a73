"""`quipu data drop`: take files and packages out of training."""

import argparse
import dataclasses
import json
from pathlib import Path

from quipu.errors import QuipuError

_EPILOG = """\
The documents are marked: the loader skips them from then on, and quipu data why tells so. The
request is kept in requests.jsonl, so that later builds of the corpus leave them out too. With
--rewrite the shards are written again without their tokens; the vocabulary stays as it is. A later
build trains a vocabulary anew, from what is left.

examples:
  quipu data drop pypi/rich --corpus corpora/mine
  quipu data drop pypi/rich/13.9.4/rich/text.py --corpus corpora/mine --rewrite"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb to the parser of `quipu data`."""
    parser = subparsers.add_parser(
        "drop",
        help="take files or packages out of training",
        description="Take documents or whole packages out of a corpus that is built.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="+", metavar="PACKAGE|ID")
    parser.add_argument("--corpus", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--rewrite", action="store_true", help="write the shards without them")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Drop, and tell on stdout how much went."""
    try:
        from quipu.data.corpus.dropping import drop
    except ModuleNotFoundError as error:
        raise QuipuError(
            f"changing a corpus needs {error.name}", remedy="pip install 'quipu-code[data]'"
        ) from error
    dropped = drop(args.corpus, args.names, rewrite_shards=args.rewrite)
    if args.json:
        print(json.dumps(dataclasses.asdict(dropped), ensure_ascii=False))
    else:
        how = "removed from the shards" if args.rewrite else "marked; the loader skips them"
        print(f"{dropped.documents:,} documents {how}")
    return 0
