"""Rows for training: tokens a second with packing and infilling, memory, jumps to any row."""

import itertools
import json
import os
import platform
import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from data_speed.real_files import PACKAGES, download, python_files
from data_speed.setting import Setting

from quipu.data.loading.mixture import Infilling, LoaderRecipe, Source
from quipu.data.loading.rows import Loader
from quipu.data.tokens.reading import TokenShards
from quipu.data.tokens.spans import syntax_spans
from quipu.text.encoder import Encoder
from quipu.text.tokenizer import Tokenizer
from quipu.text.vocabulary import train_tokenizer

VOCAB = 16_384
FILES = 3000
TRAINED_ON = 3_000_000  # bytes
TOKENS = 4_000_000  # that each round makes into rows
MANY = 1_000_000  # documents, for the jumps
SHORT = 400  # tokens of each of those, on average; log-normal
ROW_TOKENS = (512, 1024, 2048)
HOW = {
    "infilling 0.9": Infilling(rate=0.9),
    "infilling 0.9, half of it syntax": Infilling(rate=0.9, syntax=0.5),
    "plain": Infilling(rate=0.0),
}
JUMPS = 8
APART = 7_919  # rows between jumps; a prime
Document = tuple[np.ndarray, np.ndarray]  # ids and spans


def report(setting: Setting) -> str:
    """Measure; the results as Markdown."""
    files = python_files(download(setting.work / "wheels"), setting.files)
    texts = [text for _, text in files[:: max(1, len(files) // FILES)]]
    setting.say(f"training {VOCAB:,} pieces")
    tokenizer = Tokenizer.from_files({"tokenizer.model": _trained(texts)})
    encoder = Encoder(tokenizer)
    documents = [
        (np.array(encoder.encode(text), dtype="<u2"), syntax_spans(text, "python", number))
        for number, text in enumerate(texts)
    ]
    shards = _write(setting.work / "loader-files", tokenizer, documents)
    speeds = [_row(*found) for found in _speeds(setting, shards, tokenizer)]
    packs = Source(group="python", weight=1.0, packages=True)
    long = _speed(setting, _loader(shards, tokenizer, 16_384, HOW["infilling 0.9"], packs))
    setting.say(f"writing {MANY:,} documents")
    random = np.random.default_rng(0)
    lengths = (random.lognormal(np.log(SHORT) - 0.5, 1.0, MANY).astype(int) + 1).tolist()
    none = np.zeros((0, 2), dtype="<i4")
    short = (
        (ids[:length], none)
        for (ids, _), length in zip(itertools.cycle(documents), lengths, strict=False)
    )
    many = _write(setting.work / "loader-many", tokenizer, short)
    jumps = [_jumps(setting, many, tokenizer, row_tokens) for row_tokens in ROW_TOKENS]
    shutil.rmtree(setting.work / "loader-many")
    mean = statistics.mean(len(ids) for ids, _ in documents)
    return "\n".join(
        [
            "# Loader\n",
            f"    python benchmarks/data.py --only loader --rounds {setting.rounds} "
            f"--files {setting.files}\n",
            f"{len(texts):,} Python files from the wheels of {len(PACKAGES)} packages, {mean:,.0f} "
            f"tokens each on average ({VOCAB:,} pieces). One process, one thread; tokens that are "
            "not padding a second of processor time, median of the rounds. Python "
            f"{platform.python_version()}, numpy {np.__version__}, {os.cpu_count()} processors, "
            f"load {os.getloadavg()[0]:.1f}. Memory is what the process holds of its own after "
            "the rounds beyond what it held after the first row.\n",
            "| rows of | | M tokens/s per core | padding | infilled | of these SPM | memory, MB |",
            "|---|---|---|---|---|---|---|",
            *speeds,
            _row(16_384, "files of a package, infilling 0.9", *long),
            f"\nJumps to rows of epochs not seen before, {MANY:,} documents of {SHORT} tokens on "
            "average: the order of the epoch, the block and the row are made anew, nothing is "
            f"cached but what opening reads. {JUMPS} jumps.\n",
            "| rows of | opened in, s | jump, ms of processor time | most | memory, MB |",
            "|---|---|---|---|---|",
            *jumps,
            "",
        ]
    )


def _row(row_tokens: int, how: str, speed: float, padding: float, *rest: float) -> str:
    infilled, spm, memory = rest
    return (
        f"| {row_tokens} | {how} | {speed / 1e6:.1f} | {padding:.1%} | {infilled:.3f} | "
        f"{spm:.3f} | {memory:+.1f} |"
    )


def _trained(texts: Sequence[str]) -> bytes:
    sizes = itertools.accumulate(len(text) for text in texts)
    some = [text for text, size in zip(texts, sizes, strict=True) if size < TRAINED_ON]
    return train_tokenizer(some, VOCAB)


def _write(
    folder: Path, tokenizer: Tokenizer, documents: Sequence[Document] | Iterator[Document]
) -> TokenShards:
    """One shard; every ten documents share a package. Written at once: a million take a while."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    lengths, spans = [0], [np.zeros((0, 2), dtype="<i4")]
    with (folder / "python-00000.tokens").open("wb") as file:
        for ids, its in documents:
            file.write(ids.tobytes())
            lengths.append(len(ids))
            spans.append(its)
    numbers = np.arange(len(lengths) - 1, dtype="<i4")
    arrays = {
        "offsets": np.cumsum(lengths, dtype="<i8"),
        "documents": numbers,
        "packages": numbers // 10 * 10,
        "spans": np.concatenate(spans).astype("<i4"),
        "span_offsets": np.cumsum([len(its) for its in spans], dtype="<i8"),
    }
    for suffix, array in arrays.items():
        (folder / f"python-00000.{suffix}").write_bytes(array.tobytes())
    counts = {"tokens": sum(lengths), "documents": len(numbers)}
    manifest = {
        "format": 1,
        "dtype": "uint16",
        "vocab": tokenizer.vocab,
        "tokenizer_fingerprint": tokenizer.fingerprint,
        "groups": {
            "python": {**counts, "shards": [{"name": "python-00000", **counts, "sha256": {}}]}
        },
        "licences": {},
        "dropped": [],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return TokenShards.open(folder)


def _loader(
    shards: TokenShards,
    tokenizer: Tokenizer,
    row_tokens: int,
    how: Infilling,
    source: Source | None = None,
) -> Loader:
    sources = (source or Source(group="python", weight=1.0),)
    recipe = LoaderRecipe(sources=sources, row_tokens=row_tokens, infilling=how, seed=1)
    return Loader(shards, tokenizer, recipe)


def _speeds(
    setting: Setting, shards: TokenShards, tokenizer: Tokenizer
) -> Iterator[tuple[int, str, float, float, float, float, float]]:
    for name, row_tokens in itertools.product(HOW, ROW_TOKENS):
        found = _speed(setting, _loader(shards, tokenizer, row_tokens, HOW[name]))
        setting.say(f"rows of {row_tokens}, {name}: {found[0] / 1e6:.1f}M tokens/s")
        yield row_tokens, name, *found


def _speed(setting: Setting, loader: Loader) -> tuple[float, float, float, float, float]:
    """Tokens a second, padding, shares of infilling and SPM, memory gained."""
    index, speeds, rows = 1, [], []
    loader.row(0)
    before = _own_megabytes()
    for _ in range(setting.rounds):
        held, begun = 0, time.process_time()
        count = TOKENS // loader.recipe.row_tokens
        for row in map(loader.row, range(index, index + count)):
            held += int((row.document_T >= 0).sum())
        speeds.append(held / (time.process_time() - begun))
        index += count
    memory = _own_megabytes() - before
    rows = [loader.row(number) for number in range(index - count, index)]
    padding = float(np.mean([(row.document_T < 0).mean() for row in rows]))
    return statistics.median(speeds), padding, *_shares(loader, rows), memory


def _shares(loader: Loader, rows: Sequence[object]) -> tuple[float, float]:
    """How many samples are infilled, and how many of those in SPM order."""
    special, bos = loader.tokenizer.infill, loader.tokenizer.bos_id
    tokens = np.concatenate([row.tokens_T for row in rows])
    samples = int((tokens == bos).sum())
    infilled = int((tokens == special.mid).sum())
    spm = int(((tokens[:-1] == special.pre) & (tokens[1:] == special.suf)).sum())
    return infilled / samples, spm / max(infilled, 1)


def _jumps(setting: Setting, shards: TokenShards, tokenizer: Tokenizer, row_tokens: int) -> str:
    begun = time.process_time()
    loader = _loader(shards, tokenizer, row_tokens, HOW["infilling 0.9"])
    opened = time.process_time() - begun
    (epoch_rows,), before = loader.epoch_rows, _own_megabytes()
    taken = [
        _timed(lambda n=number: loader.row((n + 1) * epoch_rows + n * APART % epoch_rows))
        for number in range(JUMPS)
    ]
    middle = 1000 * statistics.median(taken)
    setting.say(f"rows of {row_tokens}: a jump takes {middle:.0f} ms")
    return (
        f"| {row_tokens} | {opened:.1f} | {middle:.1f} | {1000 * max(taken):.1f} | "
        f"{_own_megabytes() - before:+.1f} |"
    )


def _timed(call: Callable[[], object]) -> float:
    begun = time.process_time()
    call()
    return time.process_time() - begun


def _own_megabytes() -> float:
    """Memory of this process that no file backs."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))
