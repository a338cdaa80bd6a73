"""The seam between the tokenizer and the library that splits text: what a vocabulary must tell."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

# SentencePiece writes a space as this character; in a text it is a literal and must survive.
SPACE = "\u2581"

# Control tokens by their spelling, whatever type their file gives them.
_SPECIAL = re.compile(r"<PRE>|<SUF>|<MID>|(?:<EOT>)+|<step>|<FILL_ME>|<\|[^|]+\|>")
_ENDS = ("<unk>", "<s>", "</s>")


class Pieces(Protocol):
    """A vocabulary and its merges, freed of everything a library adds on its own."""

    @property
    def bos_id(self) -> int | None: ...

    @property
    def eos_id(self) -> int | None: ...

    @property
    def adds_space(self) -> bool:
        """Whether texts begin with a dummy space."""

    @property
    def specials(self) -> Mapping[str, int]:
        """Canonical spelling -> id. No plain text ever becomes one of these ids."""

    @property
    def token_bytes(self) -> Sequence[bytes]:
        """Bytes that each id adds to the text; empty for specials."""

    @property
    def joined(self) -> frozenset[str] | None:
        """Texts of the pieces that characters can be joined into, with plain spaces.

        None where more than its own characters decides how a stretch of text is split; see
        `boundaries`.
        """

    @property
    def fingerprint(self) -> str: ...

    def encode(self, text: str) -> list[int]:
        """Ids of plain text, exactly as it stands: nothing added, nothing special."""


def is_special(piece: str) -> bool:
    """Whether a piece is a control token by its spelling, whatever the file says of its type."""
    return piece in _ENDS or _SPECIAL.fullmatch(canonical(piece)) is not None


def canonical(piece: str) -> str:
    """Spelling of a special without SentencePiece's mark: `▁<PRE>` is `<PRE>`."""
    return piece[1:] if piece.startswith(SPACE) else piece


def encode_literal_marks(
    encode: Callable[[str], list[int]], text: str, mark_ids: Sequence[int]
) -> list[int]:
    """Encode `text` with `encode`, but write each literal U+2581 as the byte tokens `mark_ids`."""
    if SPACE not in text:
        return encode(text)
    ids: list[int] = []
    for position, part in enumerate(text.split(SPACE)):
        if position:
            ids += mark_ids
        if part:
            ids += encode(part)
    return ids
