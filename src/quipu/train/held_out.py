"""What nobody trains on: stretches of held-out documents to predict, and lines taken out of them.

Stretches and lines are chosen by a key alone, and as text: a model with another tokenizer is asked
about the same text.
"""

import hashlib
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from quipu.data.loading import draws
from quipu.data.loading.axis import Axis
from quipu.data.loading.row import NO_TARGET, Row
from quipu.data.tokens.reading import TokenShards
from quipu.errors import DataError
from quipu.text.tokenizer import Tokenizer

PREFIX = "held-out-"  # of the groups of shards that validation reads
SHORTEST_LINE = 8  # characters without the indentation: shorter ones say nothing

Ids = npt.NDArray[np.int64]


_LINE = re.compile(r"[^\n]*\n|[^\n]+$")


class Token(NamedTuple):
    """A token of a passage."""

    id: int
    bytes: int  # that it adds to the text; 0 for specials
    begins: bool  # a file: nothing before foretells it


Passage = Sequence[Token]  # which see each other


class Scored(NamedTuple):
    """A packed row, and the bytes of text that each target stands for; 0 for specials."""

    row: Row
    bytes_T: Ids


@dataclass(frozen=True, kw_only=True)
class Gap:
    """A line without its indentation and its end, and the text of the document around it."""

    before: str
    line: str
    after: str


class HeldOut:
    """Held-out documents of a corpus, by source."""

    def __init__(self, shards: TokenShards, tokenizer: Tokenizer) -> None:
        """Raises DataError if nothing was held out."""
        self._shards, self.tokenizer = shards, tokenizer
        self.sources = tuple(
            name.removeprefix(PREFIX) for name in shards.groups if name.startswith(PREFIX)
        )
        if not any(len(self._axis(source, False).kept) for source in self.sources):
            raise DataError(
                f"{shards.folder} holds nothing out",
                got=", ".join(shards.groups) or "no groups",
                allowed=f"groups that begin with {PREFIX}",
                remedy="build the corpus with packages held out",
            )

    @staticmethod
    def open(corpus: Path) -> "HeldOut":
        """Of a corpus folder or its token shards; DataError if there are none."""
        folder = corpus / "tokens" if (corpus / "tokens").is_dir() else corpus
        shards = TokenShards.open(folder)
        return HeldOut(shards, Tokenizer.load(folder))

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all that was held out."""
        groups = {
            name: [record.json() for record in self._shards.manifest.groups[name]]
            for name in self._shards.groups
            if name.startswith(PREFIX)
        }
        dropped = list(self._shards.manifest.dropped)
        text = json.dumps([groups, dropped], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _axis(self, source: str, joined: bool) -> Axis:
        return Axis(self._shards.group(PREFIX + source), packages=joined)

    def passages(
        self,
        source: str,
        tokenizer: Tokenizer,
        *,
        row_tokens: int,
        rows: int,
        joined: bool,
        seed: int,
    ) -> Iterator[Passage]:
        """Up to `rows` stretches of documents, or of whole packages if `joined`, in a keyed order.

        Each fills a row of the corpus' tokens at most, and begins with BOS; of another tokenizer's
        ids it is cut where they fill one. All text has the same chance.
        """
        axis = self._axis(source, joined)
        starts = [
            (start, min(start + row_tokens - 1, end))
            for begin, end in zip(axis.runs[:-1].tolist(), axis.runs[1:].tolist(), strict=True)
            for start in range(begin, end, row_tokens - 1)
        ]
        order = draws.permutation(len(starts), seed, zlib.crc32(source.encode()), 0)
        for place in order[:rows].tolist():
            files = axis.files(*starts[place])
            whole = [token for file in files for token in self._file(axis, tokenizer, *file)]
            yield from _cut(whole, row_tokens)

    def _file(
        self, axis: Axis, tokenizer: Tokenizer, document: int, start: int, stop: int
    ) -> list[Token]:
        """BOS, a stretch of a document, and EOS where it ends."""
        ids = axis.ids(document, start, stop).tolist()
        if tokenizer.fingerprint != self.tokenizer.fingerprint:
            text = b"".join(self.tokenizer.token_bytes[i] for i in ids)
            if not start and self.tokenizer.adds_space:
                text = text.removeprefix(b" ")
            # A stretch may begin or end inside a character.
            ids = tokenizer.encode(text.decode(errors="ignore"), dummy_prefix=not start)
        found = [Token(i, len(tokenizer.token_bytes[i]), False) for i in ids]
        if found and not start:  # the dummy space is none of the text
            found[0] = found[0]._replace(bytes=found[0].bytes - tokenizer.adds_space)
        if tokenizer.bos_id is not None:
            found.insert(0, Token(tokenizer.bos_id, 0, True))
        if tokenizer.eos_id is not None and stop == axis.length(document):
            found.append(Token(tokenizer.eos_id, 0, False))
        return found

    def gaps(self, source: str, *, seed: int) -> Iterator[Gap]:
        """Lines of documents, one of each in a keyed order, then another of each, and so on."""
        axis, key = self._axis(source, False), zlib.crc32(source.encode())
        order = draws.permutation(len(axis.kept), seed, key, 1).tolist()
        chosen: dict[int, list[int]] = {}  # places of lines that are left in each document
        turn = 0
        while order:
            left = []
            for document in order:
                text = self.tokenizer.decode(axis.ids(document, 0, axis.length(document)).tolist())
                lines = _LINE.findall(text)
                if not turn:
                    usable = [
                        i for i, line in enumerate(lines) if len(line.strip()) >= SHORTEST_LINE
                    ]
                    mixed = draws.permutation(len(usable), seed, key, 2, document).tolist()
                    chosen[document] = [usable[i] for i in mixed]
                if turn < len(chosen[document]):
                    left.append(document)
                    yield _gap(lines, chosen[document][turn])
            order, turn = left, turn + 1


def _cut(whole: Passage, row_tokens: int) -> Iterator[Passage]:
    """Passages that fill a row at most, each after the first beginning as the first does."""
    yield whole[: row_tokens + 1]
    first = [token for token in whole[:1] if token.begins]
    size = row_tokens + 1 - len(first)
    for start in range(row_tokens + 1, len(whole), size):
        yield [*first, *whole[start : start + size]]


def packed(passages: Iterable[Passage], row_tokens: int) -> Iterator[Scored]:
    """Rows of passages, in their order; each token predicts the next one of its passage."""
    waiting: list[Passage] = []
    free = row_tokens
    for passage in passages:
        if len(passage) < 2:
            continue
        if len(passage) - 1 > free:
            yield _row(waiting, row_tokens)
            waiting, free = [], row_tokens
        waiting.append(passage)
        free -= len(passage) - 1
    if waiting:
        yield _row(waiting, row_tokens)


def _row(passages: Sequence[Passage], row_tokens: int) -> Scored:
    tokens_T, targets_T, positions_T, document_T, bytes_T = np.zeros((5, row_tokens), np.int64)
    targets_T[:], document_T[:] = NO_TARGET, -1
    end = 0
    for number, passage in enumerate(passages):
        place = slice(end, end + len(passage) - 1)
        tokens_T[place] = [token.id for token in passage[:-1]]
        targets_T[place] = [NO_TARGET if t.begins else t.id for t in passage[1:]]
        bytes_T[place] = [token.bytes for token in passage[1:]]
        positions_T[place] = np.arange(len(passage) - 1)
        document_T[place] = number
        end += len(passage) - 1
    row = Row(
        tokens_T=tokens_T, targets_T=targets_T, positions_T=positions_T, document_T=document_T
    )
    return Scored(row, bytes_T)


def _gap(lines: list[str], place: int) -> Gap:
    middle = lines[place].strip()
    before, _, after = lines[place].partition(middle)
    return Gap(
        before="".join(lines[:place]) + before,
        line=middle,
        after=after + "".join(lines[place + 1 :]),
    )


def fitted(gap: Gap, tokenizer: Tokenizer, room: int) -> Gap | None:
    """The gap with as many whole lines around it as fit `room` tokens, from near to far.

    None if not even its own line fits.
    """
    before, after = _LINE.findall(gap.before), _LINE.findall(gap.after)
    own = before.pop() if before and not before[-1].endswith("\n") else ""
    sides = [before[::-1], after]
    kept: list[list[str]] = [[own], []]
    used = [len(tokenizer.encode(own)), 0]
    while any(sides):
        side = min((s for s in (0, 1) if sides[s]), key=lambda s: used[s])
        line = sides[side].pop(0)
        size = len(tokenizer.encode(line, dummy_prefix=False))
        if sum(used) + size > room:
            sides[side] = []
            continue
        kept[side].append(line)
        used[side] += size
    if sum(used) > room:
        return None
    return Gap(before="".join(kept[0][::-1]), line=gap.line, after="".join(kept[1]))
