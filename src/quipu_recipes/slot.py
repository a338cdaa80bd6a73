"""The family in one slot of a machine that is lent for minutes: from pieces to a model's file.

    python -m quipu_recipes.slot --pieces pieces/piece-* --work build/family --out OUT --minutes 9

Token shards are made of the pieces (`quipu data pack`), a trial tells the speed, the chain gets as
many tokens as the minutes allow, and what comes out is int8 in parts small enough to be fetched,
with metrics and evaluations beside it. Whatever happens it can be started again: finished work is
not done twice, training goes on from its last checkpoint, and when time is up it stops by itself.
`cat OUT/model.quipu.part-* > model.quipu` puts the model together.
"""

import argparse
import json
import os
import signal
import statistics
import tarfile
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from quipu.checkpoint.conversion import convert
from quipu.data.corpus.executors.local import LocalExecutor
from quipu.data.corpus.packs import unpack
from quipu.train.evaluations import EVALUATIONS, Asked, evaluations
from quipu.train.export import export
from quipu.train.loop import Machine, StoppedError, of_machine, stop_signals, train
from quipu.train.metrics import METRICS
from quipu.train.recipe import Chain, TrainRecipe
from quipu.train.stored import note_chain
from quipu_recipes import family

TRIAL_STEPS, WARM_STEPS = 24, 12  # steps of the trial, and those before its speed counts
# Of the time that is left: longer rows are slower, stages compile anew, evaluation takes its part.
SHARE = 0.8
PART_BYTES = 16 * 2**20
SAY_EVERY_S = 10.0


def main(words: Sequence[str] | None = None) -> int:
    """Do what is left to do; 0 when the model is there, 3 when time was up before."""
    args = parser().parse_args(words)
    ends = time.monotonic() + 60 * args.minutes
    say(f"{args.minutes:g} minutes")
    with LocalExecutor(len(os.sched_getaffinity(0))) as executor:
        corpus = args.work / "corpus"
        unpack(args.pieces, corpus, executor)
    say("token shards are there")
    machine = Machine(
        device=args.device,
        micro_tokens=args.micro_tokens,
        compiled=not args.no_compile,
        tensorboard=False,
    )
    plan = planned(args, corpus, machine, ends)
    chain = family.chain(args.size, plan)
    run = args.work / "run"
    note_chain(run, [stage.name for stage in chain.stages])
    left = max(0.0, ends - time.monotonic())
    alarm = threading.Timer(left, os.kill, (os.getpid(), signal.SIGTERM))
    alarm.daemon = True
    try:
        # While a stage trains the signal is its own; between stages it is this one's.
        with stop_signals() as stop:
            alarm.start()
            trained(chain, run, corpus, machine, stop)
    except StoppedError as error:
        say(f"time is up: {error}")
        return 3
    finally:
        alarm.cancel()
    delivered(args, run / chain.stages[-1].name, run, corpus)
    return 0


def parser() -> argparse.ArgumentParser:
    """Options of the script."""
    made = argparse.ArgumentParser(
        prog="python -m quipu_recipes.slot",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--pieces", type=Path, nargs="+", required=True, metavar="PIECE")
    made.add_argument(
        "--work", type=Path, required=True, metavar="FOLDER", help="kept between calls"
    )
    made.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="what is fetched")
    made.add_argument("--minutes", type=float, default=9.0, metavar="N", help="of this call")
    made.add_argument("--size", default="60m", help=f"of the family: {', '.join(family.FAMILY)}")
    made.add_argument("--tokens", type=int, default=0, metavar="N", help="default: as time allows")
    made.add_argument("--device", default="cuda", help="cuda (default) or cpu")
    made.add_argument("--micro-tokens", type=int, default=65_536, metavar="N", help="at once")
    made.add_argument("--no-compile", action="store_true", help="without torch.compile")
    made.add_argument("--rows", type=int, default=64, help="of each held-out group, to evaluate")
    made.add_argument("--lines", type=int, default=200, help="of each held-out group, to infill")
    return made


def planned(args: argparse.Namespace, corpus: Path, machine: Machine, ends: float) -> int:
    """Tokens of the chain: as asked, as planned by an earlier call, or as many as there is time."""
    path = args.work / "plan.json"
    if path.exists():
        known: int = json.loads(path.read_text())["tokens"]
        return known
    tokens: int = args.tokens
    if not tokens:
        code = family.code(args.size)
        trial = replace(code, name="trial", milestones=1)
        speeds = [
            step.tokens_per_s
            for step in train(
                trial, args.work / "trial", corpus, of_machine(machine, trial), until=TRIAL_STEPS
            )
        ]
        speed = statistics.median(speeds[WARM_STEPS:])
        tokens = max(1, int(speed * SHARE * (ends - time.monotonic())))
        say(f"{speed:,.0f} tokens a second: {tokens:,} tokens")
    path.write_text(json.dumps({"tokens": tokens, "size": args.size}) + "\n")
    return tokens


def trained(chain: Chain, run: Path, corpus: Path, machine: Machine, stop: threading.Event) -> None:
    """Train every stage, or go on with it. Raises StoppedError when asked to stop."""
    for number, stage in enumerate(chain.stages):
        previous = run / chain.stages[number - 1].name if number else Path()
        if stop.is_set():
            raise StoppedError(f"stopped before {stage.name}")
        _stage(chain.from_folder(number, str(previous)), run / stage.name, corpus, machine)


def _stage(recipe: TrainRecipe, folder: Path, corpus: Path, machine: Machine) -> None:
    said = 0.0
    for step in train(recipe, folder, corpus, of_machine(machine, recipe)):
        if time.monotonic() - said > SAY_EVERY_S or step.step == recipe.steps:
            said = time.monotonic()
            mfu = f", MFU {step.mfu:.0%}" if step.mfu else ""
            speed = f"{step.tokens_per_s:,.0f} tokens/s{mfu}"
            say(f"{recipe.name} {step.step} of {recipe.steps}: loss {step.loss:.3f}, {speed}")


def delivered(args: argparse.Namespace, last: Path, run: Path, corpus: Path) -> None:
    """Export the last stage as int8 in parts, evaluate all stages, and pack what was logged."""
    args.out.mkdir(parents=True, exist_ok=True)
    model, whole = args.work / "model", args.work / "model.quipu"
    export(last, model, overwrite=True)
    convert(model, whole, to="native", dtype="q8_0", overwrite=True)
    with whole.open("rb") as file:
        for number, data in enumerate(iter(lambda: file.read(PART_BYTES), b"")):
            (args.out / f"model.quipu.part-{number:02}").write_bytes(data)
    say(f"model: {whole.stat().st_size / 1e6:.1f} MB")
    asked = Asked(
        corpus=corpus, rows=args.rows, lines=args.lines, device=args.device, which="newest"
    )
    for evaluated in evaluations(run, asked):
        found = evaluated.line["sources"]
        bits = ", ".join(f"{name} {one['bits_per_byte']:.3f}" for name, one in found.items())
        say(f"{evaluated.run.name}: bits per byte: {bits}")
    with tarfile.open(args.out / "logs.tar.xz", "w:xz") as archive:
        for path in sorted(run.glob("*/*.json*")):
            if path.name in (METRICS, EVALUATIONS, "recipe.json"):
                archive.add(path, path.relative_to(run))
        archive.add(args.work / "plan.json", "plan.json")
    say("done")


def say(text: str) -> None:
    """A line of the log, at once."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
