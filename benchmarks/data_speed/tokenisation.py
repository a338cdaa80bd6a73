"""Whole documents into token ids: Quipu beside tokenizers and sentencepiece, one vocabulary."""

import os
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import sentencepiece
import tokenizers
from data_speed.real_files import PACKAGES, download, python_files
from data_speed.setting import Setting
from tokenizers import models, normalizers

from quipu import sentencepiece_proto
from quipu.data.tokens.spans import syntax_spans
from quipu.data.tokens.stage import write_shard
from quipu.data.tokens.writing import shard_files
from quipu.text.encoder import Encoder
from quipu.text.pieces import SPACE
from quipu.text.tokenizer import Tokenizer
from quipu.text.vocabulary import train_tokenizer

VOCAB = 16_384
TRAINED_ON, ENCODED = 30_000_000, 20_000_000  # bytes of different files
Encode = Callable[[str], Sequence[int]]


def report(setting: Setting) -> str:
    """Measure, check that all give the same ids, and say so."""
    learned, texts = _texts(setting)
    setting.say(f"training {VOCAB:,} pieces")
    begun = time.process_time()
    model = train_tokenizer(learned, VOCAB)
    training_s = time.process_time() - begun
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    contenders = _contenders(model)
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    expected: list[list[int]] | None = None
    for turn in range(setting.rounds):
        for name in _rotated(list(contenders), turn):
            encode = contenders[name]()
            begun = time.process_time()
            found = [encode(text) for text in texts]
            seconds[name].append(time.process_time() - begun)
            setting.say(f"{name}: {megabytes / seconds[name][-1]:.1f} MB/s")
            ids = [list(map(int, one)) for one in found]
            expected = expected or ids
            assert ids == expected, f"{name} gives other ids"
    assert expected is not None
    stage = _stage(setting, model, texts)
    speeds = {name: megabytes / statistics.median(times) for name, times in seconds.items()}
    rows = [
        f"| {name} | {speed:.1f} | {speed / speeds['tokenizers']:.2f} | {_range(seconds[name])} |"
        for name, speed in speeds.items()
    ]
    parts = [f"| {name} | {megabytes / taken:.1f} |" for name, taken in stage.items()]
    return "\n".join(
        [
            "# Tokenisation\n",
            f"    python benchmarks/data.py --only tokenisation --rounds {setting.rounds} "
            f"--files {setting.files}\n",
            f"{len(texts):,} Python files, {megabytes:.1f} MB, from the wheels of "
            f"{len(PACKAGES)} packages; {VOCAB:,} pieces trained on {len(learned):,} other files "
            f"({sum(map(len, learned)) / 1e6:.0f} MB, {training_s:.0f} s). Every document is "
            "encoded whole, one after another. MB/s of processor time, median of rounds in which "
            f"contenders take turns; {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}. "
            f"tokenizers {tokenizers.__version__}, sentencepiece {sentencepiece.__version__}. "
            f"All ids are equal ({sum(map(len, expected)):,} tokens).\n",
            "| | MB/s per core | x tokenizers | s, least to most |",
            "|---|---|---|---|",
            *rows,
            "\nQuipu begins with an empty cache of chunks in every round.\n",
            "The whole stage, from a file of texts to a shard:\n",
            "| | MB/s per core |",
            "|---|---|",
            *parts,
            "",
        ]
    )


def _texts(setting: Setting) -> tuple[list[str], list[str]]:
    """Files to learn from, and others to encode."""
    files = python_files(download(setting.work / "wheels"), setting.files)
    # tokenizers has no way to tell a literal mark from a space.
    texts = [text for _, text in files if SPACE not in text]
    return list(_up_to(texts[::2], TRAINED_ON)), list(_up_to(texts[1::2], ENCODED))


def _up_to(texts: Iterable[str], size: int) -> Iterable[str]:
    for text in texts:
        size -= len(text.encode())
        if size < 0:
            return
        yield text


def _contenders(model: bytes) -> dict[str, Callable[[], Encode]]:
    """What makes each of them anew."""

    def quipu() -> Encode:
        return Encoder(Tokenizer.from_files({"tokenizer.model": model})).encode

    def peer() -> Encode:
        tokenizer = as_tokenizers(model)
        return lambda text: tokenizer.encode(text, add_special_tokens=False).ids

    def library() -> Encode:
        return sentencepiece.SentencePieceProcessor(model_proto=model).EncodeAsIds

    return {"quipu": quipu, "tokenizers": peer, "sentencepiece": library}


def as_tokenizers(model: bytes) -> tokenizers.Tokenizer:
    """The same vocabulary in the tokenizers library: every split of a piece is a merge."""
    pieces = sentencepiece_proto.decode(model).pieces
    ids = {piece.text: token_id for token_id, piece in enumerate(pieces)}
    merges: list[tuple[float, int, int, tuple[str, str]]] = []
    for piece in pieces:
        if piece.kind != sentencepiece_proto.NORMAL:
            continue
        for cut in range(1, len(piece.text)):
            left, right = piece.text[:cut], piece.text[cut:]
            if left in ids and right in ids:
                merges.append((-piece.score, ids[left], ids[right], (left, right)))
    pairs = [pair for *_, pair in sorted(merges)]
    peer = tokenizers.Tokenizer(models.BPE(vocab=ids, merges=pairs, byte_fallback=True))
    peer.normalizer = normalizers.Sequence(
        [normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)]
    )
    return peer


def _stage(setting: Setting, model: bytes, texts: Sequence[str]) -> dict[str, float]:
    """Seconds of each part of the stage, median of the rounds."""
    tokenizer = Tokenizer.from_files({"tokenizer.model": model})
    columns: dict[str, Any] = {"number": pa.array(range(len(texts)), pa.int32()), "text": texts}
    columns |= {"package": ["one"] * len(texts), "licence": ["MIT"] * len(texts)}
    taken: dict[str, list[float]] = {"ids": [], "syntax spans": [], "whole stage": []}
    with TemporaryDirectory(dir=setting.work) as name:
        folder = Path(name)
        source, saved = folder / "python-00000.parquet", folder / "tokenizer.model"
        pq.write_table(pa.table(columns), source, row_group_size=256, compression="zstd")
        saved.write_bytes(model)

        def ids() -> None:
            encoder = Encoder(tokenizer)
            for text in texts:
                encoder.encode(text)

        def spans() -> None:
            for number, text in enumerate(texts):
                syntax_spans(text, "python", number)

        def whole() -> None:
            write_shard(*shard_files(folder, "python-00000"), source, saved)

        for _ in range(setting.rounds):
            for part, work in zip(taken, (ids, spans, whole), strict=True):
                begun = time.process_time()
                work()
                taken[part].append(time.process_time() - begun)
    return {part: statistics.median(times) for part, times in taken.items()}


def _rotated(names: list[str], turn: int) -> list[str]:
    turn %= len(names)
    return names[turn:] + names[:turn]


def _range(times: Sequence[float]) -> str:
    return f"{min(times):.2f} to {max(times):.2f}"
