"""`quipu data why`: was this trained on?"""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from quipu.errors import QuipuError

if TYPE_CHECKING:
    from quipu.data.corpus.provenance import Answer, Found

SHOWN = 10  # documents of a package

_EPILOG = """\
A FILE of this machine is looked for by its content: its bytes, then its text, then what is most
like it (half of its runs of five tokens or more). Exit code 0 when something was found, else 1.

examples:
  quipu data why pypi/rich/13.9.4/rich/text.py --corpus corpora/mine
  quipu data why rich --corpus corpora/mine
  quipu data why my_module.py --corpus corpora/mine --json"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb to the parser of `quipu data`."""
    parser = subparsers.add_parser(
        "why",
        help="tell whether something was trained on, and why",
        description="Tell what became of a file or a package: kept or not, why, and where it is.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("question", metavar="FILE|ID|SHA256|PACKAGE")
    parser.add_argument("--corpus", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Answer on stdout."""
    try:
        from quipu.data.corpus.provenance import why
    except ModuleNotFoundError as error:
        raise QuipuError(
            f"reading a corpus needs {error.name}", remedy="pip install 'quipu-code[data]'"
        ) from error
    answer = why(args.corpus, args.question)
    if args.json:
        told = {
            "question": args.question,
            "trained_on": any(one.trained_on for one in answer.found),
            "documents": answer.documents,
            "states": answer.states,
            "found": [one.json() for one in answer.found],
        }
        print(json.dumps(told, ensure_ascii=False))
    else:
        _show(Console(), args.question, answer)
    return 0 if answer.documents else 1


def _show(console: Console, question: str, answer: "Answer") -> None:
    if not answer.documents:
        console.print(Text(f"{question}: not in this corpus"))
        return
    for one in answer.found[:SHOWN]:
        alike = f" ({one.match})" if one.match.endswith("alike") else ""
        console.print(Text(one.id + alike, style="bold"))
        for line in _lines(one):
            console.print(Text(f"  {line}"))
    if answer.documents > 1:
        states = ", ".join(f"{count:,} {state}" for state, count in answer.states.items())
        console.print(Text(f"{answer.documents:,} documents: {states}"))


def _lines(one: "Found") -> list[str]:
    seen = {"train": "trained on", "held out": "held out: for validation only"}
    where = f" · {one.tokens:,} tokens in {one.shard}" if one.tokens is not None else ""
    return [
        (seen[one.split] if one.split else f"not trained on: {one.state}") + where,
        f"{one.package} {one.version} · {one.licence or 'no licence known'} · "
        f"{one.language or 'no language'} · {one.bytes:,} bytes",
        f"sha256 {one.sha256}" if one.sha256 else "never read as a text",
    ]
