"""quipu train: run a recipe."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from quipu.cli.recipes import find_recipe, override
from quipu.errors import QuipuError

if TYPE_CHECKING:
    from quipu.train.recipe import TrainRecipe

LOG_EVERY = 10  # steps

EPILOG = """\
A recipe is a Python function that returns a TrainRecipe; name=value settings change its fields,
dots reach inside. The run folder holds recipe.json, tokenizer.model, state.pt and metrics.jsonl.
Ctrl-C stops at once; the same command goes on from the last saved state (once a minute).

examples:
  quipu train quipu_recipes.embedded:installed_python --run runs/quipu-6m
  quipu train quipu_recipes.embedded:installed_python tokens=2e6 matrix_lr=3e-3 --run runs/short
  quipu export runs/quipu-6m models/quipu-6m && quipu complete 'import os' --model models/quipu-6m
"""


def register(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = verbs.add_parser(
        "train",
        help="run a training recipe",
        description="Run a training recipe, or go on with it where it stopped.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("recipe", metavar="MODULE:FUNCTION")
    parser.add_argument("settings", nargs="*", metavar="name=value")
    parser.add_argument("--run", dest="folder", type=Path, help="run folder (default: runs/NAME)")
    parser.add_argument("--dry-run", action="store_true", help="print the recipe and its size only")
    parser.add_argument(
        "--no-compile",
        action="store_true",
        help="without torch.compile: starts sooner, runs slower",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Train, with progress on stderr; print the run folder."""
    try:
        from quipu.train.loop import train
        from quipu.train.recipe import TrainRecipe
    except ModuleNotFoundError as error:
        raise QuipuError(
            f"training needs {error.name}", remedy="pip install 'quipu-code[train]'"
        ) from error
    recipe = override(find_recipe(args.recipe, TrainRecipe), args.settings)
    if args.dry_run:
        print(json.dumps(asdict(recipe), indent=1, default=str))
        print(size_line(recipe), file=sys.stderr)
        return 0
    folder = args.folder or Path("runs") / recipe.name
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.completed}/{task.total} steps"),
        BarColumn(bar_width=20),
        TextColumn("{task.description}"),
        TimeRemainingColumn(),
    )
    console.print(size_line(recipe), style="dim", highlight=False)
    quiet = not console.is_terminal  # a log gets a line where a terminal gets a bar
    with Progress(*columns, console=console, transient=True, disable=quiet) as bar:
        task = bar.add_task("reading the corpus", total=recipe.steps)
        for done in train(recipe, folder, compiled=not args.no_compile):
            text = f"loss {done.loss:.3f} · {done.tokens_per_s:,.0f} tokens/s"
            bar.update(task, completed=done.step, description=text)
            if done.bits_per_byte is not None:
                text += f" · {done.bits_per_byte:.3f} bits per byte on held-out files"
            if done.bits_per_byte is not None or (quiet and done.step % LOG_EVERY == 0):
                console.print(f"step {done.step} of {done.steps} · {text}", highlight=False)
    print(folder)
    return 0


def size_line(recipe: "TrainRecipe") -> str:
    """What the run amounts to, in a line."""
    from quipu.counts import parameters

    count = parameters(recipe.model)
    return (
        f"{recipe.name}: {count / 1e6:.1f}M parameters, {recipe.tokens / 1e6:.1f}M tokens, "
        f"{recipe.steps} steps, {6 * count * recipe.tokens:.1e} FLOPs"
    )
