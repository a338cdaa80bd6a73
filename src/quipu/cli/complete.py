"""quipu complete: continue a text."""

import argparse

from quipu.cli import options, terminal

EPILOG = """\
examples:
  quipu complete 'def fibonacci(n):'
  quipu complete 'import os' --temperature 0.2 --top-p 0.9 --seed 1 --n 3
  git show HEAD:setup.py | head -20 | quipu complete - --max-tokens 64
  quipu complete - --json --logprobs 5 < prompt.py
"""


def register(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = verbs.add_parser(
        "complete",
        help="continue a text",
        description="Continue a text with a code model, streamed as it is written.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("prompt", nargs="?", metavar="PROMPT|-", help="the text; - is stdin")
    parser.add_argument(
        "--no-heal",
        action="store_true",
        help="keep the prompt's last token as it is, though the text may end inside a word",
    )
    options.add_model(parser)
    options.add_sampling(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Answer, and write the answer to stdout."""
    sampling = options.sampling(args)
    typed = args.prompt not in (None, "-")
    prompt = args.prompt if typed else options.read_input(args.prompt)
    with options.open_model(args) as llm:
        asked = llm.ask_complete(prompt, sampling, heal=not args.no_heal)
        terminal.show(asked, before=prompt, json_lines=args.json)
    return 0
