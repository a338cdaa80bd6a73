"""How fast rows are made, what memory that takes, and how long a jump to any step lasts.

    python benchmarks/data_loader.py [--documents 1000000] [--seconds 10] [--sources FOLDER]

Text is Python's own library (or FOLDER), with a vocabulary of 16,000 pieces trained on a sample of
it; one process, one thread. For the jumps, documents of it are repeated until there are enough.
"""

import argparse
import hashlib
import json
import resource
import statistics
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from quipu.data.loading.mixture import Infilling, LoaderRecipe, Source
from quipu.data.loading.rows import Loader
from quipu.data.tokens.reading import TokenShards
from quipu.text.tokenizer import Tokenizer
from quipu.text.vocabulary import train_tokenizer

VOCAB = 16_000
SAMPLE_BYTES = 2_000_000
SHORT = 400  # tokens of a document, on average, where there must be very many
ROW_TOKENS = (512, 1024, 2048)
ROWS_APART = 7_919  # between jumps; a prime


def texts(folder: Path) -> Iterator[str]:
    """Python files below a folder, sorted."""
    for path in sorted(folder.rglob("*.py")):
        try:
            text = path.read_text(encoding="utf-8")
        except (UnicodeDecodeError, OSError):
            continue
        if text and len(text) < 200_000:
            yield text


def write_shards(
    folder: Path, tokenizer: Tokenizer, group: str, documents: Sequence[np.ndarray]
) -> TokenShards:
    """One shard without syntax spans; every ten documents share a package."""
    count = len(documents)
    numbers = np.arange(count, dtype="<i4")
    lengths = [len(document) for document in documents]
    arrays = {
        "offsets": np.concatenate([[0], np.cumsum(lengths)]).astype("<i8"),
        "documents": numbers,
        "packages": numbers // 10 * 10,
        "spans": np.zeros((0, 2), dtype="<i4"),
        "span_offsets": np.zeros(count + 1, dtype="<i8"),
    }
    folder.mkdir()
    for suffix, array in arrays.items():
        (folder / f"{group}-00000.{suffix}").write_bytes(array.astype(array.dtype).tobytes())
    with (folder / f"{group}-00000.tokens").open("wb") as file:
        for document in documents:
            file.write(document.astype("<u2").tobytes())
    hashes = {
        suffix: hashlib.sha256(array.tobytes()).hexdigest() for suffix, array in arrays.items()
    }
    shard = {
        "name": f"{group}-00000",
        "tokens": sum(lengths),
        "documents": count,
        "sha256": hashes,
    }
    manifest = {
        "format": 1,
        "dtype": "uint16",
        "vocab": tokenizer.vocab,
        "tokenizer_fingerprint": tokenizer.fingerprint,
        "groups": {group: {"tokens": sum(lengths), "documents": count, "shards": [shard]}},
        "licences": {},
        "dropped": [],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return TokenShards.open(folder)


def speed(loader: Loader, seconds: float) -> tuple[float, float]:
    """Tokens that are no padding per second, and the share of padding; row after row."""
    loader.row(0)
    made = held = index = 0
    begin = time.perf_counter()
    while time.perf_counter() - begin < seconds:
        index += 1
        row = loader.row(index)
        made += len(row.document_T)
        held += int((row.document_T >= 0).sum())
    return held / (time.perf_counter() - begin), 1 - held / made


def jumps(loader: Loader, count: int) -> list[float]:
    """Seconds to a row of an epoch that is not at hand: order, block and row made anew."""
    found = []
    for number in range(count):
        epoch_rows = loader.epoch_rows[0]
        index = (number + 1) * epoch_rows + number * ROWS_APART % epoch_rows
        begin = time.perf_counter()
        loader.row(index)
        found.append(time.perf_counter() - begin)
    return found


def resident_mb() -> float:
    """Memory of this process that no file backs."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def recipe(row_tokens: int, rate: float, **source: object) -> LoaderRecipe:
    """One source without end."""
    sources = (Source(group="python", weight=1.0, **source),)  # type: ignore[arg-type]
    return LoaderRecipe(
        sources=sources, row_tokens=row_tokens, infilling=Infilling(rate=rate), seed=1
    )


def run(folder: Path, sources: Path, documents: int, seconds: float) -> None:
    """Print all figures."""
    found = list(texts(sources))
    sample = "".join(found[:: max(1, sum(map(len, found)) // SAMPLE_BYTES)])
    tokenizer = Tokenizer.from_files({"tokenizer.model": train_tokenizer([sample], VOCAB)})
    ids = [np.array(tokenizer.encode(text), dtype=np.uint16) for text in found]
    shards = write_shards(folder / "real", tokenizer, "python", ids)
    mean = np.mean([len(document) for document in ids])
    print(f"{len(ids)} files of {mean:.0f} tokens on average")
    for rate in (0.9, 0.0):
        for row_tokens in ROW_TOKENS:
            loader = Loader(shards, tokenizer, recipe(row_tokens, rate))
            before = resident_mb()
            rate_per_s, padding = speed(loader, seconds)
            print(
                f"rows of {row_tokens:5}, infilling {rate}: {rate_per_s / 1e6:5.2f}M tokens/s, "
                f"padding {padding:.2%}, memory {resident_mb() - before:+.1f} MB"
            )
    loader = Loader(shards, tokenizer, recipe(16384, 0.9, packages=True))
    rate_per_s, padding = speed(loader, seconds)
    print(f"packages in rows of 16384: {rate_per_s / 1e6:.2f}M tokens/s, padding {padding:.2%}")
    _time_jumps(folder, tokenizer, ids, documents)


def _time_jumps(
    folder: Path, tokenizer: Tokenizer, ids: Sequence[np.ndarray], documents: int
) -> None:
    random = np.random.default_rng(0)
    lengths = random.lognormal(np.log(SHORT) - 0.5, 1.0, documents).astype(int) + 1
    short = [ids[i % len(ids)][:length] for i, length in enumerate(lengths)]
    shards = write_shards(folder / "many", tokenizer, "python", short)
    for row_tokens in ROW_TOKENS:
        begin = time.perf_counter()
        loader = Loader(shards, tokenizer, recipe(row_tokens, 0.9))
        opened = time.perf_counter() - begin
        before = resident_mb()
        taken = jumps(loader, 9)
        print(
            f"{documents} documents, rows of {row_tokens:5}: opened in {opened:.2f} s; jump to "
            f"another epoch {1000 * statistics.median(taken):.1f} ms (median of {len(taken)}, "
            f"most {1000 * max(taken):.1f}), memory {resident_mb() - before:+.1f} MB"
        )


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--sources", type=Path, default=Path(sysconfig.get_paths()["stdlib"]))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder), options.sources, options.documents, options.seconds)


if __name__ == "__main__":
    main()
