"""Documents into rows of tokens: pieces that fit, infilling per document, then packing.

Infilling comes before packing, so a middle is never cut and no UTF-8 character is split; its random
numbers are keyed by (seed, epoch, document), never by call order, so a sample does not depend on
workers or on where a run resumed.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from quipu.data.documents import Document
from quipu.text import infill
from quipu.text.tokenizer import Tokenizer

NO_TARGET = -1
Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Infilling:
    """How many documents are rearranged for infilling, and the share of those in SPM order.

    Cuts are two characters drawn uniformly (arXiv 2308.12950 section 2.3). The paper's rate is 0.9;
    0.5 is what later models settled on.
    """

    rate: float = 0.5
    spm: float = 0.5


@dataclass(frozen=True, kw_only=True)
class Part:
    """A stretch of a document that fits one row. `ends` marks the end of its file."""

    id: str
    text: str
    ends: bool


def parts(document: Document, characters: int) -> Iterator[Part]:
    """Cut a document into parts of at most `characters`, unless one line alone is longer.

    Lengths vary by chance, from a sixth of that, so that parts fill rows without much padding. A
    cut falls in the second half of what fits, before the least indented line, the last of those:
    between functions where it can, else between methods, else between statements.
    """
    lines = document.text.splitlines(keepends=True)
    random = generator("parts", document.id)
    start, number = 0, 0
    while start < len(lines):
        end = _cut(lines, start, int(random.integers(characters // 6, characters + 1)))
        text = "".join(lines[start:end])
        yield Part(id=f"{document.id}#{number}", text=text, ends=end == len(lines))
        start, number = end, number + 1


def _cut(lines: Sequence[str], start: int, characters: int) -> int:
    """Index of the line before which to cut what begins at `start`."""
    size, candidates = 0, []
    for index in range(start, len(lines)):
        line = lines[index]
        if size > characters // 2 and line.strip():
            candidates.append((len(line) - len(line.lstrip()), -index))
        size += len(line)
        if size > characters:
            return -min(candidates)[1] if candidates else max(index, start + 1)
    return len(lines)


def generator(*key: object) -> np.random.Generator:
    """Random numbers that depend on the key alone."""
    digest = hashlib.sha256(repr(key).encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "big")))


def sample(
    tokenizer: Tokenizer, part: Part, how: Infilling, key: tuple[object, ...], longest: int
) -> list[int]:
    """Token ids of one part: rearranged for infilling, or plain; never longer than `longest`.

    A rearranged sample that would not fit stays plain; a plain one is cut at its end.
    """
    random = generator(*key, part.id)
    if random.random() < how.rate:
        order: infill.Order = "spm" if random.random() < how.spm else "psm"
        first, second = sorted(int(cut) for cut in random.integers(0, len(part.text) + 1, 2))
        text = part.text
        ids = infill.document(tokenizer, text[:first], text[first:second], text[second:], order)
        if len(ids) <= longest:
            return ids
    assert tokenizer.bos_id is not None
    assert tokenizer.eos_id is not None
    ids = [tokenizer.bos_id, *tokenizer.encode(part.text)]
    return [*ids, tokenizer.eos_id][:longest] if part.ends else ids[:longest]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One packed row: inputs, what each must predict, position and document number, each [T]."""

    tokens_T: Ids
    targets_T: Ids  # NO_TARGET where nothing is trained
    positions_T: Ids
    document_T: Ids


def row(samples: Iterable[list[int]], row_tokens: int) -> Row:
    """Lay samples end to end and pad; the last token of a sample and padding have no target."""
    shape = (4, row_tokens)
    tokens_T, targets_T, positions_T, document_T = np.zeros(shape, dtype=np.int64)
    targets_T[:] = NO_TARGET
    document_T[:] = -1
    start = 0
    for number, ids in enumerate(samples):
        end = start + len(ids)
        tokens_T[start:end] = ids
        targets_T[start : end - 1] = ids[1:]
        positions_T[start:end] = np.arange(len(ids))
        document_T[start:end] = number
        start = end
    return Row(
        tokens_T=tokens_T, targets_T=targets_T, positions_T=positions_T, document_T=document_T
    )


def pack(samples: Iterable[list[int]], row_tokens: int, open_rows: int = 256) -> Iterator[Row]:
    """Best fit into a window of open rows; when nothing fits, the fullest row is closed."""
    window: list[tuple[int, list[list[int]]]] = []  # (tokens left, samples)
    for ids in samples:
        assert 0 < len(ids) <= row_tokens
        fits = [i for i, (left, _) in enumerate(window) if left >= len(ids)]
        if fits:
            best = min(fits, key=lambda i: window[i][0])
            left, inside = window[best]
            window[best] = (left - len(ids), [*inside, ids])
            continue
        if len(window) == open_rows:
            fullest = min(range(open_rows), key=lambda i: window[i][0])
            yield row(window.pop(fullest)[1], row_tokens)
        window.append((row_tokens - len(ids), [ids]))
    for _, inside in window:
        yield row(inside, row_tokens)
