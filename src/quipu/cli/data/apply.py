"""`quipu data apply`: one step of the pipeline over plain JSON lines."""

import argparse
import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from quipu.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from quipu.data.steps.apply import Applied

_DESCRIPTION = """\
Run one step over documents, one JSON object a line: {"id", "path", "text", …}; other keys
pass through. What is kept goes to OUT.jsonl, what is dropped to OUT.dropped.jsonl with its
"reason". Both files appear when the step is done, never half."""

_EPILOG = """\
examples:
  quipu data apply --list                                  every step and its options
  quipu data apply generated in.jsonl out.jsonl
  quipu data apply tests in.jsonl out.jsonl keep=0.2
  quipu data apply redact - - < in.jsonl > out.jsonl
  quipu data apply decontaminate in.jsonl out.jsonl benchmarks=FOLDER index=FILE"""

_SHOWN = 12  # reasons at the end


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "apply",
        help="run one step over JSON lines",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("step", metavar="STEP", nargs="?", help="name of a step, see --list")
    parser.add_argument("input", metavar="IN.jsonl", nargs="?", type=Path, help="- for stdin")
    parser.add_argument("output", metavar="OUT.jsonl", nargs="?", type=Path, help="- for stdout")
    parser.add_argument("options", metavar="NAME=VALUE", nargs="*", help="options of the step")
    parser.add_argument("--list", action="store_true", help="show every step with its options")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    if args.list:
        _list()
        return 0
    if args.output is None:
        raise UsageError(
            "quipu data apply", got="too little", allowed="STEP IN.jsonl OUT.jsonl [NAME=VALUE …]"
        )
    from quipu.data.steps.apply import apply, dropped_file

    with _progress(args.input) as progress:
        done = apply(args.step, tuple(args.options), args.input, args.output, progress)
    _summary(done, dropped_file(args.output))
    return 0


def _list() -> None:
    from quipu.data.steps.registry import STEPS, WHOLE, kind_name, parameters

    for name, factory in {**STEPS, **WHOLE}.items():
        print(name)
        lines = inspect.getdoc(factory) or ""
        print(*(f"    {line}".rstrip() for line in lines.splitlines()), sep="\n")
        for key, option in parameters(factory).items():
            default = (
                "" if option.default is option.empty else f" (default {_plain(option.default)})"
            )
            print(f"      {key}={kind_name(option.annotation)}{default}")
        print()


def _plain(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value).lower()


@contextmanager
def _progress(source: Path) -> "Iterator[Callable[[Applied], None]]":
    """A bar on stderr while a person looks on."""
    total = source.stat().st_size if source.is_file() else None
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    console = Console(stderr=True)
    with Progress(
        *columns, TimeRemainingColumn(), console=console, disable=not sys.stderr.isatty()
    ) as bar:
        task = bar.add_task("", total=total)

        def show(done: "Applied") -> None:
            described = f"{done.kept} kept, {done.dropped.total()} dropped"
            bar.update(task, completed=done.bytes, description=described)

        yield show


def _summary(done: "Applied", dropped: Path | None) -> None:
    """What happened, on stderr."""
    total = done.dropped.total()
    where = f" (see {dropped})" if total and dropped else ""
    changed = f", {done.changed} changed" if done.changed else ""
    print(f"kept {done.kept}{changed}, dropped {total}{where}", file=sys.stderr)
    for reason, count in sorted(done.dropped.items(), key=lambda one: (-one[1], one[0]))[:_SHOWN]:
        print(f"{count:8}  {reason}", file=sys.stderr)
    if len(done.dropped) > _SHOWN:
        print(f"          and {len(done.dropped) - _SHOWN} more reasons", file=sys.stderr)
