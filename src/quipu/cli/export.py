"""quipu export: a training run as a model."""

import argparse
import tempfile
from pathlib import Path

from quipu.checkpoint.conversion import TARGETS
from quipu.cli import convert
from quipu.errors import CheckpointError, QuipuError

EPILOG = """\
examples:
  quipu export runs/mine models/mine
  quipu export runs/mine mine.quipu --to native --quantize int8
  quipu export runs/mine mine.gguf --to gguf --quantize q8_0
"""


def register(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = verbs.add_parser(
        "export",
        help="turn a training run into a model",
        description="Write the newest weights of a run, adapters merged, as a model: a folder in\n"
        "Hugging Face's layout, bf16, or what quipu convert writes.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, metavar="RUN")
    parser.add_argument("target", type=Path, metavar="DST")
    parser.add_argument("--to", choices=TARGETS, default="hf", help="layout of DST (default: hf)")
    convert.add_options(parser)
    parser.add_argument("--force", action="store_true", help="replace DST if it exists")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Export, and print where to."""
    try:
        from quipu.train.export import export
    except ModuleNotFoundError as error:
        raise QuipuError(
            f"exporting a run needs {error.name}", remedy="pip install 'quipu-code[train]'"
        ) from error
    if args.to == "hf" and not (args.dtype or args.quantize) and args.shards == 1:
        export(args.folder, args.target, overwrite=args.force)
    else:
        try:
            # Beside the target, where there must be room for a model anyway.
            beside = tempfile.TemporaryDirectory(dir=args.target.parent, prefix=".export-")
        except OSError as error:
            raise CheckpointError(
                f"{args.target} cannot be written",
                got=error.strerror,
                remedy="name a place that you may write to",
            ) from error
        with beside as folder:
            model = Path(folder) / (args.target.stem or "model")
            export(args.folder, model)
            convert.write(model, args)
    print(args.target)
    return 0
