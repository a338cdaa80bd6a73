"""Pieces of a SentencePiece `tokenizer.model`, with its dummy space and specials made ours."""

import hashlib
import struct
from collections.abc import Callable, Mapping
from functools import cached_property

import sentencepiece

from quipu.errors import TokenizerError
from quipu.sentencepiece_proto import (
    BYTE,
    CONTROL,
    DUMMY_PREFIX,
    NORMAL,
    NORMALIZER,
    PIECES,
    SELF_TEST,
    TYPE,
    UNKNOWN,
    UNUSED,
    USER_DEFINED,
    Piece,
    decode,
    read_piece,
)
from quipu.text.pieces import SPACE, canonical, encode_literal_marks, is_special
from quipu.wire import BYTES, VARINT, Field, read_fields, write_fields

_FIXED = (UNKNOWN, CONTROL, BYTE)  # types that no text can reach
_JOINED = (NORMAL, USER_DEFINED)  # types of what characters are joined into
_CONTROL_TYPE = write_fields([Field(TYPE, VARINT, CONTROL)])  # the last type given counts

_BYTE_SPELLING = "<0x{:02X}>"


class SentencePieceModel:
    """A `tokenizer.model` of Llama's kind: byte fallback, spaces kept. Implements `Pieces`."""

    def __init__(self, data: bytes, added: Mapping[str, int] | None = None) -> None:
        """`added` are control tokens kept beside the file, with ids after its pieces."""
        self.adds_space, pieces, patched = _patch(data)
        self._patched = patched
        self._processor = sentencepiece.SentencePieceProcessor()
        try:
            self._processor.LoadFromSerializedProto(patched)
        except (RuntimeError, UnicodeDecodeError) as error:
            raise _unreadable(error) from error
        self.specials = {
            canonical(piece.text): token_id
            for token_id, piece in enumerate(pieces)
            if piece.kind in (CONTROL, UNKNOWN)
        }
        self.token_bytes = [_bytes_of(piece) for piece in pieces]
        beyond = {text: i for text, i in (added or {}).items() if i >= len(pieces)}
        if beyond:
            self.specials |= {canonical(text): token_id for text, token_id in beyond.items()}
            self.token_bytes += [b""] * (max(beyond.values()) + 1 - len(pieces))
        self.bos_id = _id_or_none(self._processor.bos_id())
        self.eos_id = _id_or_none(self._processor.eos_id())
        self._mark_ids = _mark_ids(pieces)
        self.fingerprint = _fingerprint(pieces, self.adds_space, beyond)

    @cached_property
    def joined(self) -> frozenset[str] | None:
        """See `Pieces`; None for another kind than BPE, and where pieces are marked as unused."""
        try:
            proto = decode(self._patched)
        except TokenizerError:
            return None
        if proto.charsmap or any(piece.kind == UNUSED for piece in proto.pieces):
            return None
        return frozenset(
            piece.text.replace(SPACE, " ") for piece in proto.pieces if piece.kind in _JOINED
        )

    def encode(self, text: str) -> list[int]:
        """Ids of plain text without dummy space; a literal U+2581 becomes its three bytes."""
        encode: Callable[[str], list[int]] = self._processor.EncodeAsIds
        return encode_literal_marks(encode, text, self._mark_ids)


def with_dummy_prefix(data: bytes, on: bool) -> bytes:
    """The same model with the dummy space of SentencePiece switched on or off."""
    fields = list(read_fields(data))
    normalizer = b"".join(field.raw() for field in fields if field.number == NORMALIZER)
    settings = [field for field in read_fields(normalizer) if field.number != DUMMY_PREFIX]
    settings.append(Field(DUMMY_PREFIX, VARINT, int(on)))
    return write_fields(
        [
            *(field for field in fields if field.number != NORMALIZER),
            Field(NORMALIZER, BYTES, write_fields(settings)),
        ]
    )


def _patch(data: bytes) -> tuple[bool, list[Piece], bytes]:
    """Whether the model adds a dummy space, its pieces, and the model that we load.

    In the loaded one the dummy space is ours to add, and every special has the control type, which
    no text can reach. In Code Llama's own file a user's ` <PRE>` merges into the control token.
    """
    adds_space, pieces, fields = True, [], []
    try:
        for field in read_fields(data):
            if field.number == PIECES:
                piece = read_piece(field.raw())
                if piece.kind not in _FIXED and is_special(piece.text):
                    piece = piece._replace(kind=CONTROL)
                    field = Field(PIECES, BYTES, field.raw() + _CONTROL_TYPE)
                pieces.append(piece)
            elif field.number == NORMALIZER:
                for setting in read_fields(field.raw()):
                    if setting.number == DUMMY_PREFIX:
                        adds_space = bool(setting.varint())
            if field.number != SELF_TEST:  # the file's own expectations hold a dummy space
                fields.append(field)
        return adds_space, pieces, with_dummy_prefix(write_fields(fields), False)
    except ValueError as error:  # UnicodeDecodeError too
        raise _unreadable(error) from error


def _bytes_of(piece: Piece) -> bytes:
    if piece.kind in (CONTROL, UNKNOWN):
        return b""
    if piece.kind == BYTE:
        return bytes([int(piece.text[3:5], 16)])
    return piece.text.replace(SPACE, " ").encode()


def _mark_ids(pieces: list[Piece]) -> list[int]:
    id_of = {piece.text: token_id for token_id, piece in enumerate(pieces) if piece.kind == BYTE}
    missing = 256 - len(id_of)
    if missing:
        raise TokenizerError(
            "tokenizer.model cannot spell every text",
            got=f"{missing} of 256 byte pieces missing",
            allowed="a SentencePiece model with byte fallback",
        )
    return [id_of[_BYTE_SPELLING.format(byte)] for byte in SPACE.encode()]


def _id_or_none(token_id: int) -> int | None:
    return token_id if token_id >= 0 else None


def _fingerprint(pieces: list[Piece], adds_space: bool, added: Mapping[str, int]) -> str:
    digest = hashlib.sha256(b"sentencepiece" + bytes([adds_space]))
    for text, score, kind in pieces:
        digest.update(struct.pack("<If I", len(text.encode()), score, kind) + text.encode())
    for text, token_id in sorted(added.items()):
        digest.update(f"{token_id} {text}".encode())
    return digest.hexdigest()


def _unreadable(error: Exception) -> TokenizerError:
    return TokenizerError(
        "tokenizer.model cannot be read",
        got=str(error) or type(error).__name__,
        allowed="a SentencePiece model",
        remedy="fetch the file again",
    )
