"""`quipu convert`: the same model in another layout."""

import argparse
import contextlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import NoReturn

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from quipu.checkpoint.conversion import TARGETS, Rounding, convert
from quipu.checkpoint.opening import open_checkpoint
from quipu.checkpoint.tensors import PLAIN
from quipu.errors import UsageError
from quipu.llm import model_path
from quipu.quantise import calibrated_on

_QUANTIZE = {"int8": "q8_0", "int4": "q4_0", "q8_0": "q8_0", "q4_0": "q4_0"}
_SIGNALLED = 128  # shells report 128 + its number for a command that a signal ended

_DESCRIPTION = """\
Write a model in another layout, weight by weight, and read it back to compare.

  hf     a folder with config.json and safetensors, as transformers reads it
  meta   a folder with params.json and consolidated.NN.pth, as Meta distributes it
  gguf   one file, as llama.cpp reads it (norms are always f32 there)
  native one file (.quipu), packed so that the runtime of this package maps it

The layout of SRC is found by looking. DST appears only when it is whole: after
an error or Ctrl-C nothing of it is left. Memory needed: about twice the largest
weight. Weights of 4 bits in a native file are fitted to text, layer by layer: that
takes minutes to hours, and memory for one layer and the text's activations."""

_EPILOG = """\
examples:
  quipu convert CodeLlama-7b-hf CodeLlama-7b.quipu --to native --quantize int8
  quipu convert CodeLlama-7b-hf small.quipu --to native --quantize int4 --calibrate src/
  quipu convert CodeLlama-7b-hf CodeLlama-7b.gguf --to gguf --quantize q8_0
  quipu convert CodeLlama-34b CodeLlama-34b-hf --to hf --shards 7
  quipu convert old-model.gguf model-hf --to hf --dtype bf16 --rope-theta 1000000
  quipu convert CodeLlama-13b-hf CodeLlama-13b --to meta --shards 2"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser of `quipu`."""
    parser = subparsers.add_parser(
        "convert",
        help="write a model in another layout (Hugging Face, Meta, GGUF, native)",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", metavar="SRC", help="folder, file or embedded name to read")
    parser.add_argument("target", metavar="DST", type=Path, help="folder or file to make")
    parser.add_argument("--to", required=True, choices=TARGETS, help="layout of DST")
    add_options(parser)
    parser.add_argument(
        "--rope-theta",
        metavar="X",
        type=float,
        help="rotary base, for a source that does not say it or says it wrong",
    )
    parser.add_argument("--force", action="store_true", help="overwrite the model at DST")
    parser.set_defaults(run=run)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options that say how weights are written."""
    formats = parser.add_mutually_exclusive_group()
    formats.add_argument(
        "--dtype", choices=tuple(PLAIN), help="format of the weights (default: as they are)"
    )
    formats.add_argument(
        "--quantize",
        choices=tuple(_QUANTIZE),
        help="8 or 4 bits a weight and a scale for every 32; native and gguf only, where they are"
        " called q8_0 and q4_0",
    )
    parser.add_argument(
        "--calibrate",
        metavar="TEXT",
        help="native int4: file or folder that the weights are fitted to, or none for plain"
        " rounding (default: sources of Python's standard library)",
    )
    parser.add_argument(
        "--shards",
        metavar="N",
        type=int,
        default=1,
        help="hf: number of weight files; meta: model-parallel shards (default: 1)",
    )


def run(args: argparse.Namespace) -> int:
    """Convert, with a progress bar on stderr; the path of the result goes to stdout."""
    write(model_path(args.source), args, rope_theta=args.rope_theta)
    sys.stdout.write(f"{args.target}\n")
    return 0


def write(source: Path, args: argparse.Namespace, *, rope_theta: float | None = None) -> None:
    """Convert a model as the options of the command say, with a progress bar on stderr."""
    dtype = _QUANTIZE[args.quantize] if args.quantize else args.dtype
    with _ending_orderly(), _bar() as bar:
        rounding = _rounding(source, args.to, dtype, args.calibrate, rope_theta)
        stage = "Fitting" if rounding else "Writing"
        task = bar.add_task(stage)
        convert(
            source,
            args.target,
            to=args.to,
            dtype=dtype,
            rounding=rounding,
            shards=args.shards,
            rope_theta=rope_theta,
            overwrite=args.force,
            progress=lambda done, total: _show(bar, task, stage, done, total),
        )


def _rounding(
    source: Path, to: str, dtype: str | None, text: str | None, rope_theta: float | None
) -> Rounding | None:
    """How weights become narrower; None: one by one."""
    if to != "native" or dtype != "q4_0":
        if text is not None:
            raise UsageError(
                "--calibrate", remedy="it goes with --to native --quantize int4 alone: leave it out"
            )
        return None
    if text == "none":
        return None
    if text is not None and not Path(text).exists():
        raise UsageError("--calibrate", got=text, allowed="a file, a folder, or none")
    with contextlib.closing(open_checkpoint(source, rope_theta=rope_theta)) as opened:
        return calibrated_on(opened, Path(text) if text else None)


@contextlib.contextmanager
def _ending_orderly() -> Iterator[None]:
    """Let SIGTERM unwind the stack, as Ctrl-C does, so that nothing half-written stays behind."""

    def stop(number: int, _: FrameType | None) -> NoReturn:
        raise SystemExit(_SIGNALLED + number)

    former = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)


def _bar() -> Progress:
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description:<9}"),
        BarColumn(bar_width=None),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,  # an error stays the only line
        disable=not console.is_terminal,
    )


def _show(bar: Progress, task: TaskID, stage: str, done: int, total: int) -> None:
    """The first half of the bytes are those written, the second those read back."""
    description = stage if 2 * done < total else "Comparing"
    bar.update(task, completed=done, total=total, description=description)
