"""quipu infill: write what is missing inside a text."""

import argparse
from pathlib import Path

from quipu.cli import options, terminal
from quipu.errors import TextError, UsageError

MARK = "<FILL_ME>"

EPILOG = """\
examples:
  quipu infill module.py --at 12:5
  echo 'def add(a, b):
      <FILL_ME>
      return total' | quipu infill -
  quipu infill --prefix-file before.txt --suffix-file after.txt --json
"""


def register(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = verbs.add_parser(
        "infill",
        help="write what is missing inside a text",
        description="Write what is missing: at a cursor, at a mark, or between two files.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", nargs="?", metavar="FILE|-", help="the text; - is stdin")
    place = parser.add_argument_group("place")
    place.add_argument(
        "--at",
        metavar="LINE:COL",
        help="cursor, both counted from 1: 1:1 is before the first character; "
        f"without --at the text holds {MARK} once",
    )
    place.add_argument("--prefix-file", type=Path, metavar="P", help="text before the gap")
    place.add_argument("--suffix-file", type=Path, metavar="S", help="text after the gap")
    parser.add_argument(
        "--order",
        choices=("spm", "psm"),
        default="spm",
        help="suffix first (default; heals a cursor inside a word) or prefix first",
    )
    parser.add_argument(
        "--no-heal", action="store_true", help="keep the last token before the cursor as it is"
    )
    options.add_model(parser)
    options.add_sampling(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Answer, and write the answer to stdout."""
    sampling = options.sampling(args)
    prefix, suffix = _around(args)
    with options.open_model(args) as llm:
        asked = llm.ask_infill(prefix, suffix, sampling, order=args.order, heal=not args.no_heal)
        terminal.show(asked, before=prefix, after=suffix, json_lines=args.json)
    return 0


def _around(args: argparse.Namespace) -> tuple[str, str]:
    """Text before and after the gap."""
    if args.prefix_file or args.suffix_file:
        if args.file or args.at:
            raise UsageError(
                "two ways to name the gap",
                got="--prefix-file or --suffix-file beside FILE or --at",
                allowed="one of them",
            )
        before, after = (
            options.decode(options.read_bytes(path), str(path)) if path else ""
            for path in (args.prefix_file, args.suffix_file)
        )
        return before, after
    text = options.read_input(args.file)
    return split_at_cursor(text, args.at) if args.at else split_at_mark(text)


def split_at_mark(text: str) -> tuple[str, str]:
    """Text before and after the one mark. Raises TextError for none or several."""
    count = text.count(MARK)
    if count != 1:
        raise TextError(
            "gap in the text",
            got=f"{count} times {MARK}",
            allowed="exactly one",
            remedy="put the mark where text is missing, or use --at LINE:COL",
        )
    before, _, after = text.partition(MARK)
    return before, after


def split_at_cursor(text: str, at: str) -> tuple[str, str]:
    """Text before and after LINE:COL, both counted from 1, columns in characters.

    The last line may be empty (a cursor after the final line end). TextError outside the text.
    """
    line_text, colon, column_text = at.partition(":")
    if not (colon and line_text.isdecimal() and column_text.isdecimal()):
        raise UsageError("--at", got=at, allowed="LINE:COL, two whole numbers, such as 12:5")
    line, column = int(line_text), int(column_text)
    lines = text.split("\n")
    if not 1 <= line <= len(lines):
        raise TextError("cursor outside the file: line", got=line, allowed=f"1 to {len(lines)}")
    width = len(lines[line - 1].removesuffix("\r"))
    if not 1 <= column <= width + 1:
        raise TextError(
            f"cursor outside line {line}: column", got=column, allowed=f"1 to {width + 1}"
        )
    offset = sum(len(before) + 1 for before in lines[: line - 1]) + column - 1
    return text[:offset], text[offset:]
