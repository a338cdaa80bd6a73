"""quipu data: from published packages to training shards; one module per verb."""

import argparse
from importlib import import_module

# In the order of the help text. Each module has `register(subparsers)`.
VERBS = ("fetch", "build", "apply", "exercises", "report", "show", "why", "drop", "pack")


def register(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = verbs.add_parser(
        "data",
        help="build a training corpus",
        description="From published packages to training shards: fetch, clean, count, look.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    inner = parser.add_subparsers(metavar="VERB", required=True)
    for name in VERBS:
        import_module(f"quipu.cli.data.{name}").register(inner)
