"""The `quipu` command: one module per verb, errors as one line on stderr."""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

import quipu
from quipu import log
from quipu.cli import eval as evaluation
from quipu.cli import train as training
from quipu.errors import QuipuError

# In the order of the help text. Each module has `register(subparsers)`.
COMMANDS = (
    "demo",
    "complete",
    "infill",
    "chat",
    "info",
    "convert",
    "bench",
    "data",
    "train",
    "export",
    "eval",
)
# Commands whose first verb may be left out: what puts it there.
VERB_LEFT_OUT = {"eval": evaluation.with_verb, "train": training.with_verb}
INTERRUPTED = 130  # what shells report for a command ended by Ctrl-C

DESCRIPTION = """\
Private code completion, infilling and chat with Code Llama models and our own.

  quipu complete 'def fibonacci(n):'          continue a text with the embedded model
  quipu infill file.py --at 12:5              write what is missing at line 12, column 5
  quipu chat --model PATH                     talk to a tuned model
  quipu info PATH                             what a checkpoint is, can do and needs
  quipu convert SRC DST --to gguf             from one layout to another
  quipu bench --model PATH                    how fast it answers on this machine
  quipu eval humaneval --model PATH           how good it is

Results go to stdout, progress and errors to stderr. Exit: 0 done, 1 failed, 2 wrong usage."""


def parser(names: Sequence[str] = COMMANDS) -> argparse.ArgumentParser:
    """The command line of these verbs, by default the whole of it."""
    top = argparse.ArgumentParser(
        prog="quipu",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"quipu {quipu.__version__}")
    top.add_argument("--verbose", action="store_true", help="say more on stderr")
    verbs = top.add_subparsers(metavar="COMMAND", required=True)
    for name in names:
        import_module(f"quipu.cli.{name}").register(verbs)
    return top


def _parsed(whole: argparse.ArgumentParser, given: Sequence[str]) -> argparse.Namespace:
    """As parse_args, but name=value settings may stand anywhere: argparse takes them once only."""
    args, left = whole.parse_known_args(given)
    settings = [word for word in left if "=" in word and not word.startswith("-")]
    if left and (settings != left or not hasattr(args, "settings")):
        whole.error(f"unrecognized arguments: {' '.join(left)}")
    if left:
        args.settings = [*args.settings, *settings]
    return args


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and given[0] in VERB_LEFT_OUT:
        given = [given[0], *VERB_LEFT_OUT[given[0]](given[1:])]
    # The modules of all verbs take longer to import than a small model to answer.
    only = [name for name in given[:1] if name in COMMANDS]
    args = _parsed(parser(only or COMMANDS), given)
    log.setup(args.verbose)
    try:
        code: int = args.run(args)
        sys.stdout.flush()
    except QuipuError as error:
        print(f"quipu: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("quipu: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has left (`quipu … | head`); keep the interpreter's last flush quiet too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


if __name__ == "__main__":
    sys.exit(main())
