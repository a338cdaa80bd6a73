"""Quipu beside other CPU engines: the same random weights, the same prompts, the same machine.

    python benchmarks/cpu.py                        all of it: 25 minutes, once the files are made
    python benchmarks/cpu.py --prepare              only install the peers and make the files
    python benchmarks/cpu.py --models nano --rounds 1 --peers quipu llama.cpp --only one

Run it with the Python that has Quipu. Peers go into an environment of their own (--venv), models
into --work (40 GB with 7B), both made on the first run: an hour, most of it for 7B. Every engine
runs in its own process, engines take turns. Ctrl-C at any time: the same command goes on from
there. Results: benchmarks/results/<date>-<machine>.md, .json and .png.
"""

import argparse
import dataclasses
import datetime
import json
import platform
import shlex
import subprocess
import sys
from functools import partial
from pathlib import Path

from speed import machine, report, summary
from speed.cells import (
    COLD_ROUNDS,
    LOADS,
    Cell,
    Journal,
    Result,
    cells,
    cold,
    cold_commands,
    command_of,
    read_through,
    run_watched,
    variant_of,
)
from speed.environment import Environments, install, python_of, versions
from speed.models import SHAPES
from speed.variants import OURS, VARIANTS, Variant, Workshop

from quipu.llm import TRAINED, embedded_models

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("one", "eight", "cold")
DISTURBED_CORES = 0.1  # in use by other programs: more than a quiet machine has


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=machine.usable_cores(), metavar="N")
    parser.add_argument("--models", nargs="+", choices=tuple(SHAPES), default=list(SHAPES))
    parser.add_argument("--peers", nargs="+", metavar="NAME", help="engines, or 'engine format'")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--rounds", type=int, metavar="N", help="instead of 5, 3 and 2 by model")
    parser.add_argument("--work", type=Path, default=ROOT / "build/cpu-models", metavar="PATH")
    parser.add_argument("--venv", type=Path, default=ROOT / "build/peers", metavar="PATH")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks/results", metavar="PATH")
    parser.add_argument("--name", default=platform.node(), help="of the machine, in file names")
    parser.add_argument("--fresh", action="store_true", help="forget an interrupted run")
    parser.add_argument("--prepare", action="store_true", help="make everything, measure nothing")
    args = parser.parse_args()
    if args.threads < 1 or (args.rounds is not None and args.rounds < 1):
        parser.error("--threads and --rounds are 1 or more")
    known = {name for variant in VARIANTS for name in (variant.peer, variant.name)}
    if set(args.peers or ()) - known:
        parser.error(f"--peers: one or more of {', '.join(sorted(known))}")
    return args


def say(text: str) -> None:
    """Progress, on stderr."""
    print(f"{datetime.datetime.now():%H:%M:%S} {text}", file=sys.stderr, flush=True)


def prepare(args: argparse.Namespace, workshop: Workshop) -> tuple[list[Variant], dict[str, str]]:
    """Install and make what is missing: the variants that can run, and why others cannot."""
    missing = install(workshop.environments, say)
    chosen = [
        variant
        for variant in VARIANTS
        if not args.peers or {variant.peer, variant.name} & set(args.peers)
    ]
    usable = [variant for variant in chosen if variant.group not in missing]
    for model in args.models:
        for variant in usable:
            reason = workshop.make(model, variant) if model in variant.models else None
            if reason:
                missing[f"{model} {variant.name}"] = reason
    return usable, missing


def measure(
    args: argparse.Namespace, workshop: Workshop, variants: list[Variant], journal: Journal
) -> tuple[list[tuple[Cell, Result]], dict[Cell, Result]]:
    """All cells, or those that an interrupted run has left; bandwidths, read before each of ours.

    What failed is not tried again.
    """
    loads = [load for load in LOADS if load in args.only]
    planned = [
        cell
        for cell in cells(args.models, variants, loads, args.rounds)
        if workshop.file(cell.model, variant_of(cell.variant)).exists()
    ]
    failed: set[tuple[str, str, str]] = set()
    found: list[tuple[Cell, Result]] = []
    reads: dict[Cell, Result] = {}
    read = partial(machine.read_gb_per_s, args.threads)
    for position, cell in enumerate(planned, 1):
        kind = (cell.model, cell.variant, cell.load)
        if kind in failed:
            continue
        if variant_of(cell.variant).peer == OURS:
            # Memory that others use too changes its speed within seconds: read just before.
            reads[cell] = journal.get(("read", cell), read)
        result = journal.get(cell, lambda cell=cell: measure_cell(cell, workshop, args.threads))
        if "failed" in result:
            failed.add(kind)
        found.append((cell, result))
        say(f"{position}/{len(planned)} {_words(cell, result)}")
    return found, reads


def measure_cell(cell: Cell, workshop: Workshop, threads: int) -> Result:
    """One process, its model in the page cache."""
    read_through(workshop.file(cell.model, variant_of(cell.variant)))
    return run_watched(command_of(cell, workshop, threads), threads)


def _words(cell: Cell, result: Result) -> str:
    title = f"{cell.model} {cell.variant}, {cell.load}, round {cell.round + 1}"
    if "failed" in result:
        return f"{title}: {result['failed']}"
    prefill, decode = result["prefill_tokens_per_s"], result["decode_tokens_per_s"] or 0
    rates = f"{summary.number(prefill)} prefill, {summary.number(decode)} decode tokens/s"
    busy = result["others_cores"]
    disturbed = f"; disturbed, others used {busy:.1f} cores" if busy > DISTURBED_CORES else ""
    return f"{title}: {rates}{disturbed}"


def measure_cold(
    args: argparse.Namespace, environments: Environments, journal: Journal
) -> dict[str, summary.Spread | str]:
    """Seconds from a new process to its first token, by engine, taking turns."""
    model = embedded_models()[TRAINED]
    times: dict[str, list[float]] = {}
    failed: dict[str, str] = {}
    commands = cold_commands(environments, model) if "cold" in args.only else {}
    for number in range(args.rounds or COLD_ROUNDS):
        for name, command in commands.items():
            key = ("cold", name, number)
            result = journal.get(key, lambda command=command: cold(command, args.threads))
            if "failed" in result:
                failed[name] = result["failed"]
            else:
                times.setdefault(name, []).append(result["first_token_s"])
    return {name: summary.spread(values) for name, values in times.items()} | failed


def revision() -> str:
    """Of the source tree; `+` for one that has changes beyond its last commit."""
    command = ["git", "-C", ROOT, "describe", "--always", "--dirty=+"]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def assemble(
    args: argparse.Namespace, workshop: Workshop, journal: Journal
) -> report.Report | None:
    """Do it all; None if only files were to be made."""
    variants, missing = prepare(args, workshop)
    if args.prepare:
        for what, why in missing.items():
            say(f"{what}: {why}")
        return None
    described = machine.describe()
    say("measuring the machine")
    matrix = journal.get(
        "matrix", lambda: machine.matrix_gop_per_s(workshop.environments, args.threads)
    )
    results, reads = measure(args, workshop, variants, journal)
    read = machine.greatest(list(reads.values()))
    lines = summary.lines_of(results)
    files = {
        (model, variant.name): workshop.file(model, variant)
        for model in args.models
        for variant in variants
        if variant.peer == OURS
    }
    return report.Report(
        date=f"{datetime.date.today()}",
        command=shlex.join(["python", *sys.argv]),
        revision=revision(),
        threads=args.threads,
        machine=described,
        read=read,
        matrix=matrix,
        versions=versions(workshop.environments),
        lines=lines,
        ratios=summary.ratios(lines, args.models),
        limits=[
            *summary.limits(lines, files, read, matrix),
            *summary.paired_limits(results, files, reads),
        ],
        cold=measure_cold(args, workshop.environments, journal),
        missing=missing,
        others_cores=max((result["others_cores"] for _, result in results), default=0.0),
        plot=f"{datetime.date.today()}-{args.name}.png" if lines else None,
    )


def write(args: argparse.Namespace, found: report.Report, environments: Environments) -> Path:
    """The three files; the path of the Markdown."""
    args.results.mkdir(parents=True, exist_ok=True)
    base = args.results / f"{found.date}-{args.name}"
    values = base.with_name(base.name + ".json")
    values.write_text(json.dumps(dataclasses.asdict(found), indent=1) + "\n")
    if found.plot:
        plot = Path(__file__).parent / "speed/plot.py"
        target = args.results / found.plot
        subprocess.run([python_of(environments.runs), plot, values, target], check=True)
    text = base.with_name(base.name + ".md")
    text.write_text(report.markdown(found))
    return text


def main() -> int:
    args = arguments()
    environments = Environments.at(args.venv.resolve())
    workshop = Workshop(work=args.work.resolve(), environments=environments, say=say)
    kind = f"{revision()} {args.threads} threads"
    journal = Journal(workshop.work / "journal.jsonl", kind)
    if args.fresh:
        journal.discard()
    try:
        found = assemble(args, workshop, journal)
    except KeyboardInterrupt:
        say("interrupted; the same command goes on from here, --fresh begins anew")
        return 130
    if found is not None:
        print(write(args, found, environments))
        journal.discard()
    return 0


if __name__ == "__main__":
    sys.exit(main())
