"""Vocabularies for tests: made by hand, trained on our own sources, or built from `../shared`."""

import json
import struct
from collections.abc import Iterable
from pathlib import Path

import sentencepiece
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from quipu.text.tokenizer import Tokenizer
from quipu.text.vocabulary import train_tokenizer
from quipu.wire import BYTES, FIXED32, VARINT, Field, read_fields, write_fields

REPOSITORY = Path(__file__).resolve().parents[3]
SHARED = REPOSITORY.parent / "shared" / "data" / "tokenizer"
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE = 1, 2, 3, 4, 6

# The vocabulary made by hand: ids 0-2 ends, 3-258 bytes, then these from 259, then the specials.
LETTERS = list("▁abcdefghijklmnopqrstuvwxyz()[]{}<>/=+-*:;,.'\"#0123456789SYNTIRPEUFMODA_☺")
MERGES = ["▁▁", "▁▁▁▁", "in", "re", "▁f", "nt", "▁de", "▁def", "▁re", "pr", "print", "▁print"]
MERGES += ["int", "retu", "rn", "▁retu", "tu", "▁return", "▁<", "PRE", "▁<PRE", "PR"]
INFILL = ["▁<PRE>", "▁<SUF>", "▁<MID>", "▁<EOT>"]


def from_json(data: bytes) -> Tokenizer:
    return Tokenizer.from_files({"tokenizer.json": data})


def piece_field(text: str, score: float = 0.0, kind: int = NORMAL) -> Field:
    fields = [
        Field(1, BYTES, text.encode()),
        Field(2, FIXED32, struct.pack("<f", score)),
        Field(3, VARINT, kind),
    ]
    return Field(1, BYTES, write_fields(fields))


def handmade_model(extra: Iterable[str] = INFILL, extra_kind: int = NORMAL) -> bytes:
    """A SentencePiece model small enough to work out its ids with a pencil."""
    fields = [piece_field("<unk>", kind=UNKNOWN)]
    fields += [piece_field(name, kind=CONTROL) for name in ("<s>", "</s>")]
    fields += [piece_field(f"<0x{byte:02X}>", kind=BYTE) for byte in range(256)]
    learned = [*MERGES, *LETTERS]
    for rank, text in enumerate(learned):
        fields.append(piece_field(text, -float(rank)))
    fields += [piece_field(text, -1000.0 - rank, extra_kind) for rank, text in enumerate(extra)]
    trainer = [Field(3, VARINT, 2), Field(35, VARINT, 1)]  # BPE, byte fallback
    normalizer = [Field(1, BYTES, b"identity"), Field(4, VARINT, 0)]  # keep spaces
    return write_fields(
        [*fields, Field(2, BYTES, write_fields(trainer)), Field(3, BYTES, write_fields(normalizer))]
    )


def source_texts() -> list[str]:
    """Our own sources: text that is always there."""
    files = sorted((REPOSITORY / "src" / "quipu" / "text").glob("*.py"))
    return [file.read_text(encoding="utf-8") for file in files]


def tiny_model() -> bytes:
    return train_tokenizer(source_texts(), 700)


def llama2_model() -> bytes:
    return (SHARED / "llama2-tokenizer.model").read_bytes()


def code_llama_model(*, step: bool = False) -> bytes:
    """Llama 2's model with Code Llama's 16 pieces as ordinary ones, as they are in Meta's file.

    With `step` the last one is 70B's `<step>`, which a user's text could spell.
    """
    extra = json.loads((SHARED / "codellama-extra-pieces.json").read_text(encoding="utf-8"))
    fields = list(read_fields(llama2_model()))
    scores = [-32000.0 - rank for rank in range(len(extra))]
    added = [piece_field(text, score) for text, score in zip(extra, scores, strict=True)]
    if step:
        added[-1] = piece_field("<step>", 0.0, USER_DEFINED)
    last = max(place for place, field in enumerate(fields) if field.number == 1)
    return write_fields([*fields[: last + 1], *added, *fields[last + 1 :]])


def llama_json(model: bytes, *, metaspace: bool = False) -> bytes:
    """The tokenizer.json that Hugging Face's converter would make of a SentencePiece model."""
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    pieces = [processor.IdToPiece(token_id) for token_id in range(processor.GetPieceSize())]
    id_of = {piece: token_id for token_id, piece in enumerate(pieces)}
    merges: list[tuple[float, int, int, list[str]]] = []
    for token_id, piece in enumerate(pieces):
        if processor.IsControl(token_id) or processor.IsByte(token_id):
            continue
        for cut in range(1, len(piece)):
            left, right = piece[:cut], piece[cut:]
            if left in id_of and right in id_of:
                score = processor.GetScore(token_id)
                merges.append((-score, id_of[left], id_of[right], [left, right]))
    merges.sort()
    specials = [
        {"id": id_of[piece], "content": piece, "special": True, "single_word": False}
        | {"lstrip": False, "rstrip": False, "normalized": False}
        for piece in pieces
        if piece in ("<unk>", "<s>", "</s>", "<step>", *INFILL)
    ]
    prepend = {"type": "Prepend", "prepend": "▁"}
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    space = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": False}
    begin = {"SpecialToken": {"id": "<s>", "type_id": 0}}
    template = {
        "type": "TemplateProcessing",
        "single": [begin, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [begin, {"Sequence": {"id": "A", "type_id": 0}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
    }
    steps = [{"type": "ByteFallback"}, {"type": "Fuse"}]
    strip = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
    restore = {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}
    parsed = {
        "version": "1.0",
        "added_tokens": specials,
        "normalizer": None
        if metaspace
        else {"type": "Sequence", "normalizers": [prepend, replace]},
        "pre_tokenizer": space if metaspace else None,
        "post_processor": template,
        "decoder": {"type": "Sequence", "decoders": [restore, *steps, strip]},
        "model": {
            "type": "BPE",
            "unk_token": "<unk>",
            "fuse_unk": True,
            "byte_fallback": True,
            "vocab": id_of,
            "merges": [pair for *_, pair in merges],
        },
    }
    return json.dumps(parsed, ensure_ascii=False).encode()


def byte_level_json(*, add_prefix_space: bool = False) -> bytes:
    """A byte-level BPE vocabulary with a special and an added token of spaces."""
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(source_texts(), trainer)
    tokenizer.add_tokens([tokenizers.AddedToken("        ", normalized=False)])
    tokenizer.add_special_tokens(["<|fim|>"])
    data: str = tokenizer.to_str()
    return data.encode()
