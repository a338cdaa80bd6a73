"""quipu chat: talk to a model that was tuned for it."""

import argparse
import sys

from rich.console import Console

from quipu.cli import options, terminal
from quipu.errors import PromptTooLong
from quipu.llm import LLM
from quipu.request import Sampling
from quipu.text.chat import Message

EPILOG = """\
examples:
  quipu chat 'How do I reverse a list in Python?' --model PATH/codellama-7b-instruct
  quipu chat --model PATH/codellama-7b-instruct --system 'Answer in one sentence.'

In a conversation: /reset forgets it, /exit or Ctrl-D ends, Ctrl-C stops an answer.
"""


def register(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = verbs.add_parser(
        "chat",
        help="talk to a tuned model",
        description="Ask one question, or hold a conversation when no message is given.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("message", nargs="?", metavar="MESSAGE", help="one question; - is stdin")
    parser.add_argument("--system", metavar="TEXT", help="what the model shall keep to")
    options.add_model(parser)
    options.add_sampling(parser)
    parser.set_defaults(run=run, max_tokens=1024)


def run(args: argparse.Namespace) -> int:
    """Answer once, or until the user leaves."""
    sampling = options.sampling(args)
    question = options.read_input("-") if args.message == "-" else args.message
    system = [Message(role="system", content=args.system)] if args.system else []
    with options.open_model(args) as llm:
        if question is None:
            return _converse(llm, sampling, system)
        messages = [*system, Message(role="user", content=question)]
        terminal.show(llm.ask_chat(messages, sampling), json_lines=args.json)
    return 0


def _converse(llm: LLM, sampling: Sampling, system: list[Message]) -> int:
    """Question and answer in turn, each with all that was said before it."""
    if sys.stdin.isatty():
        import readline  # noqa: F401 - gives `input` its line editing and history
    llm.require_chat()
    console = Console(stderr=True, highlight=False)
    console.print(f"[dim]{llm.info.name} · /reset forgets · /exit or Ctrl-D ends[/dim]")
    said = list(system)
    while True:
        try:
            question = input("> " if sys.stdin.isatty() else "").strip()
        except EOFError:
            return 0
        if question == "/exit":
            return 0
        if question == "/reset":
            said = list(system)
        elif question:
            said = _turn(llm, sampling, said, question, console, len(system))


def _turn(
    llm: LLM, sampling: Sampling, said: list[Message], question: str, console: Console, kept: int
) -> list[Message]:
    """One question and its answer; the conversation after it."""
    said = [*said, Message(role="user", content=question)]
    while True:
        try:
            asked = llm.ask_chat(said, sampling)
            break
        except PromptTooLong:
            if len(said) - kept < 3:
                raise
            console.print("[dim]the oldest question and answer no longer fit: forgotten[/dim]")
            said = said[:kept] + said[kept + 2 :]
    written: list[str] = []
    try:
        for piece in asked:
            written.append(piece.text)
            sys.stdout.write(piece.text)
            sys.stdout.flush()
    except KeyboardInterrupt:
        asked.cancel()
        console.print("[dim] stopped[/dim]", end="")
    sys.stdout.write("\n")
    return [*said, Message(role="assistant", content="".join(written))]
