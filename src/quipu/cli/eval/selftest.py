"""quipu eval selftest: does this machine tell right answers from wrong ones?"""

import argparse
import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from quipu.cli.eval.judge import add_limits, limits_of, opened
from quipu.errors import DataError, SandboxError

if TYPE_CHECKING:
    from quipu.evals.selftest import Checked

_SHOWN = 5  # troubles of each check

DESCRIPTION = """\
Canonical solutions of the benchmarks must pass, mutated ones must fail, and attacks on the sandbox
must be stopped. Exit code 1 if anything is not as it must be. Tasks whose data or toolchain is not
here are left out, and said to be, unless they are named."""


def register(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "selftest",
        help="try solutions, mutants and attacks",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("tasks", nargs="*", metavar="TASK", help="default: all")
    parser.add_argument("--quick", action="store_true", help="some answers of each task only")
    parser.add_argument("--json", action="store_true", help="print one JSON object per check")
    add_limits(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check, print a table, and every trouble's reason."""
    console = Console(stderr=True)
    troubles = 0
    table = Table(box=None, pad_edge=False)
    for heading in ("", "checked", "as it must be", ""):
        table.add_column(heading, overflow="fold")
    for name, checked in _checks(args, console):
        if isinstance(checked, str):
            table.add_row("[dim]–[/dim]", name, "[dim]left out[/dim]", f"[dim]{checked}[/dim]")
            continue
        troubles += len(checked.troubles)
        if args.json:
            _write(checked)
        sign = "[bold]no[/bold]" if checked.troubles else "yes"
        words = [f"{each.what}: {each.why}" for each in checked.troubles[:_SHOWN]]
        if len(checked.troubles) > _SHOWN:
            words.append(f"and {len(checked.troubles) - _SHOWN} more")
        count = f"{checked.right}/{checked.of}"
        table.add_row(sign, f"{name} {checked.kind}", count, "\n".join(words))
    if not args.json:
        Console().print(table, highlight=False, markup=True)
    return 1 if troubles else 0


def _checks(args: argparse.Namespace, console: Console) -> Iterator[tuple[str, "Checked | str"]]:
    """Names with what was found, or with why nothing was."""
    from quipu.evals.data import read_sources
    from quipu.evals.registry import TASKS, find
    from quipu.evals.selftest import check_sandbox, check_task
    from quipu.evals.task import Measured

    tasks = find(args.tasks) if args.tasks else tuple(TASKS.values())
    judge = opened(args)
    columns = (BarColumn(bar_width=20), MofNCompleteColumn(), TextColumn("{task.description}"))
    bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    try:
        with bar:
            shown = bar.add_task("sandbox", total=None)

            def told(done: int, of: int) -> None:
                bar.update(shown, completed=done, total=of)

            if not args.tasks:
                yield "sandbox", check_sandbox(judge, told)
            for task in tasks:
                name = task.declaration.name
                bar.update(shown, description=name)
                if isinstance(task, Measured):
                    yield name, "it measures the model, and grades no answers"
                    continue
                try:
                    files = read_sources(
                        task.declaration.data, fetch=None if args.tasks else _absent
                    )
                    found = check_task(
                        task,
                        files,
                        judge,
                        limits_of(args),
                        workers=args.workers,
                        quick=args.quick,
                        told=told,
                    )
                except (DataError, SandboxError) as error:
                    if args.tasks:
                        raise
                    yield name, str(error)
                    continue
                yield from ((name, each) for each in found)
                if not found:
                    yield name, "its data holds no solutions"
    finally:
        judge.close()


def _absent(address: str) -> bytes:
    """Nothing is fetched for a task that nobody named."""
    raise DataError(f"its file is not here; name the task to fetch {address}")


def _write(checked: "Checked") -> None:
    found = {
        "name": checked.name,
        "kind": checked.kind,
        "right": checked.right,
        "of": checked.of,
        "troubles": {each.what: each.why for each in checked.troubles},
    }
    sys.stdout.write(json.dumps(found, ensure_ascii=False) + "\n")
