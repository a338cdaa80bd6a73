"""Training steps of Quipu beside those of other trainers: same model, same tokens, same cores.

    python benchmarks/train.py                            the shape of quipu-6m, this processor
    python benchmarks/train.py --size quipu-60m --device cuda --dtype bfloat16 --batch-tokens 131072

Run it with the Python that has Quipu and its extra `train`. Peers go into an environment of their
own (--venv), made on the first run; nanochat is no package: give a checkout with --nanochat. Each
contender is a process that waits to be told to take one step; they take turns, step by step, in an
order that turns too, so that what else the machine does hits all alike. A step is everything from
fetching rows to updated weights. Processor time, which includes waiting in a spin, tells more than
the clock where others use the machine, above all with --threads 1. Results:
benchmarks/results/<date>-train-<machine>.md.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import venv
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from quipu.config import SIZES
from quipu.train.speed import training_flops

ROOT = Path(__file__).resolve().parents[1]
ADAPTERS = ROOT / "benchmarks/train_speed"
PACKAGES = ("torch==2.13.0", "transformers", "accelerate", "litgpt", "numpy")
OURS = "quipu"


@dataclass(frozen=True, kw_only=True)
class Work:
    """What every contender does; handed to adapters as JSON."""

    dim: int
    layers: int
    heads: int
    kv_heads: int
    ffn: int
    vocab: int
    row_tokens: int
    batch_tokens: int
    dtype: str
    device: str
    threads: int
    compiled: bool
    nanochat: str
    processes: int = 1
    products: str = "plain"  # of ours
    matrices: str = "muon"  # of ours; peers have AdamW


class Contender:
    """A process that takes a step whenever it is told to."""

    def __init__(self, name: str, python: Path | str, adapter: str, work: Work) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [python, ADAPTERS / adapter, json.dumps(asdict(work))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": str(work.threads), "HF_HUB_OFFLINE": "1"},
        )
        self.trouble: str | None = None
        self.seconds: list[float] = []
        self.processor_seconds: list[float] = []
        self._used = 0.0

    def step(self, *, counts: bool) -> None:
        """Take a step; a contender that fails is out, with the last line it said."""
        if self.trouble is not None:
            return
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write("step\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass
        for line in self._process.stdout:
            if line.startswith("SECONDS "):
                took, used = map(float, line.split()[1:])
                if counts:
                    self.seconds.append(took)
                    self.processor_seconds.append(used - self._used)
                self._used = used
                return
        assert self._process.stderr is not None
        said = [line for line in self._process.stderr.read().splitlines() if line.strip()]
        self.trouble = said[-1] if said else "ended"

    def end(self) -> None:
        """Let the process go."""
        self._process.kill()
        self._process.wait()


def install(folder: Path) -> str | None:
    """Make the peers' environment; why it could not be, if so."""
    python = folder / "bin/python"
    if (folder / ".installed").exists():
        return None
    if not python.exists():
        venv.create(folder, with_pip=True)
    say(f"installing {', '.join(PACKAGES)}")
    done = subprocess.run(
        [python, "-m", "pip", "install", "-q", *PACKAGES], capture_output=True, text=True
    )
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        return (lines or ["pip failed"])[-1]
    (folder / ".installed").touch()
    return None


def say(text: str) -> None:
    """Progress, on stderr."""
    print(f"{datetime.datetime.now():%H:%M:%S} {text}", file=sys.stderr, flush=True)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="quipu-6m", choices=tuple(SIZES))
    parser.add_argument("--row-tokens", type=int, default=512, metavar="N")
    parser.add_argument("--batch-tokens", type=int, default=8_192, metavar="N")
    parser.add_argument("--steps", type=int, default=7, metavar="N", help="counted, after two more")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, metavar="N")
    parser.add_argument("--no-compile", action="store_true", help="none compiles")
    parser.add_argument("--nanochat", default="", metavar="FOLDER", help="a checkout of it")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="of the contenders")
    parser.add_argument("--venv", type=Path, default=ROOT / "build/train-peers", metavar="PATH")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks/results", metavar="PATH")
    parser.add_argument("--name", default=platform.node(), help="of the machine, in file names")
    return parser.parse_args()


def contenders(args: argparse.Namespace, work: Work) -> list[Contender]:
    """All that are asked for, starting."""
    peers = args.venv / "bin/python"
    known = {
        **{name: (sys.executable, "run_quipu.py", replace(work, **how)) for name, how in
           ours(work).items()},
        "transformers Trainer": (peers, "run_trainer.py", work),
        "litgpt": (peers, "run_litgpt.py", work),
    }  # fmt: skip
    if args.nanochat:
        known["nanochat"] = (peers, "run_nanochat.py", work)
    chosen = args.only or list(known)
    return [Contender(name, *known[name]) for name in chosen]


def ours(work: Work) -> dict[str, dict[str, str]]:
    """Quipu as its recipes train, with the peers' optimiser, and without products of its own."""
    if work.device != "cpu" or work.dtype != "float32":
        return {OURS: {}, f"{OURS}, AdamW": {"matrices": "adamw"}}
    return {
        OURS: {"products": "fixed"},
        f"{OURS}, AdamW": {"products": "fixed", "matrices": "adamw"},
        f"{OURS}, AdamW, fp32 products": {"matrices": "adamw"},
    }


def report(args: argparse.Namespace, work: Work, ran: list[Contender]) -> str:
    """Results as Markdown."""
    medians = {one.name: statistics.median(one.seconds) for one in ran if one.seconds}
    peers = {name: took for name, took in medians.items() if not name.startswith(OURS)}
    flops = training_flops(SIZES[args.size], work.row_tokens) * work.batch_tokens
    lines = [
        f"# Training steps, {args.size}, {work.device}",
        "",
        f"{args.name}, {work.threads} threads, {work.dtype}, rows of {work.row_tokens}, "
        f"{work.batch_tokens} tokens a step, {args.steps} steps each in turns; "
        f"{'compiled' if work.compiled else 'eager'}; load at the end "
        f"{os.getloadavg()[0]:.1f}. `python {' '.join(sys.argv)}`",
        "",
        "| trainer | tokens/s, median (min to max) | model GFLOP/s | processor s a step |",
        "|---|---|---|---|",
    ]
    for one in ran:
        if one.trouble is not None:
            lines.append(f"| {one.name} | left out: {one.trouble} | | |")
            continue
        rates = sorted(work.batch_tokens / s for s in one.seconds)
        middle = work.batch_tokens / medians[one.name]
        lines.append(
            f"| {one.name} | {middle:,.0f} ({rates[0]:,.0f} to {rates[-1]:,.0f}) "
            f"| {flops / medians[one.name] / 1e9:,.0f} "
            f"| {statistics.median(one.processor_seconds):.2f} |"
        )
    best = min(peers, key=lambda name: peers[name], default="")
    for name, took in medians.items():
        if best and name not in peers:
            lines += ["", f"{name}: {peers[best] / took:.2f} x the best peer ({best})."]
    if not args.nanochat:
        lines += ["", "nanochat was left out: it is no package (--nanochat FOLDER)."]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print and keep."""
    args = arguments()
    trouble = install(args.venv)
    if trouble:
        sys.exit(f"peers could not be installed: {trouble}")
    shape = SIZES[args.size]
    work = Work(
        **{name: getattr(shape, name) for name in
           ("dim", "layers", "heads", "kv_heads", "ffn", "vocab")},
        row_tokens=args.row_tokens,
        batch_tokens=args.batch_tokens,
        dtype=args.dtype,
        device=args.device,
        threads=args.threads,
        compiled=not args.no_compile,
        nanochat=args.nanochat,
    )  # fmt: skip
    ran = contenders(args, work)
    try:
        for number in range(args.steps + 2):
            turn = number % len(ran)
            for one in ran[turn:] + ran[:turn]:
                one.step(counts=number >= 2)
                last = f"{one.seconds[-1]:.2f} s" if one.seconds else "warming up"
                say(f"step {number + 1}: {one.name}: {one.trouble or last}")
    finally:
        for one in ran:
            one.end()
    text = report(args, work, ran)
    print(text)
    args.results.mkdir(parents=True, exist_ok=True)
    name = f"{datetime.date.today()}-train-{args.size}-{args.name}.md"
    (args.results / name).write_text(text)


if __name__ == "__main__":
    main()
