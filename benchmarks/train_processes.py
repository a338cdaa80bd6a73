"""Training shared out over processes of one thread beside one such process: speed of each core.

    python benchmarks/train_processes.py --processes 2 --steps 7

Each takes whole steps of as many tokens for each process, in turns, on a processor. Of the clock,
and of processor time, which other work on the machine disturbs less but in which waiting for
each other is left out. Results: benchmarks/results/<date>-train-processes-<machine>.md.
"""

import argparse
import datetime
import os
import platform
import statistics
import sys
from dataclasses import replace
from pathlib import Path

from train import ROOT, Contender, Work, say

from quipu.config import SIZES


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="quipu-6m", choices=tuple(SIZES))
    parser.add_argument("--row-tokens", type=int, default=512, metavar="N")
    parser.add_argument("--process-tokens", type=int, default=8_192, metavar="N", help="a step")
    parser.add_argument("--processes", type=int, default=2, metavar="N")
    parser.add_argument("--steps", type=int, default=7, metavar="N", help="counted, after two more")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks/results", metavar="PATH")
    parser.add_argument("--name", default=platform.node(), help="of the machine, in file names")
    return parser.parse_args()


def report(args: argparse.Namespace, one: Contender, many: Contender) -> str:
    """Results as Markdown."""
    lines = [
        f"# One process and {args.processes}, {args.size}",
        "",
        f"{args.name}, a thread each, fp32, rows of {args.row_tokens}, {args.process_tokens} "
        f"tokens a step and process, {args.steps} steps in turns; load at the end "
        f"{os.getloadavg()[0]:.1f}. `python {' '.join(sys.argv)}`",
        "",
        "| processes | tokens/s per core, median (min to max) | processor s a step and process |",
        "|---|---|---|",
    ]
    for count, ran in ((1, one), (args.processes, many)):
        rates = sorted(args.process_tokens / s for s in ran.seconds)
        lines.append(
            f"| {count} | {statistics.median(rates):,.0f} ({rates[0]:,.0f} to {rates[-1]:,.0f}) "
            f"| {statistics.median(ran.processor_seconds):.2f} |"
        )
    clock = statistics.median(a / b for a, b in zip(one.seconds, many.seconds, strict=True))
    used = statistics.median(one.processor_seconds) / statistics.median(many.processor_seconds)
    lines += [
        "",
        f"Per core: {clock:.2f} by the clock (median of neighbouring steps), {used:.2f} by "
        "processor time.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print and keep."""
    args = arguments()
    shape = SIZES[args.size]
    single = Work(
        **{name: getattr(shape, name) for name in
           ("dim", "layers", "heads", "kv_heads", "ffn", "vocab")},
        row_tokens=args.row_tokens, batch_tokens=args.process_tokens, dtype="float32",
        device="cpu", threads=1, compiled=True, nanochat="",
    )  # fmt: skip
    several = replace(
        single, batch_tokens=args.process_tokens * args.processes, processes=args.processes
    )
    ran = [
        Contender(f"{work.processes}", sys.executable, "run_quipu.py", work)
        for work in (single, several)
    ]
    try:
        for number in range(args.steps + 2):
            for one in ran if number % 2 else ran[::-1]:
                one.step(counts=number >= 2)
                last = f"{one.seconds[-1]:.2f} s" if one.seconds else "warming up"
                say(f"step {number + 1}: {one.name}: {one.trouble or last}")
    finally:
        for one in ran:
            one.end()
    text = report(args, *ran)
    print(text)
    args.results.mkdir(parents=True, exist_ok=True)
    name = f"{datetime.date.today()}-train-processes-{args.name}.md"
    (args.results / name).write_text(text)


if __name__ == "__main__":
    main()
