"""quipu data fetch: packages as archives in a folder, with a lock."""

import argparse
import dataclasses
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from quipu.data.sources.fetching import fetch
from quipu.data.sources.packages import Archive, Failure, Package, parsed
from quipu.errors import UsageError

EPILOG = """\
examples:
  quipu data fetch --package pypi:rich==13.9.4 --package npm:rxjs==7.8.2 --to archives
  quipu data fetch --package debian:fmtlib --to archives
  quipu data fetch --package pypi:rich==13.9.4 --index PATH/TO/simple --to archives
  quipu data fetch MODULE:FUNCTION --to corpora/mine/archives
  quipu data fetch --package folder:src --package git:. --to archives

Without a version the newest one is fetched; the lock in the folder (lock.jsonl) has its number, its
hash and where it came from. What the lock has is not fetched again, and is checked against its
hash. An index is a folder of wheels and sdists, or one with a page for each project; indexes are
looked into first, in the order given, and a recipe's after them. Everything else goes through pip,
npm, apt and git, which must be installed and set up; one request at a time. The exit code is 1 when
anything could not be fetched; the rest is there nevertheless."""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb to the parser of `quipu data`."""
    parser = subparsers.add_parser(
        "fetch",
        help="download packages",
        description="Fetch the packages of a corpus, each once.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "recipe",
        nargs="?",
        metavar="MODULE:FUNCTION",
        help="a function that returns a CorpusRecipe: all its packages, out of its indexes first",
    )
    parser.add_argument(
        "--package",
        action="append",
        default=[],
        metavar="ECOSYSTEM:NAME==VERSION",
        help="pypi, npm, debian, or folder:PATH, git:PATH, jsonl:PATH; may be given again",
    )
    parser.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="of archives")
    parser.add_argument(
        "--index",
        action="append",
        default=[],
        metavar="PATH",
        help="a folder of wheels and sdists to look into first; may be given again",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object per package")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Fetch, show progress on stderr, and write what became of each package to stdout."""
    packages = [parsed(text) for text in args.package]
    indexes: list[str | Path] = list(args.index)
    if args.recipe is not None:
        from quipu.cli.recipes import find_recipe
        from quipu.data.corpus.recipe import CorpusRecipe

        recipe, _ = find_recipe(args.recipe, CorpusRecipe)
        packages = [*recipe.packages, *packages]
        indexes += recipe.indexes
    if not packages:
        raise UsageError("nothing to fetch", remedy="name a recipe or a --package")
    return fetched(packages, args.to, indexes, json_lines=args.json)


def fetched(
    packages: Sequence[Package], folder: Path, indexes: Sequence[str | Path], *, json_lines: bool
) -> int:
    """Fetch packages in view of the user; the exit code."""
    console = Console(stderr=True)
    counts: Counter[str] = Counter()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as progress:
        task = progress.add_task("fetching", total=len(packages))
        results = fetch(packages, folder, indexes)
        for package in packages:
            progress.update(task, description=escape(str(package)))
            result = next(results)
            progress.advance(task)
            counts[type(result).__name__] += 1
            if json_lines:
                print(_as_json(result), flush=True)
            elif isinstance(result, Failure):
                progress.console.print(
                    f"{package}: {result.reason}", style="red", markup=False, soft_wrap=True
                )
            else:
                print(f"{result.package}  {result.bytes:,} bytes  {result.origin}", flush=True)
    if sys.stderr.isatty():
        console.print(f"{counts['Archive']} fetched, {counts['Failure']} not", style="dim")
    return 1 if counts["Failure"] else 0


def _as_json(result: Archive | Failure) -> str:
    package = result.package
    found: dict[str, object] = {"package": package.full_name, "version": package.version}
    rest = {k: v for k, v in dataclasses.asdict(result).items() if k != "package"}
    return json.dumps({**found, **rest}, ensure_ascii=False)
