"""quipu train --dry-run: what a recipe takes, and whether it fits, before anything is started."""

import argparse
import dataclasses
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from quipu.errors import UsageError

if TYPE_CHECKING:
    from quipu.train.budget import Device, Memory
    from quipu.train.loop import Machine
    from quipu.train.recipe import TrainRecipe

# Bytes of memory, by the makers' data sheets. Peaks stand in train/speed.py.
MEMORY = {"A100": 80e9, "H100": 80e9, "H200": 141e9, "B200": 180e9, "L4": 24e9, "L40S": 48e9,
          "RTX 4090": 24e9}  # fmt: skip
_UNITS = {"": 1.0, "mb": 1e6, "gb": 1e9, "mib": 2.0**20, "gib": 2.0**30}


def add_options(parser: argparse.ArgumentParser) -> None:
    """What devices to plan for."""
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="print what the recipe takes, and refuse what cannot fit; no corpus, no device needed",
    )
    group = parser.add_argument_group("devices to plan for, with --dry-run", "by default these")
    group.add_argument("--on", metavar="NAME", help=f"known ones: {', '.join(MEMORY)}")
    group.add_argument("--devices", type=int, metavar="N", help="how many (default: the mesh's)")
    group.add_argument("--device-memory", metavar="80GB", help="of one")
    group.add_argument("--peak", type=float, metavar="TFLOPS", help="of one, in half precision")
    group.add_argument(
        "--mfu", type=float, metavar="SHARE", help="of the peak that is reached (assumed: 0.4)"
    )
    group.add_argument("--json", action="store_true", help="print one object")


def planned(args: argparse.Namespace) -> "Device":
    """The device that the options name, or else the one that is here."""
    from quipu.train.budget import Device
    from quipu.train.speed import PEAKS

    if args.on is None and args.device_memory is None and args.peak is None:
        return present(args.device)
    name = args.on or "a device"
    if args.on is not None and args.on not in MEMORY:
        raise UsageError(
            "--on", got=args.on, allowed=", ".join(MEMORY), remedy="or give --device-memory, --peak"
        )
    peak = args.peak * 1e12 if args.peak is not None else PEAKS.get(name)
    size = MEMORY.get(name) if args.device_memory is None else _bytes(args.device_memory)
    if peak is not None and not peak > 0:
        raise UsageError("--peak", got=args.peak, allowed="more than 0")
    return Device(name=name, memory=size, peak=peak)


def present(device: str) -> "Device":
    """What is here: a CUDA device, or this machine's memory that is free."""
    import torch

    from quipu.train.budget import Device
    from quipu.train.speed import peak_flops

    if device.startswith("cuda"):
        if not torch.cuda.is_available():
            raise UsageError(
                "--device", got=device, allowed="cpu: no CUDA device is here",
                remedy="plan for one with --dry-run --on H100",
            )  # fmt: skip
        found = torch.cuda.get_device_properties(torch.device(device))
        return Device(
            name=found.name,
            memory=float(found.total_memory),
            peak=peak_flops(torch.device(device), torch.bfloat16),
        )
    peak = peak_flops(torch.device("cpu"), torch.float32)
    return Device(name="this machine", memory=_free(), peak=peak, cuda=False)


def _free() -> float | None:
    """Memory that this machine can still give; None where nobody tells."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    found = {name: text.split()[0] for name, _, text in (line.partition(":") for line in lines)}
    return 1024.0 * int(found["MemAvailable"]) if "MemAvailable" in found else None


def _bytes(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", text.lower())
    if found is None or found[2] not in _UNITS or not float(found[1]) > 0:
        raise UsageError("--device-memory", got=text, allowed="a size such as 80GB or 24GiB")
    return float(found[1]) * _UNITS[found[2]]


def dry_run(
    name: str, stages: "Sequence[TrainRecipe]", machine: "Machine", args: argparse.Namespace
) -> int:
    """Print the plan of all stages; then TrainingError for the first that does not fit."""
    from quipu.train import budget

    device = planned(args)
    machine = dataclasses.replace(machine, device="cuda" if device.cuda else "cpu")
    for stage in stages:
        budget.check_mesh(stage, machine.mesh)
    mfu = budget.MFU if args.mfu is None else args.mfu
    if not 0 < mfu <= 1:
        raise UsageError("--mfu", got=mfu, allowed="above 0, up to 1")
    plans = [_plan(stage, machine, device, mfu) for stage in stages]
    if args.json:
        print(json.dumps(_as_json(name, plans, stages, machine, device, mfu), default=str))
    else:
        _show(Console(), plans, machine, device, mfu)
    for stage in stages:
        budget.refuse(stage, machine, device)
    return 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """What one stage takes."""

    name: str
    parameters: int
    trained_parameters: int
    tokens: int
    steps: int
    batch_tokens: int
    row_tokens: int
    flops: float
    memory: "Memory"
    activations_with: int  # of memory, with --recompute
    activations_without: int
    fits: bool
    seconds: float | None


def _plan(stage: "TrainRecipe", machine: "Machine", device: "Device", mfu: float) -> Plan:
    from quipu.counts import parameters
    from quipu.train import budget
    from quipu.train.ranks import MeshShape

    with_, without = (
        budget.activation_bytes(stage, dataclasses.replace(machine, recompute=how))
        for how in (True, False)
    )
    whole = budget.shares(stage, MeshShape())
    return Plan(
        name=stage.name,
        parameters=parameters(stage.model),
        trained_parameters=sum(weight.held for weight in whole if weight.trained),
        tokens=stage.steps * stage.batch_tokens,
        steps=stage.steps,
        batch_tokens=stage.batch_tokens,
        row_tokens=stage.data.row_tokens,
        flops=budget.flops(stage),
        memory=budget.memory(stage, machine),
        activations_with=with_,
        activations_without=without,
        fits=budget.fits(stage, machine, device),
        seconds=budget.seconds(stage, machine, device, mfu),
    )


def _as_json(
    name: str,
    plans: Sequence[Plan],
    stages: "Sequence[TrainRecipe]",
    machine: "Machine",
    device: "Device",
    mfu: float,
) -> dict[str, Any]:
    found = []
    for plan, stage in zip(plans, stages, strict=True):
        told = dataclasses.asdict(plan)
        told["memory"] = plan.memory.parts() | {"peak": plan.memory.peak}
        found.append(told | {"recipe": dataclasses.asdict(stage)})
    return {
        "name": name,
        "device": dataclasses.asdict(device),
        "mesh": dataclasses.asdict(machine.mesh),
        "micro_tokens": machine.micro_tokens,
        "recompute": machine.recompute,
        "mfu": mfu,
        "stages": found,
    }


def _show(
    console: Console, plans: Sequence[Plan], machine: "Machine", device: "Device", mfu: float
) -> None:
    """A column for each stage."""
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for plan in plans:
        table.add_column(plan.name, justify="right")
    for label, values in _lines(plans):
        table.add_row(label, *values)
    console.print(table)
    from quipu.train.budget import USABLE, described

    size = f", {device.memory / 1e9:,.1f} GB" if device.memory else ""
    peak = f", peak {device.peak / 1e12:,.3g} TFLOP/s" if device.peak else ""
    said = (
        f"{machine.mesh.world} x {device.name}{size}{peak} · mesh {described(machine.mesh)} · "
        f"{machine.micro_tokens:,} tokens at a time · time at {mfu:.0%} of the peak"
        f" · {1 - USABLE:.0%} of memory left free"
    )
    console.print(said, style="dim", highlight=False)


def _lines(plans: Sequence[Plan]) -> list[tuple[str, list[str]]]:
    def gigabytes(count: int) -> str:
        return f"{count / 1e9:,.3f}" if count < 1e9 else f"{count / 1e9:,.1f}"

    rows: list[tuple[str, list[str]]] = [
        ("parameters", [_count(plan.parameters) for plan in plans]),
        ("  trained", [_count(plan.trained_parameters) for plan in plans]),
        ("tokens", [_count(plan.tokens) for plan in plans]),
        ("  a step", [f"{plan.batch_tokens:,}" for plan in plans]),
        ("  a row", [f"{plan.row_tokens:,}" for plan in plans]),
        ("steps", [f"{plan.steps:,}" for plan in plans]),
        ("FLOPs", [f"{plan.flops:.2e}" for plan in plans]),
        ("GB on a device", [gigabytes(plan.memory.peak) for plan in plans]),
    ]
    parts = plans[0].memory.parts()
    for part in parts:
        sizes = [plan.memory.parts()[part] for plan in plans]
        if any(sizes):
            rows.append((f"  {part}", [gigabytes(size) for size in sizes]))
    rows += [
        ("activations, kept", [gigabytes(plan.activations_without) for plan in plans]),
        ("  with --recompute", [gigabytes(plan.activations_with) for plan in plans]),
        ("fits", ["yes" if plan.fits else "no" for plan in plans]),
        ("time", [_time(plan.seconds) for plan in plans]),
    ]
    return rows


def _count(number: int) -> str:
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.4g} {letter}"
    return str(number)


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    for size, name in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:,.1f} {name}"
    return f"{seconds:,.1f} s"
