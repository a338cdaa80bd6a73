"""`quipu data exercises`: exercises that were checked by running them."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from quipu.exercises.build import Build, Plan

_DESCRIPTION = """\
Make exercises without a teacher: programs composed from a grammar of primitives, with descriptions
that say what they do, and documented functions of prepared packages; each is kept only if it
gives the same values whenever it runs. Documents go to FOLDER/exercises-NNNNN.jsonl, counts to
FOLDER/manifest.json. Stopped and started again, it goes on where it was."""

_EPILOG = """\
examples:
  quipu data exercises --to exercises --count 1000 --show 5
  quipu data exercises --to exercises --tokens 30000000 --processes 2 --benchmarks FOLDER
  quipu data exercises --to dev --split dev --count 500"""

LINES = 20  # of progress where there is no terminal


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "exercises",
        help="make exercises that were checked by running them",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--to", type=Path, required=True, metavar="FOLDER")
    size = parser.add_mutually_exclusive_group(required=True)
    size.add_argument("--count", type=int, metavar="N", help="so many exercises")
    size.add_argument("--tokens", type=int, metavar="N", help="about so many tokens")
    parser.add_argument("--seed", type=int, default=0, metavar="S")
    parser.add_argument("--processes", type=int, default=1, metavar="N")
    parser.add_argument("--split", choices=("train", "dev"), default="train")
    parser.add_argument(
        "--packages", type=Path, metavar="PREPARED", help="a folder of prepared packages"
    )
    parser.add_argument(
        "--environment", type=Path, metavar="FOLDER", help="where those packages can be imported"
    )
    parser.add_argument(
        "--benchmarks", type=Path, metavar="FOLDER", help="drop what is near a problem of these"
    )
    parser.add_argument("--show", type=int, default=0, metavar="N", help="print so many of them")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    from quipu.exercises.build import build

    plan = _plan(args)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
    ) as bar:
        task = bar.add_task("", total=1.0)
        told = 0

        def show(state: "Build") -> None:
            nonlocal told
            bar.update(task, completed=state.done, description=f"{state.kept} exercises")
            if bar.disable and state.done * LINES >= told + 1:  # a log gets lines, not a bar
                told = int(state.done * LINES)
                print(f"{state.kept} exercises, {state.done:.0%}", file=sys.stderr, flush=True)

        facts = build(plan, args.processes, show)
    for key in ("exercises", "bytes", "tokens_about", "distinct_compositions", "distinct_trees"):
        print(f"{facts[key]:>12}  {key.replace('_', ' ')}", file=sys.stderr)
    for document in _some(plan, facts, args.show):
        print(f"{'-' * 20} {document['id']} {document['path']}\n{document['text']}")
    return 0


def _plan(args: argparse.Namespace) -> "Plan":
    from quipu.exercises.build import Plan

    step = problems = None
    if args.benchmarks is not None:
        from quipu.data.decontamination.step import decontaminate
        from quipu.exercises.likeness import collect

        args.to.mkdir(parents=True, exist_ok=True)
        index = args.to / "benchmarks.index"
        step = decontaminate(benchmarks=args.benchmarks, index=index, signatures=True)
        problems = collect(args.benchmarks, args.to / "problems.json")
    return Plan(
        folder=args.to,
        seed=args.seed,
        split=args.split,
        count=args.count,
        tokens=args.tokens,
        decontaminate=step,
        problems=problems,
        prepared=args.packages,
        environment=args.environment,
    )


def _some(plan: "Plan", facts: dict[str, object], count: int) -> list[dict[str, str]]:
    """Documents drawn by the seed."""
    from quipu.data.keyed import generator

    shards = facts["shards"]
    assert isinstance(shards, list)
    if not count or not shards:
        return []
    lines = (plan.folder / shards[0]).read_text(encoding="utf-8").splitlines()
    chosen = generator("show", plan.seed).permutation(len(lines))[:count]
    return [json.loads(lines[number]) for number in chosen]
