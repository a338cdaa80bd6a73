"""quipu train: run recipes and look at runs; one module per verb, `run` if none is named."""

import argparse
from collections.abc import Sequence
from importlib import import_module

# In the order of the help text. Each module has `register(subparsers)`.
VERBS = ("run", "evaluate", "report")


def register(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = verbs.add_parser(
        "train",
        help="run a training recipe",
        description="Run a training recipe (quipu train MODULE:FUNCTION, resumable), and\n"
        "look at runs.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    inner = parser.add_subparsers(metavar="VERB", required=True)
    for name in VERBS:
        import_module(f"quipu.cli.train.{name}").register(inner)


def with_verb(words: Sequence[str]) -> list[str]:
    """The words after `quipu train`, with the verb that may be left out."""
    if not words or words[0] in (*VERBS, "-h", "--help"):
        return list(words)
    return ["run", *words]
