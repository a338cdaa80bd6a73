"""quipu export: a training run as a model."""

import argparse
from pathlib import Path

from quipu.errors import QuipuError


def register(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = verbs.add_parser(
        "export",
        help="turn a training run into a model",
        description="Write the newest weights of a run as a model folder (Hugging Face layout,\n"
        "bf16), for quipu, transformers and, after quipu convert, what reads GGUF.",
        epilog="example:\n  quipu export runs/quipu-6m models/quipu-6m",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, metavar="RUN")
    parser.add_argument("target", type=Path, metavar="DST")
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
    export(args.folder, args.target, overwrite=args.force)
    print(args.target)
    return 0
