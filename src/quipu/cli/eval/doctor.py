"""quipu eval doctor: what this machine can confine and judge, and how to get the rest."""

import argparse
import json
import shutil
import sys

from rich.console import Console
from rich.table import Table

from quipu.errors import SandboxError
from quipu.sandbox.judge import missing, remedy
from quipu.sandbox.languages import LANGUAGES
from quipu.sandbox.local import BUBBLEWRAP, LAYERS, LocalSandbox

_MEANING = {
    "landlock": "files: only runtimes to read, only the scratch folder to write",
    "seccomp": "no sockets, no tracing, no mounts, no kernel interfaces",
    "rlimits": "CPU time, memory, files, processes bounded",
    "namespaces": "no other process, no network, scratch in memory; all gone at the end",
    "user": "run as a user that owns nothing (when started by root)",
}


def register(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "doctor",
        help="what this machine can confine and judge",
        description="Say which layers confine programs here, which languages can be judged, and"
        " the command that installs what is missing.",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--script",
        action="store_true",
        help="print only the commands that install what is missing, to be piped into sh",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print what is there; exit code 1 if programs cannot be confined."""
    if args.script:
        lacks = [language for language in LANGUAGES.values() if missing(language)]
        sys.stdout.write("".join(f"{remedy(language)}\n" for language in lacks))
        return 0
    try:
        with LocalSandbox(allow_weaker=LAYERS) as sandbox:
            layers = set(sandbox.layers)
        trouble = ""
        with LocalSandbox():
            pass
    except SandboxError as error:
        trouble = str(error)
    lacking = {name: missing(language) for name, language in LANGUAGES.items()}
    if args.json:
        found = {
            "layers": {name: name in layers for name in LAYERS},
            "languages": {
                name: {
                    "missing": lacking[name],
                    "remedy": remedy(LANGUAGES[name]) if lacking[name] else "",
                }
                for name in LANGUAGES
            },
            BUBBLEWRAP: shutil.which("bwrap") is not None,
            "confined": not trouble,
        }
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        _print(layers, lacking, trouble)
    return 1 if trouble else 0


def _print(layers: set[str], lacking: dict[str, list[str]], trouble: str) -> None:
    console = Console()
    table = Table(box=None, show_header=False, pad_edge=False)
    for name in LAYERS:
        table.add_row("yes" if name in layers else "[bold]no[/bold]", name, _MEANING[name])
    table.add_row(
        "yes" if shutil.which("bwrap") else "no",
        BUBBLEWRAP,
        "on request: --sandbox bubblewrap, where only bwrap may make namespaces",
    )
    table.add_row()
    for name, language in LANGUAGES.items():
        words = remedy(language) if lacking[name] else ""
        if not words and language.withheld:
            words = f"without {', '.join(language.withheld)}, as where it was published"
        table.add_row("[bold]no[/bold]" if lacking[name] else "yes", name, words)
    console.print(table)
    console.print(trouble or "Programs can be confined here.", highlight=False, soft_wrap=True)
