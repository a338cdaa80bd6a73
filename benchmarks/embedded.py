"""What the embedded model can do on files it has not seen: compression, single-line infilling.

    python benchmarks/embedded.py [--model PATH] [--lines N] [--recipe MODULE:FUNCTION]

The held-out files of the recipe that made it are used, so run it where the recipe's sources are
installed in the same versions. Single line: one line of a part is taken out, the model writes it
up to the line's end; exact match ignores space around the line. An interval is Wilson's, 95 %.
"""

import argparse
import math

from quipu.cli.recipes import find_recipe
from quipu.data.packing import Part, generator
from quipu.llm import LLM, load
from quipu.text.infill import Order
from quipu.train.loop import Corpus
from quipu.train.recipe import TrainRecipe

SHORTEST_LINE = 8  # characters without the indentation: shorter ones say nothing


def wilson(hits: int, count: int) -> tuple[float, float]:
    """95 % interval of a share."""
    z, share = 1.96, hits / count
    whole = 1 + z * z / count
    middle = (share + z * z / (2 * count)) / whole
    width = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count**2)) / whole
    return middle - width, middle + width


def bits_per_byte(llm: LLM, parts: list[Part]) -> float:
    """Left to right, each part on its own, over the bytes of the tokens predicted."""
    nats, size = 0.0, 0
    for part in parts:
        ids = [llm.tokenizer.bos_id or 0, *llm.tokenizer.encode(part.text)][: llm.info.context]
        nats -= float(llm.score(ids).sum())
        size += sum(len(llm.tokenizer.token_bytes[i]) for i in ids)
    return nats / math.log(2) / size


def gaps(parts: list[Part], count: int) -> list[tuple[str, str, str]]:
    """Text before a line's first visible character, the rest of the line, and what follows."""
    found: list[tuple[str, str, str]] = []
    for part in parts:
        lines = part.text.splitlines(keepends=True)
        usable = [i for i, line in enumerate(lines) if len(line.strip()) >= SHORTEST_LINE]
        if not usable or len(found) == count:
            continue
        at = usable[int(generator("gap", part.id).integers(len(usable)))]
        middle = lines[at].strip()
        before, _, after = lines[at].partition(middle)
        found.append(("".join(lines[:at]) + before, middle, after + "".join(lines[at + 1 :])))
    return found


def exact(llm: LLM, chosen: list[tuple[str, str, str]], order: Order) -> int:
    """How many gaps are filled with exactly the line that stood there."""
    hits = 0
    for before, middle, after in chosen:
        done = llm.infill(before, after, order=order, max_tokens=64, stop="\n")
        hits += done.text.strip() == middle
    return hits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model")
    parser.add_argument("--lines", type=int, default=300)
    parser.add_argument("--recipe", default="quipu_recipes.embedded:installed_python")
    args = parser.parse_args()
    held = Corpus.read(find_recipe(args.recipe, TrainRecipe)).validation
    with load(args.model) as llm:
        print(f"bits per byte on {len(held)} held-out parts: {bits_per_byte(llm, held):.3f}")
        chosen = gaps(held, args.lines)
        orders: tuple[Order, ...] = ("spm", "psm")
        for order in orders:
            hits = exact(llm, chosen, order)
            low, high = wilson(hits, len(chosen))
            print(
                f"single-line infilling, {order.upper()}: {hits} of {len(chosen)} exact, "
                f"{hits / len(chosen):.1%} ({low:.1%} to {high:.1%})"
            )


if __name__ == "__main__":
    main()
