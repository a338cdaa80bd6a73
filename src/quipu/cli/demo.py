"""quipu demo: the main job on real code, offline, in a few seconds."""

import argparse

from rich.console import Console
from rich.rule import Rule

from quipu.cli import terminal
from quipu.errors import AbilityError
from quipu.llm import load
from quipu.request import Sampling
from quipu.text.chat import Message

COMPLETE = '''\
import json
from pathlib import Path


def read_config(path):
    """Read a JSON file and return its contents."""
    with open(path) as f:
'''

BEFORE = '''\
class Stack:
    """A last-in, first-out collection."""

    def __init__(self):
        self.items = []

    def push(self, item):
        '''

AFTER = """

    def pop(self):
        if not self.items:
            raise IndexError("pop from an empty stack")
        return self.items.pop()
"""


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
        terminal.show(llm.ask_complete(COMPLETE, Sampling(max_tokens=60)), before=COMPLETE)
        console.print(Rule("quipu infill", align="left"))
        sampling = Sampling(max_tokens=40)
        terminal.show(llm.ask_infill(BEFORE, AFTER, sampling), before=BEFORE, after=AFTER)
        console.print(Rule("quipu chat", align="left"))
        try:
            terminal.show(llm.ask_chat([Message(role="user", content="Hello")], sampling))
        except AbilityError as error:
            console.print(f"quipu: {error}", style="dim", soft_wrap=True)
    console.print(Rule("next", align="left"))
    console.print("quipu --help · quipu complete 'def …' · quipu infill FILE --at LINE:COL")
    return 0
