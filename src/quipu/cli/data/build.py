"""`quipu data build`: from a recipe to token shards."""

import argparse
import json
import os
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

from quipu.errors import QuipuError, UsageError

if TYPE_CHECKING:
    from quipu.data.corpus.executors.local import LocalExecutor
    from quipu.data.corpus.executors.ray import RayExecutor

UNTIL = ("fetch", "prepare", "deduplicate", "select", "tokens", "report")

_DESCRIPTION = """\
Build a corpus: fetch packages, read and clean them, remove duplicates, choose what
stays, train a vocabulary, write token shards. Stop it at any time, or kill it: the same
command goes on where it was, and ends with the same bytes. A changed recipe redoes what
depends on the change."""

_EPILOG = """\
A recipe is a Python function that returns a CorpusRecipe; name=value settings change its fields,
dots reach inside. What the folder holds:
  report.html        the corpus in pictures; card.md is its card
  manifest.json      names, versions, hashes, counts, reasons; packages that are missing, and why
  documents.parquet  every file that was read, and what became of it (quipu data why)
  tokens/            the shards, their manifest and tokenizer.model
  packages/ texts/ dedup/ archives/ benchmarks.index    what later builds go on from

examples:
  quipu data build quipu_recipes.corpus.tiny:tiny --to corpora/tiny
  quipu data build MODULE:FUNCTION held_out=0.02 --to corpora/mine --processes 8
  quipu data build MODULE:FUNCTION --to /shared/mine --executor ray --ray-address HOST:6379"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb to the parser of `quipu data`."""
    parser = subparsers.add_parser(
        "build",
        help="build a corpus",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("recipe", metavar="MODULE:FUNCTION")
    parser.add_argument("settings", nargs="*", metavar="name=value")
    parser.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="of the corpus")
    parser.add_argument(
        "--processes", type=int, metavar="N", help="worker processes (default: one per processor)"
    )
    parser.add_argument(
        "--executor",
        choices=("local", "ray"),
        default="local",
        help="processes of this machine (default), or Ray; the result is the same",
    )
    parser.add_argument(
        "--ray-address",
        metavar="ADDRESS",
        help="of a cluster whose machines see the folder under the same path "
        "(default: Ray is started here)",
    )
    parser.add_argument(
        "--until", choices=UNTIL, default=UNTIL[-1], metavar="|".join(UNTIL), help="last stage"
    )
    parser.add_argument("--dry-run", action="store_true", help="print the recipe only")
    parser.add_argument("--json", action="store_true", help="print the manifest as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Build with progress on stderr; a table of what came out on stdout."""
    try:
        from quipu.cli.data.building import Screen, summary
        from quipu.cli.recipes import find_recipe, override
        from quipu.data.corpus.build import build
        from quipu.data.corpus.recipe import CorpusRecipe
    except ModuleNotFoundError as error:
        raise QuipuError(
            f"building a corpus needs {error.name}", remedy="pip install 'quipu-code[data]'"
        ) from error
    recipe = override(*find_recipe(args.recipe, CorpusRecipe, args.settings))
    if args.dry_run:
        print(json.dumps(recipe.as_json(), indent=1, ensure_ascii=False))
        return 0
    with _executor(args) as executor, Screen(Console(stderr=True)) as screen:
        manifest = build(recipe, args.to, executor, until=args.until, told=screen.show)
    if args.json:
        print(json.dumps(manifest, ensure_ascii=False))
    else:
        summary(Console(file=sys.stdout), manifest)
        _tell_missing(Console(stderr=True), manifest)
    return 0


def _executor(
    args: argparse.Namespace,
) -> "AbstractContextManager[LocalExecutor] | AbstractContextManager[RayExecutor]":
    if args.processes is not None and args.processes < 1:
        raise UsageError("--processes", got=args.processes, allowed="1 or more")
    if args.executor == "ray":
        from quipu.data.corpus.executors.ray import RayExecutor

        return RayExecutor(args.ray_address, args.processes)
    if args.ray_address:
        raise UsageError("--ray-address without --executor ray", got=args.ray_address)
    from quipu.data.corpus.executors.local import LocalExecutor

    return LocalExecutor(args.processes or len(os.sched_getaffinity(0)))


def _tell_missing(console: Console, manifest: dict[str, Any]) -> None:
    for one in manifest["missing"]:
        line = f"[red]missing: {escape(one['package'])}: {escape(one['reason'])}"
        console.print(line, highlight=False)
