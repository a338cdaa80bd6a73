"""quipu train: run a recipe, or a chain of them."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from quipu.cli.recipes import find_recipe, override
from quipu.cli.train.dry_run import add_options, dry_run, present
from quipu.cli.train.tuning import prepared
from quipu.errors import QuipuError, UsageError

if TYPE_CHECKING:
    from quipu.train import metrics
    from quipu.train.loop import Machine
    from quipu.train.recipe import Chain, TrainRecipe

LOG_EVERY_S = 15.0  # between lines where there is no terminal

EPILOG = """\
A recipe is a Python function that returns a TrainRecipe; or a Chain of them, each stage beginning
with the weights of the one before; or a Tuning, which first reads a corpus of its own, into
RUN/corpus. name=value settings are arguments of the function or fields of what it returns; dots
reach inside; in a chain, STAGE.name=value means one stage, name=value all.

Stages of dialogues read FOLDER/dialogues/*.jsonl of the corpus: a line is {"messages": [{"role":
"user", "content": ...}, {"role": "assistant", "content": ...}]}, of which answers are trained.

The run folder holds recipe.json, tokenizer.model, checkpoints/ and metrics.jsonl; a chain's has one
folder per stage. Ctrl-C (or SIGTERM) saves after the step and stops; the same command goes on.

examples:
  quipu train quipu_recipes.finetune:folder source=~/code/mine start=MODEL --run runs/mine
  quipu train quipu_recipes.tiny:chain --corpus corpora/tiny --run runs/tiny
  quipu train quipu_recipes.tiny:chain --corpus corpora/tiny code.tokens=2e6 --run runs/longer
  quipu train quipu_recipes.tiny:instruct --corpus corpora/tiny start=runs/tiny/python
  quipu train quipu_recipes.code_llama:code size=13b --dry-run --on H100 --devices 64
  torchrun --nproc-per-node 8 -m quipu train MODULE:FUNCTION --corpus FOLDER --device cuda
  torchrun --nproc-per-node 8 -m quipu train MODULE:FUNCTION --corpus FOLDER --mesh data=2,tensor=4
  quipu export runs/tiny models/tiny && quipu complete 'import os' --model models/tiny
"""


def register(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb to the parser of `quipu train`."""
    parser = verbs.add_parser(
        "run",
        help="run a recipe, or go on with it (the word may be left out)",
        description="Run a training recipe, or go on with it where it stopped.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("recipe", metavar="MODULE:FUNCTION")
    parser.add_argument("settings", nargs="*", metavar="name=value")
    parser.add_argument("--run", dest="folder", type=Path, help="run folder (default: runs/NAME)")
    parser.add_argument(
        "--corpus", type=Path, metavar="FOLDER", help="of quipu data build, or its token shards"
    )
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    parser.add_argument(
        "--mesh",
        default="",
        metavar="data=N,context=N,tensor=N",
        help="how processes share rows, tokens of a row, matrices (default: all by rows)",
    )
    parser.add_argument(
        "--micro-tokens",
        type=int,
        default=8_192,
        metavar="N",
        help="per forward and backward; bounds memory (default 8192)",
    )
    parser.add_argument(
        "--recompute",
        action="store_true",
        help="activations again in the backward pass: less memory, a third more arithmetic",
    )
    parser.add_argument(
        "--save-every",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="between checkpoints (default 60)",
    )
    parser.add_argument(
        "--no-compile",
        action="store_true",
        help="without torch.compile: starts sooner, runs slower",
    )
    add_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Train, with progress on stderr; print the run folder."""
    try:
        from quipu.train import budget
        from quipu.train.loop import Machine
        from quipu.train.ranks import MeshShape, launched_world
        from quipu.train.recipe import Chain
        from quipu.train.stored import note_chain
    except ModuleNotFoundError as error:
        raise QuipuError(
            f"training needs {error.name}", remedy="pip install 'quipu-code[train]'"
        ) from error
    recipe, folder, corpus = _asked(args)
    stages = recipe.stages if isinstance(recipe, Chain) else (recipe,)
    devices = args.devices if args.dry_run and args.devices else launched_world()
    machine = Machine(
        device=args.device,
        mesh=MeshShape.parse(args.mesh, devices),
        micro_tokens=args.micro_tokens,
        compiled=not args.no_compile,
        recompute=args.recompute,
        save_every_s=args.save_every,
    )
    if args.dry_run:
        return dry_run(recipe.name, stages, machine, args)
    if corpus is None:
        raise UsageError(
            "what to train on", got="no --corpus", allowed="a folder of quipu data build"
        )
    device = present(args.device)
    for stage in stages:
        budget.check_mesh(stage, machine.mesh)
        budget.refuse(stage, machine, device)
    if isinstance(recipe, Chain) and leads():
        note_chain(folder, [stage.name for stage in recipe.stages])
    for stage, place in places(recipe, folder):
        watch(stage, place, corpus, machine)
    if leads():
        print(folder)
    return 0


def _asked(args: argparse.Namespace) -> "tuple[TrainRecipe | Chain, Path, Path | None]":
    """The recipe, the run folder, and where its corpus is; one of its own is read first."""
    from quipu.train.ranks import launched_world
    from quipu.train.recipe import Chain, TrainRecipe
    from quipu.train.tuning import Tuning

    kinds: tuple[type[TrainRecipe | Chain | Tuning], ...] = (TrainRecipe, Chain, Tuning)
    found, settings = find_recipe(args.recipe, kinds, args.settings)
    found = override(found, settings)
    folder = args.folder or Path("runs") / found.name
    if not isinstance(found, Tuning):
        return found, folder, args.corpus
    corpus = args.corpus or folder / "corpus"
    given = args.corpus is not None
    return prepared(found, corpus, given=given, world=launched_world()), folder, corpus


def places(recipe: "TrainRecipe | Chain", folder: Path) -> "Iterator[tuple[TrainRecipe, Path]]":
    """Each stage and its folder; a chain's stages begin with the weights of the one before."""
    from quipu.train.recipe import Chain

    if not isinstance(recipe, Chain):
        yield recipe, folder
        return
    for number, stage in enumerate(recipe.stages):
        previous = folder / recipe.stages[number - 1].name if number else Path()
        yield recipe.from_folder(number, str(previous)), folder / stage.name


def leads() -> bool:
    """Whether this process speaks for all that torchrun has started."""
    import os

    return os.environ.get("RANK", "0") == "0"


def watch(recipe: "TrainRecipe", folder: Path, corpus: Path, machine: "Machine") -> None:
    """Train one stage, showing how it goes."""
    from quipu.train.loop import of_machine, train

    steps = train(recipe, folder, corpus, of_machine(machine, recipe))
    if not leads():
        for _ in steps:
            pass
        return
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.completed}/{task.total} steps"),
        BarColumn(bar_width=16),
        TextColumn("{task.description}"),
        TimeRemainingColumn(),
    )
    console.print(size_line(recipe), style="dim", highlight=False)
    quiet = not console.is_terminal  # a log gets lines where a terminal gets a bar
    with Progress(*columns, console=console, transient=True, disable=quiet) as bar:
        task = bar.add_task("starting", total=recipe.steps)
        said_s = 0.0
        for done in steps:
            bar.update(task, completed=done.step, description=line_of(done))
            said_s += done.step_s + done.checkpoint_s
            if done.step == recipe.steps or (quiet and said_s >= LOG_EVERY_S):
                left = f"{(recipe.steps - done.step) * done.step_s / 60:,.0f} min left"
                said_s = 0.0
                where = f"step {done.step} of {recipe.steps}"
                console.print(f"{where} · {line_of(done)} · {left}", highlight=False)


def line_of(done: "metrics.Progress") -> str:
    """A step in a line: loss, speed, share of the device's peak."""
    parts = [f"loss {done.loss:.3f}", f"{done.tokens_per_s:,.0f} tokens/s"]
    if done.mfu is not None:
        parts.append(f"MFU {done.mfu:.0%}")
    if done.skipped:
        parts.append("outlier, skipped")
    return " · ".join(parts)


def size_line(recipe: "TrainRecipe") -> str:
    """What the run amounts to, in a line."""
    from quipu.counts import parameters
    from quipu.train.speed import training_flops

    count = parameters(recipe.model)
    flops = training_flops(recipe.model, recipe.data.row_tokens) * recipe.tokens
    return (
        f"{recipe.name}: {count / 1e6:.1f}M parameters, {recipe.tokens / 1e6:.1f}M tokens, "
        f"{recipe.steps} steps, {flops:.1e} FLOPs"
    )
