"""Samples from stretches of token ids: plain, or rearranged for infilling.

The ids are those that encoding the texts gives, `[BOS, *encode(text), EOS]` or
`quipu.text.infill.document(tokenizer, prefix, middle, suffix, order)`, but only what lies around a
cut, up to the next safe boundaries (`quipu.text.boundaries`), is encoded anew; a test holds both
ways together. All stretches of a row are cut at once, since a call of numpy takes as long for all
of them as for one.

Random numbers are keyed by (seed, epoch, document number, start of the stretch in its document).
Draws: 0 infilling or not, 1 order, 2 and 3 cuts, 4 syntax, lines or characters, 5 which syntax or
line, 6 how many lines more, 7 and 8 where the first one is cut, 9 whether the last one ends.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from quipu.data.loading import draws
from quipu.data.loading.facts import Facts, characters
from quipu.data.loading.mixture import Infilling
from quipu.errors import AbilityError
from quipu.text.tokenizer import InfillIds, Tokenizer

Ids = npt.NDArray[np.integer[Any]]
Spans = npt.NDArray[np.int32]
Piece = Sequence[int] | Ids
Kind = Literal["plain", "psm", "spm"]


@dataclass(frozen=True, slots=True)
class Slice:
    """A stretch of one document: ids from `start` on; `ends` where the document does."""

    ids: Ids
    number: int  # of the document in documents.parquet
    start: int
    ends: bool
    before: Callable[[], Ids]  # ids of the document before `start`
    spans: Callable[[], Spans]  # byte ranges of the document's syntax


@dataclass(frozen=True)
class Sample:
    """Ids of one sample, in pieces that follow each other."""

    kind: Kind
    pieces: Sequence[Piece]

    @cached_property
    def length(self) -> int:
        """Tokens of the sample."""
        return sum(map(len, self.pieces))


class Arranger:
    """Makes samples with one tokenizer. Raises AbilityError if it cannot infill and is asked to."""

    def __init__(self, tokenizer: Tokenizer, facts: Facts, how: Infilling, seed: int) -> None:
        if how.rate and tokenizer.infill is None:
            raise AbilityError(
                "the vocabulary has no infilling tokens",
                got=f"infilling rate {how.rate}",
                allowed="rate 0, or a vocabulary with <PRE>, <SUF>, <MID> and <EOT>",
            )
        self._tokenizer, self._facts, self._how, self._seed = tokenizer, facts, how, seed
        self._bos = [] if tokenizer.bos_id is None else [tokenizer.bos_id]
        self._eos = [] if tokenizer.eos_id is None else [tokenizer.eos_id]

    def samples(self, slices: Sequence[Slice], epoch: int, room: int) -> list[Sample]:
        """A sample of each slice; together no longer than `room`.

        Where they would be, those that infilling made longest stay plain, and then text that
        continues a document begins as it does there, without the dummy space.
        """
        texts = _Texts(self._tokenizer, self._facts, slices)
        draw = draws.states(
            self._seed, epoch, [s.number for s in slices], [s.start for s in slices]
        )
        infilled = draws.uniform(draw, 0) < self._how.rate
        spm = draws.uniform(draw, 1) < self._how.spm
        cuts = np.sort([draws.below(draw, d, texts.characters_S + 1) for d in (2, 3)], axis=0)
        kind = draws.uniform(draw, 4)
        for s in np.flatnonzero(infilled & (kind < self._how.syntax + self._how.lines)):
            chosen = self._syntax if kind[s] < self._how.syntax else self._lines
            cuts[:, s] = chosen(texts, int(s), draw[s : s + 1], cuts[:, s])
        cuts[:, ~infilled] = 0
        texts.cut(cuts)
        made = [
            self._infilled(texts, s, bool(spm[s])) if infilled[s] else self._plain(texts, s)
            for s in range(len(slices))
        ]
        self._shorten(made, texts, room)
        return made

    def _syntax(
        self, texts: "_Texts", s: int, draw: draws.Words, otherwise: Ids
    ) -> Ids | list[int]:
        """Characters at which a stretch of syntax of this slice begins and ends."""
        first = texts.bytes_before(s)
        last = first + texts.bytes_of(s)
        spans = texts.slices[s].spans()
        spans = spans[(spans[:, 0] >= first) & (spans[:, 1] <= last) & (spans[:, 0] < spans[:, 1])]
        if not len(spans):
            return otherwise
        chosen = spans[int(draws.below(draw, 5, len(spans))[0])]
        return [texts.character_at(s, int(byte) - first) for byte in chosen]

    def _lines(self, texts: "_Texts", s: int, draw: draws.Words, otherwise: Ids) -> Ids | list[int]:
        """Characters at which the rest of a line of this slice begins, and it or a later one ends.

        It begins where the line does, after its indentation or anywhere in it; six times in ten
        it ends with this line, else one to four lines later, every other time before the newline.
        """
        lines = texts.text_of(s).split("\n")
        written = [number for number, line in enumerate(lines) if line.strip()]
        if not written:
            return otherwise

        def below(which: int, limit: int) -> int:
            return int(draws.below(draw, which, limit)[0])

        first = written[below(5, len(written))]
        last = min(first + max(0, below(6, 10) - 5), len(lines) - 1)
        line = lines[first]
        inside = (0, len(line) - len(line.lstrip()), below(7, len(line) + 1))[below(8, 3)]
        begin = sum(len(line) + 1 for line in lines[:first]) + inside
        end = begin - inside + sum(len(line) + 1 for line in lines[first : last + 1]) - 1
        return [begin, end + (last < len(lines) - 1 and below(9, 2))]

    def _plain(self, texts: "_Texts", s: int) -> Sample:
        return Sample(
            "plain", [self._bos, *texts.encoded(s, 0, 3, begins=True), *self._end(texts, s)]
        )

    def _as_it_stands(self, texts: "_Texts", s: int) -> Sample:
        """The slice's own ids between BOS and, at the end of its document, EOS."""
        return Sample("plain", [self._bos, texts.slices[s].ids, *self._end(texts, s)])

    def _end(self, texts: "_Texts", s: int) -> list[list[int]]:
        return [self._eos] if texts.slices[s].ends else []

    def _infilled(self, texts: "_Texts", s: int, spm: bool) -> Sample:
        infill: InfillIds | None = self._tokenizer.infill
        assert infill is not None
        suffix = texts.encoded(s, 2, 3, begins=False)
        if spm:
            both = texts.encoded(s, 0, 2, begins=True)
            before = [[*self._bos, infill.pre, infill.suf], *suffix, [infill.mid]]
            return Sample("spm", [*before, *both, [infill.eot]])
        prefix = texts.encoded(s, 0, 1, begins=True)
        middle = texts.encoded(s, 1, 2, begins=False)
        before = [[*self._bos, infill.pre], *prefix, [infill.suf], *suffix]
        return Sample("psm", [*before, [infill.mid], *middle, [infill.eot]])

    def _shorten(self, made: list[Sample], texts: "_Texts", room: int) -> None:
        """Replace samples until they fit: a middle is never truncated, and no text is lost."""
        over = sum(sample.length for sample in made) - room
        if over <= 0:
            return
        for kinds, replaced in ((("psm", "spm"), self._plain), (("plain",), self._as_it_stands)):
            longest = sorted(
                (len(texts.slices[s].ids) - sample.length, s)
                for s, sample in enumerate(made)
                if sample.kind in kinds
            )
            for _, s in longest:
                if over > 0:
                    sample, made[s] = made[s], replaced(texts, s)
                    over -= sample.length - made[s].length


class _Texts:
    """Texts of S slices end to end, known by their ids; each with 4 cuts, itself between the outer.

    L and R are the tokens at the last safe boundary up to a cut and the first from it on, or the
    ends of the slice. Only what lies between them ever becomes a text.
    """

    def __init__(self, tokenizer: Tokenizer, facts: Facts, slices: Sequence[Slice]) -> None:
        self._tokenizer, self._facts, self.slices = tokenizer, facts, slices
        self._ids = np.concatenate([source.ids for source in slices]).astype(np.intp)
        self._first = np.zeros(len(slices) + 1, dtype=np.int64)
        np.cumsum([len(source.ids) for source in slices], out=self._first[1:])
        self._characters = np.zeros(len(self._ids) + 1, dtype=np.int64)  # before each token
        np.cumsum(facts.chars_V[self._ids], out=self._characters[1:])
        # The space that encoding puts before a text is none of its characters.
        self._dummy = [tokenizer.adds_space and source.start == 0 for source in slices]
        self._zero = self._characters[self._first[:-1]] + self._dummy
        self.characters_S = self._characters[self._first[1:]] - self._zero

    def cut(self, cuts: npt.NDArray[np.int64]) -> None:
        """Choose the two inner cuts of each slice, as characters of it: [2, S]."""
        outer = np.zeros((1, len(self.slices)), dtype=np.int64)
        cuts_S4 = np.concatenate([outer, cuts, [self.characters_S]]).T
        self._cuts = cuts_S4.tolist()
        at = cuts_S4 + self._zero[:, None]
        ends = [source.ends for source in self.slices]
        first, last = self._first[:-1, None], self._first[1:, None]
        safe = np.zeros(len(self._ids) + 1, dtype=np.bool_)
        safe[1:-1] = self._facts.safe(self._ids[:-1], self._ids[1:])
        safe[self._first] = False
        places = np.concatenate([[0], np.flatnonzero(safe), [len(self._ids)]])
        found = self._characters[places[1:-1]]
        left = np.maximum(places[np.searchsorted(found, at, side="right")], first)
        right = np.minimum(places[np.searchsorted(found, at, side="left") + 1], last)
        left[ends, 3] = right[ends, 3] = last[ends, 0]
        self._left, self._right = left.tolist(), right.tolist()
        self._inside = (at - self._characters[left]).tolist()

    def encoded(self, s: int, a: int, b: int, *, begins: bool) -> Iterator[Piece]:
        """Ids of the text from cut a to cut b, in pieces; `begins` puts the dummy space first."""
        if self._cuts[s][a] == self._cuts[s][b]:
            return
        right, left = self._right[s][a], self._left[s][b]
        before, after = self._inside[s][a], self._inside[s][b]
        if begins and self._dummy[s] and left > self._first[s]:
            right = int(self._first[s])  # the ids have that space
        elif right > left:
            yield self._encode(self._text(s, b)[before:after], begins)
            return
        else:
            yield self._encode(self._text(s, a)[before:], begins)
        yield self._ids[right:left]
        yield self._encode(self._text(s, b)[:after], False)

    def _encode(self, text: str, begins: bool) -> list[int]:
        return self._tokenizer.encode(text, dummy_prefix=begins) if text else []

    def _text(self, s: int, cut: int) -> str:
        """Text between the safe boundaries around a cut."""
        left, right = self._left[s][cut], self._right[s][cut]
        return b"".join([self._facts.token_bytes[i] for i in self._ids[left:right]]).decode()

    def bytes_before(self, s: int) -> int:
        """Bytes of the document before a slice."""
        source = self.slices[s]
        if not source.start:
            return 0
        return int(self._facts.bytes_V[source.before()].sum()) - self._tokenizer.adds_space

    def bytes_of(self, s: int) -> int:
        """Bytes of a slice's text."""
        return int(self._facts.bytes_V[self.slices[s].ids].sum()) - self._dummy[s]

    def text_of(self, s: int) -> str:
        """A slice's text."""
        ids = self.slices[s].ids.tolist()
        return self._tokenizer.decode(ids, dummy_prefix=bool(self._dummy[s]))

    def character_at(self, s: int, byte: int) -> int:
        """Which character of a slice begins at a byte of it, or, inside one, the next."""
        ids = self.slices[s].ids
        begins = np.cumsum(self._facts.bytes_V[ids]) - self._facts.bytes_V[ids] - self._dummy[s]
        token = int(np.searchsorted(begins, byte, side="right")) - 1
        inside = characters(self._facts.token_bytes[ids[token]][: byte - int(begins[token])])
        return int(self._characters[self._first[s] + token] - self._zero[s]) + inside
