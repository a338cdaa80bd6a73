"""What weights of 8 and 4 bits cost in perplexity and save in bytes.

    python benchmarks/quantised.py --corpus FOLDER [--model PATH] [--files N]

Perplexity by token, left to right, each file on its own up to the model's context, on Python that
was held out of a corpus (quipu data build). Weights of 4 bits are fitted to files of the standard
library: hold out something else.
"""

import argparse
import math
import tempfile
from pathlib import Path

from quipu.checkpoint import convert, open_checkpoint
from quipu.checkpoint.conversion import Rounding
from quipu.data.tokens.reading import TokenShards
from quipu.llm import TRAINED, load, model_path
from quipu.quantise import calibrated_on
from quipu.text.tokenizer import Tokenizer

GROUP = "held-out-python"


def held_out(corpus: Path, most: int) -> list[str]:
    """Texts of the first held-out files."""
    shards = TokenShards.open(corpus / "tokens")
    tokenizer, group = Tokenizer.load(shards.folder), shards.group(GROUP)
    return [tokenizer.decode(group.ids(i).tolist()) for i in range(min(most, len(group.documents)))]


def perplexity(path: Path, backend: str, texts: list[str]) -> float:
    """Of all tokens but those that begin a text."""
    nats, count = 0.0, 0
    with load(path, backend) as llm:
        for text in texts:
            ids = [llm.tokenizer.bos_id or 0, *llm.tokenizer.encode(text)]
            scores = llm.score(ids[: llm.info.context])
            nats -= float(scores.sum())
            count += len(scores)
    return math.exp(nats / count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model")
    parser.add_argument("--backend", default="native", choices=("native", "torch"))
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--files", type=int, default=10**9, help="held-out files to read at most")
    args = parser.parse_args()
    source = model_path(args.model or TRAINED)
    held = held_out(args.corpus, args.files)
    opened = open_checkpoint(source)
    ways: list[tuple[str, str | None, Rounding | None]] = [
        ("as it is", None, None),
        ("int8", "q8_0", None),
        ("int4, rounded", "q4_0", None),
        ("int4, fitted", "q4_0", calibrated_on(opened, None)),
    ]
    print(f"{len(held)} files, backend {args.backend}")
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
