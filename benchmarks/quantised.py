"""What weights of 8 and 4 bits cost in perplexity and save in bytes.

    python benchmarks/quantised.py [--model PATH] [--backend native|torch] [--parts N]

Perplexity by token, left to right, each part on its own, on held-out parts of the recipe that made
the embedded model (run it where the recipe's sources are installed in the same versions). Parts of
the standard library are left out, because weights of 4 bits are fitted to its files.
"""

import argparse
import math
import tempfile
from pathlib import Path

from quipu.checkpoint import convert, open_checkpoint
from quipu.checkpoint.conversion import Rounding
from quipu.cli.recipes import find_recipe
from quipu.data.packing import Part
from quipu.llm import load, model_path
from quipu.quantise import calibrated_on
from quipu.train.loop import Corpus
from quipu.train.recipe import TrainRecipe


def perplexity(path: Path, backend: str, parts: list[Part]) -> float:
    """Of all tokens but those that begin a part."""
    nats, count = 0.0, 0
    with load(path, backend) as llm:
        for part in parts:
            ids = [llm.tokenizer.bos_id or 0, *llm.tokenizer.encode(part.text)]
            scores = llm.score(ids[: llm.info.context])
            nats -= float(scores.sum())
            count += len(scores)
    return math.exp(nats / count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model")
    parser.add_argument("--backend", default="native", choices=("native", "torch"))
    parser.add_argument("--parts", type=int, default=10**9, help="held-out parts to read at most")
    parser.add_argument("--recipe", default="quipu_recipes.embedded:installed_python")
    args = parser.parse_args()
    source = model_path(args.model)
    held = Corpus.read(find_recipe(args.recipe, TrainRecipe)).validation
    held = [part for part in held if not part.id.startswith("stdlib/")][: args.parts]
    opened = open_checkpoint(source)
    ways: list[tuple[str, str | None, Rounding | None]] = [
        ("as it is", None, None),
        ("int8", "q8_0", None),
        ("int4, rounded", "q4_0", None),
        ("int4, fitted", "q4_0", calibrated_on(opened, None)),
    ]
    print(f"{len(held)} parts, backend {args.backend}")
    first = None
    with tempfile.TemporaryDirectory() as folder:
        for name, dtype, rounding in ways:
            path = Path(folder) / f"{name}.quipu"
            convert(source, path, to="native", dtype=dtype, rounding=rounding)
            found = perplexity(path, args.backend, held)
            first = first or found
            size = open_checkpoint(path).weight_bytes()
            change = found / first - 1
            print(f"{name:<14} {size / 1e6:9.2f} MB  perplexity {found:7.4f}  {change:+.2%}")


if __name__ == "__main__":
    main()
