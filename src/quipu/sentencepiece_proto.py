"""Pieces of SentencePiece's `tokenizer.model`, and the few settings that GGUF carries with them.

Field numbers: sentencepiece_model.proto of github.com/google/sentencepiece.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from quipu.errors import TokenizerError
from quipu.wire import BYTES, FIXED32, VARINT, Field, read_fields, write_fields

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
BPE = 2

PIECES, TRAINER, NORMALIZER, SELF_TEST = 1, 2, 3, 4
TYPE, DUMMY_PREFIX = 3, 3  # of a piece, of the normalizer
_PIECE, _SCORE = 1, 2
_MODEL_TYPE, _VOCAB_SIZE, _SPACE_AS_SUFFIX, _BYTE_FALLBACK = 3, 4, 24, 35
_UNK_ID, _BOS_ID, _EOS_ID, _PAD_ID = 40, 41, 42, 43
_UNK_PIECE, _BOS_PIECE, _EOS_PIECE = 45, 46, 47
_NAME, _CHARSMAP, _REMOVE_SPACES, _ESCAPE_SPACES = 1, 2, 4, 5
_ABSENT = (1 << 64) - 1  # -1 as the varint of an int32


class Piece(NamedTuple):
    """One entry of the vocabulary; `kind` has the same numbers in GGUF."""

    text: str
    score: float
    kind: int


@dataclass(frozen=True, kw_only=True)
class SentencePieceProto:
    """What decides how a SentencePiece BPE model splits text."""

    pieces: tuple[Piece, ...]
    unk_id: int | None
    bos_id: int | None
    eos_id: int | None
    dummy_prefix: bool = True
    remove_extra_spaces: bool = False
    charsmap: bytes = b""


def decode(data: bytes) -> SentencePieceProto:
    """Read a tokenizer.model. Raises TokenizerError for another file, or another kind than BPE."""
    pieces: list[Piece] = []
    trainer: dict[int, int | bytes] = {}
    normalizer: dict[int, int | bytes] = {}
    try:
        for field in read_fields(data):
            if field.number == PIECES:
                pieces.append(read_piece(field.raw()))
            elif field.number == TRAINER:
                trainer |= {inner.number: inner.value for inner in read_fields(field.raw())}
            elif field.number == NORMALIZER:
                normalizer |= {inner.number: inner.value for inner in read_fields(field.raw())}
    except ValueError as error:  # UnicodeDecodeError too
        raise TokenizerError("tokenizer.model cannot be read", got=error) from error
    _check_kind(trainer, normalizer)
    ids = {piece.text: token for token, piece in enumerate(pieces) if piece.kind == CONTROL}
    charsmap = normalizer.get(_CHARSMAP, b"")
    return SentencePieceProto(
        pieces=tuple(pieces),
        unk_id=next((token for token, piece in enumerate(pieces) if piece.kind == UNKNOWN), None),
        bos_id=ids.get(_named(trainer, _BOS_PIECE, "<s>")),
        eos_id=ids.get(_named(trainer, _EOS_PIECE, "</s>")),
        dummy_prefix=bool(normalizer.get(DUMMY_PREFIX, 1)),
        remove_extra_spaces=bool(normalizer.get(_REMOVE_SPACES, 1)),
        charsmap=charsmap if isinstance(charsmap, bytes) else b"",
    )


def _check_kind(trainer: dict[int, int | bytes], normalizer: dict[int, int | bytes]) -> None:
    kind = trainer.get(_MODEL_TYPE, 1)
    if kind != BPE or trainer.get(_SPACE_AS_SUFFIX) or not normalizer.get(_ESCAPE_SPACES, 1):
        raise TokenizerError(
            "GGUF cannot carry this kind of tokenizer.model",
            got=f"model type {kind!r}",
            allowed="BPE (type 2) with spaces as prefixes, as Llama has it",
        )


def _named(trainer: dict[int, int | bytes], number: int, default: str) -> str:
    value = trainer.get(number)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else default


def read_piece(data: bytes) -> Piece:
    """One entry from its bytes. Raises ValueError if they are none."""
    text, score, kind = "", 0.0, NORMAL
    for field in read_fields(data):
        if field.number == _PIECE:
            text = field.raw().decode()
        elif field.number == _SCORE:
            score = field.float32()
        elif field.number == TYPE:
            kind = field.varint()
    return Piece(text, score, kind)


def encode(proto: SentencePieceProto) -> bytes:
    """Write a tokenizer.model that splits text as the description says."""
    fields = [Field(PIECES, BYTES, _write_piece(piece)) for piece in proto.pieces]
    fields.append(Field(TRAINER, BYTES, write_fields(_trainer(proto))))
    normalizer = [
        Field(_NAME, BYTES, b"identity" if not proto.charsmap else b"carried over"),
        Field(_CHARSMAP, BYTES, proto.charsmap),
        Field(DUMMY_PREFIX, VARINT, int(proto.dummy_prefix)),
        Field(_REMOVE_SPACES, VARINT, int(proto.remove_extra_spaces)),
        Field(_ESCAPE_SPACES, VARINT, 1),
    ]
    fields.append(Field(NORMALIZER, BYTES, write_fields(normalizer)))
    return write_fields(fields)


def _trainer(proto: SentencePieceProto) -> Iterable[Field]:
    yield Field(_MODEL_TYPE, VARINT, BPE)
    yield Field(_VOCAB_SIZE, VARINT, len(proto.pieces))
    has_bytes = any(piece.kind == BYTE for piece in proto.pieces)
    yield Field(_BYTE_FALLBACK, VARINT, int(has_bytes))
    for number, text_number, token in (
        (_UNK_ID, _UNK_PIECE, proto.unk_id),
        (_BOS_ID, _BOS_PIECE, proto.bos_id),
        (_EOS_ID, _EOS_PIECE, proto.eos_id),
        (_PAD_ID, None, None),
    ):
        yield Field(number, VARINT, _ABSENT if token is None else token)
        if token is not None and text_number is not None:
            yield Field(text_number, BYTES, proto.pieces[token].text.encode())


def _write_piece(piece: Piece) -> bytes:
    return write_fields(
        (
            Field(_PIECE, BYTES, piece.text.encode()),
            Field(_SCORE, FIXED32, struct.pack("<f", piece.score)),
            Field(TYPE, VARINT, piece.kind),
        )
    )
