"""quipu eval: judge programs and models; one module per verb, `run` if none is named."""

import argparse
from collections.abc import Sequence
from importlib import import_module

# In the order of the help text. Each module has `register(subparsers)`.
VERBS = ("run", "report", "scorecard", "judge", "serve", "doctor", "selftest")


def register(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = verbs.add_parser(
        "eval",
        help="run benchmarks, judge programs in a sandbox",
        description="Run benchmarks against a model (quipu eval TASK…, resumable), and judge\n"
        "programs that nobody has read, confined.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    inner = parser.add_subparsers(metavar="VERB", required=True)
    for name in VERBS:
        import_module(f"quipu.cli.eval.{name}").register(inner)


def with_verb(words: Sequence[str]) -> list[str]:
    """The words after `quipu eval`, with the verb that may be left out."""
    if not words or words[0] in (*VERBS, "-h", "--help"):
        return list(words)
    return ["run", *words]
