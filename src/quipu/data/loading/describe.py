"""A packed row for human eyes: what each stretch of its tokens is, and its text."""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np

from quipu.data.loading.row import Row
from quipu.text.tokenizer import Tokenizer

Kind = Literal["plain", "prefix", "middle", "suffix", "special", "padding"]


class Segment(NamedTuple):
    """Neighbouring tokens of one kind; specials are written by their names, padding has no text.

    `document` is the number within the row, -1 for padding. In SPM order prefix and middle are one
    string that no token tells apart: it is called "middle". A sample in PSM order whose prefix is
    empty looks like one in SPM order, and is read as such.
    """

    kind: Kind
    text: str
    document: int


def describe(row: Row, tokenizer: Tokenizer) -> list[Segment]:
    """Segments of a row, in order."""
    segments: list[Segment] = []
    begins = np.flatnonzero(np.diff(row.document_T, prepend=-2))
    for begin, end in zip(begins, [*begins[1:], len(row.document_T)], strict=True):
        number = int(row.document_T[begin])
        ids = row.tokens_T[begin:end].tolist()
        if number < 0:
            segments.append(Segment("padding", "", -1))
        else:
            found = _of_document(ids, tokenizer)
            segments += [Segment(kind, text, number) for kind, text in found]
    return segments


def _of_document(ids: Sequence[int], tokenizer: Tokenizer) -> Iterator[tuple[Kind, str]]:
    names = {token_id: name for name, token_id in tokenizer.specials.items()}
    follows: dict[str, Kind] = {"<PRE>": "prefix", "<SUF>": "suffix", "<MID>": "middle"}
    kind: Kind = "plain"
    begins, spm = True, False  # whether what comes begins a text, with the dummy space
    text: list[int] = []
    for token_id in [*ids, None]:
        if token_id is not None and token_id not in names:
            text.append(token_id)
            continue
        if text:
            yield kind, tokenizer.decode(text, dummy_prefix=begins)
        if token_id is None:
            return
        name = names[token_id]
        spm = name == "<SUF>" and kind == "prefix" and not text if name != "<MID>" else spm
        kind = follows.get(name, "plain")
        begins = name != "<SUF>" and (name != "<MID>" or spm)
        text = []
        yield "special", name
