"""`quipu data pack` and `unpack`: a corpus in pieces that travel, and token shards of them."""

import argparse
import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from quipu.errors import QuipuError, UsageError

if TYPE_CHECKING:
    from quipu.data.corpus.packs import Told

_PACK = """\
examples:
  quipu data pack corpora/mine --to pieces --megabytes 56
  quipu data pack corpora/mine --to pieces --share cpp=0.2 --share java=0.5"""
_UNPACK = """\
Only numpy and the tokenizer's library are needed there.

example:
  quipu data unpack pieces/piece-00 pieces/piece-01 --to corpora/mine
  quipu train MODULE:FUNCTION --corpus corpora/mine"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add both verbs to the parser of `quipu data`."""
    packing = subparsers.add_parser(
        "pack",
        help="a corpus in pieces, to be carried to another machine",
        description="Write the texts of a corpus as compressed pieces, with its tokenizer.\n"
        "Any first pieces hold each group in its share.",
        epilog=_PACK,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    packing.add_argument("corpus", type=Path, metavar="CORPUS")
    packing.add_argument("--to", type=Path, required=True, metavar="FOLDER")
    packing.add_argument(
        "--megabytes", type=float, default=56, metavar="N", help="of a piece at most (default 56)"
    )
    packing.add_argument(
        "--share",
        action="append",
        default=[],
        metavar="GROUP=X",
        help="so much of a group, 0 to 1 (default: all)",
    )
    _processes(packing)
    packing.set_defaults(run=pack)
    unpacking = subparsers.add_parser(
        "unpack",
        help="token shards of such pieces",
        description="Make token shards of pieces that quipu data pack has written.",
        epilog=_UNPACK,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    unpacking.add_argument("pieces", nargs="+", type=Path, metavar="PIECE")
    unpacking.add_argument("--to", type=Path, required=True, metavar="CORPUS")
    _processes(unpacking)
    unpacking.set_defaults(run=unpack)


def _processes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--processes", type=int, metavar="N", help="worker processes (default: one per processor)"
    )


def pack(args: argparse.Namespace) -> int:
    """Pack; each piece and its size on stdout."""
    try:
        import_module("pyarrow")  # the texts are parquet
        from quipu.data.corpus.executors.local import LocalExecutor
        from quipu.data.corpus.packs import pack as packed
    except ModuleNotFoundError as error:
        raise QuipuError(
            f"packing a corpus needs {error.name}", remedy="pip install 'quipu-code[data]'"
        ) from error
    if args.megabytes <= 0:
        raise UsageError("--megabytes", got=args.megabytes, allowed="more than 0")
    with LocalExecutor(_count(args)) as executor, _bar() as bar:
        pieces = packed(
            args.corpus,
            args.to,
            executor,
            piece_bytes=int(args.megabytes * 1e6),
            shares=dict(map(_share, args.share)),
            told=_teller(bar, "packing"),
        )
    for piece in pieces:
        print(f"{piece.folder}  {piece.bytes / 1e6:.1f} MB, {piece.files} files of texts")
    return 0


def unpack(args: argparse.Namespace) -> int:
    """Unpack; groups and their tokens on stdout."""
    from quipu.data.corpus.executors.local import LocalExecutor
    from quipu.data.corpus.packs import unpack as unpacked

    with LocalExecutor(_count(args)) as executor, _bar() as bar:
        manifest = unpacked(args.pieces, args.to, executor, told=_teller(bar, "tokens"))
    for name, shards in sorted(manifest.groups.items()):
        print(f"{name:<22} {sum(shard.tokens for shard in shards):>12,} tokens")
    return 0


def _count(args: argparse.Namespace) -> int:
    if args.processes is not None and args.processes < 1:
        raise UsageError("--processes", got=args.processes, allowed="1 or more")
    return args.processes or len(os.sched_getaffinity(0))


def _share(text: str) -> tuple[str, float]:
    group, _, number = text.partition("=")
    try:
        return group, float(number)
    except ValueError:
        raise UsageError("--share", got=text, allowed="GROUP=X, X from 0 to 1") from None


def _bar() -> Progress:
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"), BarColumn(bar_width=16), MofNCompleteColumn(),
        TimeRemainingColumn(),
    )  # fmt: skip
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _teller(bar: Progress, what: str) -> "Told":
    task = bar.add_task(what, total=None)

    def told(done: int, total: int) -> None:
        bar.update(task, completed=done, total=total)

    return told
