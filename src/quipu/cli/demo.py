"""quipu demo: the main job on real code, offline, in a few seconds."""

import argparse

from rich.console import Console
from rich.rule import Rule

from quipu.cli import terminal
from quipu.errors import AbilityError
from quipu.llm import load
from quipu.request import Sampling
from quipu.text.chat import Message

# Stops are what an editor would set: the end of the line, or of the function.
COMPLETE = (
    (
        '''\
import os


def list_files(path):
    """Return the names of all files in a directory."""
''',
        "\n\n",
    ),
    (
        """\
def set_name(self, value):
    if not isinstance(value, str):
        raise""",
        "\n",
    ),
)

INFILL = (
    (
        """\
def show(items):
    for i in """,
        """
        print(i, items[i])
""",
    ),
    (
        """\
def get(self, key):
    try:
        return self.cache[key]
    except """,
        """
        return None
""",
    ),
)


def register(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = verbs.add_parser(
        "demo",
        help="complete, infill and chat with the embedded model",
        description="Complete and infill real code with the embedded model, offline.",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:  # noqa: ARG001 - every command takes its options
    """Show the main job; what is dim was given, what is bright was written."""
    console = Console(highlight=False)
    with load() as llm:
        console.print(Rule("quipu complete", align="left"))
        for prompt, stop in COMPLETE:
            asked = llm.ask_complete(prompt, Sampling(max_tokens=60, stop=(stop,)))
            terminal.show(asked, before=prompt, always_around=True)
            console.print()
        console.print(Rule("quipu infill", align="left"))
        for before, after in INFILL:
            asked = llm.ask_infill(before, after, Sampling(max_tokens=40, stop=("\n",)))
            terminal.show(asked, before=before, after=after, always_around=True)
            console.print()
        console.print(Rule("quipu chat", align="left"))
        try:
            terminal.show(llm.ask_chat([Message(role="user", content="Hello")], Sampling()))
        except AbilityError as error:
            console.print(f"quipu: {error}", style="dim", soft_wrap=True)
    console.print(Rule("next", align="left"))
    console.print("quipu --help · quipu complete 'def …' · quipu infill FILE --at LINE:COL")
    return 0
