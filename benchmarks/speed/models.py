"""Models of random weights in Hugging Face's layout, with a tokenizer that every engine accepts."""

import dataclasses
import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from quipu.checkpoint import StoredTensor, TensorSpec
from quipu.checkpoint.hf import HfWriter
from quipu.config import SIZES, Abilities, ModelConfig
from quipu.counts import weight_shapes
from quipu.llm import TRAINED, embedded_models
from quipu.sentencepiece_proto import NORMAL, Piece, SentencePieceProto, decode, encode

STD = 0.02
BLOCK = 1 << 22  # random numbers drawn once; weights are read from it at changing places

SHAPES: dict[str, ModelConfig] = {
    "nano": ModelConfig(
        dim=512,
        layers=8,
        heads=8,
        kv_heads=8,
        ffn=1408,
        vocab=16384,
        context=2048,
        rope_theta=1e4,
    ),
    "1.1b": ModelConfig(
        dim=2048,
        layers=22,
        heads=32,
        kv_heads=4,
        ffn=5632,
        vocab=32016,
        context=2048,
        rope_theta=1e4,
    ),
    "7b": SIZES["7b"],
}


def write_model(name: str, folder: Path) -> None:
    """Write the model of that name, bf16, normal weights; the folder appears when it is whole."""
    config = SHAPES[name]
    shapes = dict(weight_shapes(config))
    specs = {key: TensorSpec(dtype="bf16", shape=shape) for key, shape in shapes.items()}
    aside = folder.with_name(folder.name + ".part")
    shutil.rmtree(aside, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    writer = HfWriter(aside, config, Abilities(), specs, _tokenizer_files(config.vocab), 1)
    stock = _bf16(np.random.default_rng(0).normal(0, STD, BLOCK).astype(np.float32))
    for number, (key, shape) in enumerate(shapes.items()):
        if len(shape) == 1:
            data = _bf16(np.ones(shape, np.float32))
        else:
            data = _cut(stock, number * 7919, math.prod(shape)).reshape(shape)
        writer.write(key, StoredTensor(dtype="bf16", shape=shape, data=data))
    writer.finish()
    _name_the_tokenizer_class(aside)
    aside.rename(folder)


def _bf16(values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """Rounded to the nearest: half a unit of what is cut off is added first."""
    return ((values.view(np.uint32) + 0x8000) >> 16).astype(np.uint16)


def _cut(stock: npt.NDArray[np.uint16], start: int, count: int) -> npt.NDArray[np.uint16]:
    """`count` values from `start` on, going round. A prime lap keeps rows from repeating."""
    return np.resize(np.roll(stock[: BLOCK - 3], -start), count)


def _tokenizer_files(vocab: int) -> dict[str, bytes]:
    """The embedded model's tokenizer, filled up to `vocab` with pieces no text is split into."""
    path = embedded_models()[TRAINED] / "tokenizer.model"
    proto = decode(path.read_bytes())
    lowest = min(piece.score for piece in proto.pieces)
    filling = tuple(
        Piece(f"⁂{number}", lowest - number, NORMAL) for number in range(vocab - len(proto.pieces))
    )
    full = dataclasses.replace(proto, pieces=proto.pieces + filling)
    return {"tokenizer.model": encode(full), "tokenizer.json": _tokenizer_json(full)}


def _tokenizer_json(proto: SentencePieceProto) -> bytes:
    """The same for engines that read `tokenizer.json` alone."""
    ids = {piece.text: token for token, piece in enumerate(proto.pieces)}
    specials = [token for token, piece in enumerate(proto.pieces) if piece.kind in (2, 3)]
    escape = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    unescape = {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}
    return json.dumps(
        {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [_special(token, proto.pieces[token].text) for token in specials],
            "normalizer": {
                "type": "Sequence",
                "normalizers": [{"type": "Prepend", "prepend": "▁"}, escape],
            },
            "pre_tokenizer": None,
            "post_processor": None,
            "decoder": {
                "type": "Sequence",
                "decoders": [unescape, {"type": "ByteFallback"}, {"type": "Fuse"}],
            },
            "model": {
                "type": "BPE",
                "dropout": None,
                "unk_token": "<unk>",
                "continuing_subword_prefix": None,
                "end_of_word_suffix": None,
                "fuse_unk": True,
                "byte_fallback": True,
                "vocab": ids,
                "merges": list(_merges(proto, ids)),
            },
        },
        ensure_ascii=False,
    ).encode()


def _special(token: int, text: str) -> dict[str, object]:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {"id": token, "content": text, **flags, "special": True}


def _merges(proto: SentencePieceProto, ids: dict[str, int]) -> Iterator[list[str]]:
    """Pairs that make a piece, most likely piece first."""
    learnt = [piece for piece in proto.pieces if piece.kind == NORMAL]
    for piece in sorted(learnt, key=lambda piece: -piece.score):
        for cut in range(1, len(piece.text)):
            left, right = piece.text[:cut], piece.text[cut:]
            if left in ids and right in ids:
                yield [left, right]


def _name_the_tokenizer_class(folder: Path) -> None:
    """Without infilling marks: not all engines know Code Llama's class."""
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text())
    settings |= {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>"}
    path.write_text(json.dumps(settings, indent=2) + "\n")
