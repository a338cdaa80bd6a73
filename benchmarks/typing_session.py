"""Prompt tokens that are computed anew at each keystroke of a recorded typing session.

    python benchmarks/typing_session.py [--model PATH] [--session FILE] [--plot FILE.png]

After each event of the session an infilling request is made, in SPM order (as `quipu infill` does)
and in PSM order, and the engine's prefix cache takes what it can from the requests before. The
tokenizer is the model's; the runner computes nothing, because only tokens are counted. "At the
cursor" are keystrokes where the one before left the cursor, "moved" the first ones at a new place.
Pages of one token show what the grain of 16 costs. The plot needs matplotlib.
"""

import argparse
import json
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from quipu.backend.local import LocalBackend
from quipu.backend.protocol import ModelInfo
from quipu.checkpoint.opening import open_checkpoint
from quipu.config import Abilities
from quipu.engine.batch import Batch
from quipu.engine.engine import Engine
from quipu.engine.runner import StepResult
from quipu.llm import LLM, model_path
from quipu.text.infill import Order
from quipu.text.tokenizer import Tokenizer

HERE = Path(__file__).parent
CONTEXT = 16384
PAGES_OF = 4 * CONTEXT  # tokens of key/value memory
ANSWER = 16  # tokens


class Keystroke(NamedTuple):
    """The text on both sides of the cursor after an event."""

    before: str
    after: str
    moved: bool


class Counted(NamedTuple):
    """What one request took."""

    computed: int  # prompt tokens
    prompt: int
    moved: bool


class Counting:
    """A runner that computes nothing: logits of no interest."""

    batch_invariant = True

    def __init__(self, vocab: int, page_size: int) -> None:
        self.page_size, self.num_pages = page_size, PAGES_OF // page_size
        self._logits_NV = np.zeros((64, vocab), np.float32)

    def step(self, batch: Batch) -> StepResult:
        return StepResult(logits_NV=self._logits_NV[: len(batch.select_N)])


def replay(session: Path) -> Iterator[Keystroke]:
    """The states of the text, one for each event."""
    recorded = json.loads(session.read_text("utf-8"))
    text, cursor = recorded["before"], 0
    for _, kind, *rest in recorded["events"]:
        if kind == "move":
            line, column = rest
            cursor = sum(map(len, text.splitlines(keepends=True)[: line - 1])) + column - 1
        elif kind == "type":
            text = text[:cursor] + rest[0] + text[cursor:]
            cursor += len(rest[0])
        else:
            text = text[: cursor - rest[0]] + text[cursor:]
            cursor -= rest[0]
        yield Keystroke(text[:cursor], text[cursor:], kind == "move")


def count(session: Path, tokenizer: Tokenizer, order: Order, page_size: int) -> list[Counted]:
    """Replay the session as requests to one engine."""
    engine = Engine(Counting(tokenizer.vocab, page_size), context=CONTEXT, vocab=tokenizer.vocab)
    info = ModelInfo(name="counting", context=CONTEXT, abilities=Abilities(infill=True))
    found = []
    with LLM(LocalBackend(engine, tokenizer, info)) as llm:
        for key in replay(session):
            usage = llm.infill(key.before, key.after, order=order, max_tokens=ANSWER).usage
            computed = usage.prompt_tokens - usage.cached_tokens
            found.append(Counted(computed, usage.prompt_tokens, key.moved))
    return found[1:]  # the first request has nothing to take from


def summary(found: list[Counted]) -> str:
    """Mean, median and 95th percentile of the tokens computed anew."""
    computed = [one.computed for one in found]
    if not computed:
        return "none"
    mean, median = statistics.mean(computed), statistics.median(computed)
    return f"{mean:7.1f} {median:7.1f} {np.percentile(computed, 95):7.1f}"


def plot(found: dict[Order, list[Counted]], file: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 4), layout="constrained")
    for order, keys in found.items():
        axes.plot([key.computed for key in keys], ".", markersize=4, label=order.upper())
    longest = max(key.prompt for keys in found.values() for key in keys)
    axes.axhline(longest, color="grey", linewidth=1, linestyle=":", label="longest prompt")
    axes.set_yscale("log")
    axes.set_xlabel("keystroke")
    axes.set_ylabel("prompt tokens computed anew")
    axes.set_title("Prefix reuse while somebody types into the middle of a file")
    axes.legend()
    figure.savefig(file, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="whose tokenizer is used; default: the embedded model")
    parser.add_argument("--session", type=Path, default=HERE / "data" / "typing_session.json")
    parser.add_argument("--plot", type=Path, default=HERE / "results" / "typing_session.png")
    args = parser.parse_args()
    tokenizer = Tokenizer.from_files(open_checkpoint(model_path(args.model)).tokenizer_files())
    shown: dict[Order, list[Counted]] = {}
    print(f"{'':24} {'mean':>7} {'median':>7} {'p95':>7}   prompt tokens computed anew")
    orders: tuple[Order, ...] = ("spm", "psm")
    for order in orders:
        for page_size in (16, 1):
            found = count(args.session, tokenizer, order, page_size)
            shown.setdefault(order, found)
            name = f"{order.upper()}, pages of {page_size}"
            print(f"{name:24} {summary(found)}   of {found[-1].prompt}")
            print(f"{'  at the cursor':24} {summary([f for f in found if not f.moved])}")
            print(f"{'  moved':24} {summary([f for f in found if f.moved])}")
    plot(shown, args.plot)
    print(f"plot: {args.plot}")


if __name__ == "__main__":
    main()
