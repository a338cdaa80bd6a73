"""Safe boundaries of a vocabulary: places where a text may be cut without changing its tokens.

Between characters a and b that stand side by side inside no piece, no token ever reaches across.
So the ids of a text are those of its chunks, end to end, each encoded on its own:

    encode(text, dummy_prefix=False) == sum(encode(c, dummy_prefix=False) for c in chunks(text))

and, where a dummy space is put first, `encode(text)` is that of `" " + text` unless it is empty.

Why this holds for SentencePiece's BPE with byte fallback, with a = the last character before a cut
and b = the first after it, ab in no piece:

1. The text becomes symbols: user-defined pieces, matched longest first from the left, and single
   characters between them. A match that held a and b would make them neighbours inside a piece, so
   none does; the scan therefore stops at the cut exactly, and matches the same on both sides.
   Normalising is the identity but for a space, which becomes U+2581 whatever surrounds it (a
   vocabulary that rewrites more, or deletes spaces, has no boundaries here).
2. Again and again the two neighbouring symbols are joined whose joint text is the piece of the
   highest score, the leftmost among equals. Text that holds ab is no piece, so nothing is joined
   across the cut. What is joined on one side depends on that side's symbols alone, and the order
   among its own joins is the same in the whole text and in the chunk: by score, then from left to
   right. By induction over the joins both sides end with the symbols they would end with alone.
3. Each symbol that is left becomes its id, or, when it is no piece, the ids of its bytes, one
   character at a time: unknown characters are fused only where there is no byte fallback. Pieces
   of control, unknown and byte type take part in no joining: what they spell makes no neighbours.
4. Runs of spaces: where a piece holds two spaces, no cut between two spaces is safe.
5. A literal U+2581 is written as its three bytes by `Tokenizer`, which encodes what stands before
   and after it separately: it is joined with nothing, and no piece's text holds it once U+2581
   stands for a space.
6. Pieces marked as unused are joined, and taken apart again as they were joined first *anywhere*
   in the text. That is not local: such a vocabulary has no boundaries here.

For a `tokenizer.json` the same argument holds (with ranks for scores) if its model is BPE with byte
fallback without `ignore_merges`, dropout, affixes and merges of byte pieces, its normaliser only
writes spaces as U+2581, it splits, if at all, before each space, and no added token but specials is
matched in the text. Byte-level vocabularies split by a pattern that looks further than one
character: no boundaries.

Every safe boundary of a text lies between two tokens, never inside one. Tokens know the classes of
their first and last characters, so boundaries can be found in ids without their text.
"""

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from quipu.text.tokenizer import Tokenizer

Bools = npt.NDArray[np.bool_]
Classes = npt.NDArray[np.uint16]

_LONE = 0  # characters that stand beside another inside no piece


class Boundaries:
    """Where texts and ids of one vocabulary may be cut. Immutable once made.

    Characters that join alike share a class. `joins_KK[a, b]`: a character of class b may follow
    one of class a inside a piece, so that no cut may fall between them. `first_V` and `last_V` are
    the classes of a token's first and last character.
    """

    def __init__(self, pieces: Sequence[str], token_bytes: Sequence[bytes]) -> None:
        """`pieces` are the texts that merging can make, with plain spaces."""
        letters, joins = _letter_joins(pieces)
        whole = set(pieces)
        class_of_letter, self.joins_KK = _classes(joins, [letter in whole for letter in letters])
        self._class_of = np.zeros(0x110000, dtype=np.uint16)
        self._class_of[[ord(letter) for letter in letters]] = class_of_letter
        self._spelled = len(self.joins_KK) - 2  # class of characters that are written as bytes
        self._inside = len(self.joins_KK) - 1  # class of bytes that begin no character
        ends = [self._ends(data) for data in token_bytes]
        self.first_V = np.array([first for first, _ in ends], dtype=np.uint16)
        self.last_V = np.array([last for _, last in ends], dtype=np.uint16)

    @staticmethod
    def of(tokenizer: Tokenizer) -> "Boundaries | None":
        """Boundaries of a vocabulary; None where the proof above does not hold."""
        if tokenizer.joined is None:
            return None
        return Boundaries(sorted(tokenizer.joined), tokenizer.token_bytes)

    def safe(self, a: str, b: str) -> bool:
        """Whether a text may be cut between characters a and b."""
        return not self.joins_KK[self._class_of[ord(a)], self._class_of[ord(b)]]

    def cuts(self, text: str) -> Bools:
        """Whether the text may be cut before each of its characters; false for the first."""
        codes = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
        cuts = np.zeros(len(codes), dtype=np.bool_)
        classes = self._class_of.take(codes).astype(np.intp)
        pairs = classes[:-1] * len(self.joins_KK) + classes[1:]
        np.logical_not(self.joins_KK.ravel().take(pairs), out=cuts[1:])
        return cuts

    def chunks(self, text: str) -> list[str]:
        """The text cut at every safe boundary."""
        places = [*np.flatnonzero(self.cuts(text)).tolist(), len(text)]
        return [text[i:j] for i, j in itertools.pairwise([0, *places])] if text else []

    def between(self, ids: npt.ArrayLike) -> Bools:
        """Whether the text of `ids` may be cut before each of them, and after the last: [ids + 1].

        Both ends are true: a text begins and ends there.
        """
        found = np.asarray(ids).astype(np.intp)
        cuts = np.ones(len(found) + 1, dtype=np.bool_)
        cuts[1:-1] = ~self.joins_KK[self.last_V[found[:-1]], self.first_V[found[1:]]]
        return cuts

    def before(self, ids: Sequence[int] | npt.NDArray[np.integer], place: int) -> int:
        """The last place, up to `place`, where the text of `ids` may be cut: before ids[result]."""
        while 0 < place < len(ids) and not self._safe_ids(ids[place - 1], ids[place]):
            place -= 1
        return place

    def after(self, ids: Sequence[int] | npt.NDArray[np.integer], place: int) -> int:
        """The first place, from `place` on, where the text of `ids` may be cut."""
        while 0 < place < len(ids) and not self._safe_ids(ids[place - 1], ids[place]):
            place += 1
        return place

    def _safe_ids(self, left: int | np.integer, right: int | np.integer) -> bool:
        return not self.joins_KK[self.last_V[left], self.first_V[right]]

    def _ends(self, data: bytes) -> tuple[int, int]:
        """Classes of the first and last character of a token; specials join with nothing."""
        if not data:
            return _LONE, _LONE
        try:
            text = data.decode()
        except UnicodeDecodeError:  # one byte of a character
            return (self._spelled if data[0] >= 0xC0 else self._inside), self._spelled
        return int(self._class_of[ord(text[0])]), int(self._class_of[ord(text[-1])])


def _letter_joins(pieces: Sequence[str]) -> tuple[list[str], Bools]:
    """Characters that have a neighbour inside some piece, and which may follow which: [n, n]."""
    pairs = {pair for piece in pieces for pair in itertools.pairwise(piece)}
    letters = sorted({letter for pair in pairs for letter in pair})
    place = {letter: number for number, letter in enumerate(letters)}
    joins = np.zeros((len(letters), len(letters)), dtype=np.bool_)
    for a, b in pairs:
        joins[place[a], place[b]] = True
    return letters, joins


def _classes(joins: Bools, whole: Sequence[bool]) -> tuple[list[int], Bools]:
    """Class of each letter, and which class may follow which.

    After the classes of letters come two for bytes: of characters that were written as bytes, which
    may be any letter that is not a piece by itself (`whole`), and of those inside a character,
    before which nothing may be cut.
    """
    number: dict[bytes, int] = {}
    first_of: list[int] = []
    class_of = []
    for letter in range(len(joins)):
        alike = joins[letter].tobytes() + joins[:, letter].tobytes()
        if alike not in number:
            number[alike] = len(first_of) + 1
            first_of.append(letter)
        class_of.append(number[alike])
    size = len(first_of)
    table = np.zeros((size + 3, size + 3), dtype=np.bool_)
    table[1 : size + 1, 1 : size + 1] = joins[np.ix_(first_of, first_of)]
    bare = sorted({class_of[letter] for letter, alone in enumerate(whole) if not alone})
    spelled, inside = size + 1, size + 2
    table[spelled] = table[bare].any(axis=0)
    table[:, spelled] = table[:, bare].any(axis=1)
    table[spelled, spelled] = table[np.ix_(bare, bare)].any()
    table[:, inside] = True
    return class_of, table
