"""How long training waits for its checkpoints, of a run that saves as often as by default.

    python benchmarks/checkpoint_stall.py CORPUS --seconds 300

CORPUS is the folder of a corpus or its token shards. Figures are those of the run's own metrics:
what a step takes with everything, and what of it the loop was held by saving. Another thread writes
meanwhile; what that takes from the steps beside it is in their time. Results:
benchmarks/results/<date>-checkpoint-stall-<machine>.md.
"""

import argparse
import datetime
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

from quipu.config import SIZES
from quipu.data.loading.mixture import LoaderRecipe, Source
from quipu.train.loop import Machine, train
from quipu.train.recipe import TrainRecipe

ROOT = Path(__file__).resolve().parents[1]


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--size", default="quipu-6m", choices=tuple(SIZES))
    parser.add_argument("--source", default="python", help="group of the corpus")
    parser.add_argument("--batch-tokens", type=int, default=4_096, metavar="N")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--seconds", type=float, default=300, metavar="S", help="of training")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks/results", metavar="PATH")
    parser.add_argument("--name", default=platform.node(), help="of the machine, in file names")
    return parser.parse_args()


def main() -> None:
    """Measure, print and keep."""
    args = arguments()
    recipe = TrainRecipe(
        name="stall",
        model=SIZES[args.size],
        data=LoaderRecipe(sources=(Source(group=args.source),), row_tokens=512),
        tokens=args.batch_tokens * 1000,
        batch_tokens=args.batch_tokens,
        dtype=args.dtype,
        milestones=1,
    )
    machine = Machine(tensorboard=False)
    took: list[float] = []
    held: list[float] = []
    with tempfile.TemporaryDirectory() as run:
        began = time.monotonic()
        for progress in train(recipe, Path(run) / "run", args.corpus, machine):
            took.append(progress.step_s)
            held.append(progress.checkpoint_s)  # after the step before
            if time.monotonic() - began > args.seconds:
                break
    # The first step compiles.
    took, held = took[1:], held[1:]
    saves = [seconds for seconds in held if seconds > 10 * statistics.median(held)]
    text = (
        f"# Checkpoint stall, {args.size}\n\n"
        f"{args.name}, {args.dtype}, {args.batch_tokens} tokens a step, saved every "
        f"{machine.save_every_s:.0f} s; load at the end {os.getloadavg()[0]:.1f}. "
        f"`python {' '.join(sys.argv)}`\n\n"
        f"{len(took)} steps of {statistics.median(took):.2f} s (median), {len(saves)} "
        f"checkpoints that held the loop for {max(held):.3f} s at most, "
        f"{sum(held):.2f} of {sum(took) + sum(held):.0f} s in all: "
        f"{sum(held) / (sum(took) + sum(held)):.2%}.\n"
    )
    print(text)
    args.results.mkdir(parents=True, exist_ok=True)
    name = f"{datetime.date.today()}-checkpoint-stall-{args.name}.md"
    (args.results / name).write_text(text)


if __name__ == "__main__":
    main()
