"""`quipu data show`: random documents and packed rows, for human eyes."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.rule import Rule
from rich.text import Text

from quipu.errors import UsageError

if TYPE_CHECKING:
    from quipu.data.report.looking import PackedRow, Shown

EPILOG = """\
examples:
  quipu data show --corpus corpus/
  quipu data show --corpus corpus/ --group bash --documents 3 --packed 0
  quipu data show --corpus corpus/ --documents 0 --packed 2 --infill 1 --seed 7

Packed rows are what training sees, with one colour a role: prefix, middle and suffix of what is
rearranged for infilling, and the special tokens between them. In SPM order prefix and middle are
one string, which is coloured as a middle. Another --seed draws others."""

STYLES = {
    "plain": "",
    "prefix": "cyan",
    "middle": "bold green",
    "suffix": "yellow",
    "special": "reverse magenta",
    "padding": "dim",
}
# Texts of strangers must not talk to the terminal: no escapes, no change of writing direction.
_CONTROLS = dict.fromkeys(
    (*range(9), 11, 12, *range(13, 32), *range(127, 160), *range(0x202A, 0x202F),
     *range(0x2066, 0x206A)),
    "\N{REPLACEMENT CHARACTER}",
)  # fmt: skip


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb to the parser of `quipu data`."""
    parser = subparsers.add_parser(
        "show",
        help="look at random documents and packed rows",
        description="Look at random documents of a corpus, and at rows as training sees them.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--corpus", type=Path, required=True, metavar="FOLDER", help="a built one")
    parser.add_argument("--group", metavar="GROUP", help="of this group only, such as python")
    for name, default, text in (
        ("--documents", 2, "documents to show"),
        ("--packed", 1, "packed rows to show"),
        ("--seed", 0, "of the draw"),
        ("--lines", 60, "shown of a document; 0: all"),
        ("--row-tokens", 1024, "of a packed row"),
    ):
        parser.add_argument(
            name, type=int, default=default, metavar="N", help=f"{text} (default {default})"
        )
    parser.add_argument(
        "--infill", type=float, default=0.5, metavar="SHARE", help="of samples (default 0.5)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print them to stdout; colours where a terminal is."""
    for name in ("documents", "packed", "seed", "lines"):
        if getattr(args, name) < 0:
            raise UsageError(f"--{name}", got=getattr(args, name), allowed="0 or more")
    from quipu.data.loading.mixture import Infilling
    from quipu.data.report import looking

    console = Console(highlight=False)
    if args.documents:
        for shown in looking.documents(args.corpus, args.documents, args.group, args.seed):
            print_document(console, shown, args.lines)
    if args.packed:
        infilling = Infilling(rate=args.infill)
        for row in looking.packed(
            args.corpus, args.packed, args.group, args.seed, args.row_tokens, infilling
        ):
            print_row(console, row)
    return 0


def print_document(console: Console, shown: "Shown", lines: int) -> None:
    """A heading with the provenance, then the text's first lines in colours of its language."""
    from rich.syntax import Syntax

    console.print(Rule(Text(harmless(shown.id), "bold"), align="left"))
    facts = [
        shown.language,
        shown.licence,
        f"{shown.bytes:,} bytes",
        f"quality {shown.quality:.2f}",
    ]
    console.print(Text(" · ".join([*facts, *(["held out"] if shown.held_out else [])]), "dim"))
    every = harmless(shown.text).split("\n")
    first = every[:lines] if lines else every
    console.print(
        Syntax("\n".join(first), shown.language, theme="ansi_dark", background_color="default",
               word_wrap=True)
    )  # fmt: skip
    if len(first) < len(every):
        console.print(Text(f"… {len(every) - len(first):,} lines more", "dim"))
    console.print()


def print_row(console: Console, row: "PackedRow") -> None:
    """A heading, then the row's text in the colours of its roles."""
    documents = len({segment.document for segment in row.segments if segment.document >= 0})
    console.print(Rule(Text(f"row {row.index}, samples: {documents}", "bold"), align="left"))
    legend = Text("  ").join(
        Text(role, style) for role, style in STYLES.items() if role not in ("plain", "padding")
    )
    console.print(legend)
    text, last = Text(), None
    for segment in row.segments:
        if segment.document != last and last is not None:
            text.append("\n")
        last = segment.document
        shown = "padding" if segment.kind == "padding" else harmless(segment.text)
        text.append(shown, STYLES[segment.kind])
    console.print(text)
    console.print()


def harmless(text: str) -> str:
    """Text without what a terminal would obey."""
    return text.translate(_CONTROLS)
