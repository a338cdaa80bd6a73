"""One step as flat integer arrays: what a runner needs, whatever language it is written in.

Letters: T packed tokens, S sequences, P pages of the longest sequence, N selected tokens.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from quipu.engine.scheduler import Share

Integers = npt.NDArray[np.int32]

NO_PAGE = -1


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """Tokens of many sequences end to end. All arrays are int32, C-contiguous.

    Sequence s owns the rows `starts_S1[s] : starts_S1[s + 1]` of `tokens_T` and `positions_T`
    (positions count from the start of the sequence and rise by one). Its context, these tokens
    included, is `contexts_S[s]` tokens long; token t of it lies at slot `t % page_size` of page
    `pages_SP[s, t // page_size]`. Rows of `pages_SP` are filled up with NO_PAGE. The runner stores
    keys and values of all T tokens and returns logits of the rows `select_N`, which rise; N may
    be 0.
    """

    tokens_T: Integers
    positions_T: Integers
    starts_S1: Integers
    contexts_S: Integers
    pages_SP: Integers
    select_N: Integers


def make_batch(shares: list[Share]) -> Batch:
    """Lay the shares of one step out for the runner."""
    sizes = [share.size for share in shares]
    starts_S1 = np.concatenate(([0], np.cumsum(sizes))).astype(np.int32)
    spans = [(s.tokens, s.computed, s.computed + size) for s, size in shares]
    width = max(len(share.sequence.pages) for share in shares)
    pages_SP = np.full((len(shares), width), NO_PAGE, dtype=np.int32)
    select: list[int] = []
    for row, (sequence, size) in enumerate(shares):
        pages_SP[row, : len(sequence.pages)] = sequence.pages
        end = int(starts_S1[row + 1])
        if sequence.scored:
            select.extend(range(end - size, end))
        elif size == sequence.remaining:
            select.append(end - 1)
    return Batch(
        tokens_T=np.concatenate([np.array(t[a:b], dtype=np.int32) for t, a, b in spans]),
        positions_T=np.concatenate([np.arange(a, b, dtype=np.int32) for _, a, b in spans]),
        starts_S1=starts_S1,
        contexts_S=np.array([b for _, _, b in spans], dtype=np.int32),
        pages_SP=pages_SP,
        select_N=np.array(select, dtype=np.int32),
    )
