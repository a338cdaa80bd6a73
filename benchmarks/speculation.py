"""Speed with and without speculation, on texts that repeat themselves and on one that does not.

    python benchmarks/speculation.py [--model PATH] [--backend native|torch] [--threads N]

Prompts are made from Python's own standard library. `copy`: a file, and the beginning of the same
file once more. `rename`: the beginning of the second copy has a name changed throughout, as when
one asks for a small edit. `novel`: the beginning of a file, nothing to copy from; greedily small
models soon repeat themselves, so `drawn` is the same at temperature 1. `chat`: "rewrite this file
with …", for models that chat. Printed are tokens a second from the first token to the last, the
best of the repeats. Each answer gets a freshly opened model, because an engine
would draft from its own earlier answers. The answers with and without must be the same (with torch
they need not: its rows depend on each other in the last bits).
"""

import argparse
import importlib.util
import re
from pathlib import Path
from typing import NamedTuple

from quipu.llm import LLM, load
from quipu.request import Completion

MODULES = ("bisect", "fnmatch", "shlex", "textwrap", "heapq")
SHARE = 0.35  # of the context, for the text that is repeated
BEGUN = 0.3  # of the text, how much of the second copy is given


class Case(NamedTuple):
    """A prompt; a chat message if `chat`."""

    name: str
    prompt: str
    chat: bool = False
    temperature: float = 0.0


def source(llm: LLM, module: str) -> str:
    """As many whole lines of a module's source as fit a share of the context."""
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    lines = Path(spec.origin).read_text("utf-8").splitlines(keepends=True)
    room = SHARE * llm.info.context
    kept, size = [], 0
    for line in lines:
        size += len(llm.tokenizer.encode(line, dummy_prefix=False))
        if size > room:
            break
        kept.append(line)
    return "".join(kept)


def cases(llm: LLM, module: str) -> list[Case]:
    """The prompts made from one module."""
    text = source(llm, module)
    begun = text[: text.rfind("\n", 0, int(BEGUN * len(text))) + 1]
    names = re.findall(r"\b[a-z]{3,}\b", begun)
    name = max(set(names), key=lambda found: (names.count(found), found))
    renamed = re.sub(rf"\b{name}\b", "renamed", begun)
    found = [
        Case("copy", f"# file\n{text}\n# copy of the file\n{begun}"),
        Case("rename", f"# file\n{text}\n# {name} is now called renamed\n{renamed}"),
        Case("novel", begun),
        Case("drawn", begun, temperature=1.0),
    ]
    if llm.info.abilities.chat is not None:
        ask = f"Rewrite this file and rename `{name}` to `renamed`. Answer with code only.\n\n"
        found.append(Case("chat", f"{ask}```python\n{text}```", chat=True))
    return found


def answer(args: argparse.Namespace, case: Case, speculate: bool) -> Completion:
    with load(args.model, args.backend, threads=args.threads, speculate=speculate) as llm:
        if case.chat:
            return llm.chat([{"role": "user", "content": case.prompt}], max_tokens=args.tokens)
        return llm.complete(
            case.prompt, max_tokens=args.tokens, temperature=case.temperature, seed=1
        )


def speed(done: Completion) -> float:
    """Tokens a second after the first."""
    return (len(done.token_ids) - 1) / (done.timings.total_s - done.timings.first_token_s)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model")
    parser.add_argument("--backend")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    with load(args.model, args.backend) as llm:
        chosen = [(module, case) for module in MODULES for case in cases(llm, module)]
    print(f"{'':18} {'without':>9} {'with':>9}  tokens/s")
    for module, case in chosen:
        runs = [(answer(args, case, False), answer(args, case, True)) for _ in range(args.repeats)]
        if len(runs[0][0].token_ids) < 2:
            continue  # it ended at once
        plain, drafted = (max(map(speed, found)) for found in zip(*runs, strict=True))
        same = all(a.token_ids == b.token_ids for a, b in runs)
        name = f"{case.name} {module}"
        note = "" if same else "  (other answers)"
        print(f"{name:18} {plain:9.1f} {drafted:9.1f}  {drafted / plain:5.2f}x{note}", flush=True)


if __name__ == "__main__":
    main()
