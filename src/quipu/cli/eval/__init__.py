"""quipu eval: judge programs and models; one module per verb."""

import argparse
from importlib import import_module

# In the order of the help text. Each module has `register(subparsers)`.
VERBS = ("judge", "doctor")


def register(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = verbs.add_parser(
        "eval",
        help="judge programs in a sandbox",
        description="Judge programs that nobody has read, confined.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    inner = parser.add_subparsers(metavar="VERB", required=True)
    for name in VERBS:
        import_module(f"quipu.cli.eval.{name}").register(inner)
