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
    """Lay the shares of one step out for the runner; all rows of a draft are selected."""
    tokens: list[int] = []
    positions: list[int] = []
    contexts: list[int] = []
    select: list[int] = []
    starts = [0]
    width = max(len(share.sequence.pages) for share in shares)
    pages_SP = np.full((len(shares), width), NO_PAGE, dtype=np.int32)
    for row, (sequence, size, draft) in enumerate(shares):
        end = sequence.computed + size
        tokens += sequence.tokens[sequence.computed : end]
        tokens += draft
        contexts.append(end + len(draft))
        positions += range(sequence.computed, contexts[-1])
        pages_SP[row, : len(sequence.pages)] = sequence.pages
        starts.append(len(tokens))
        if sequence.scored:
            select += range(starts[-2], starts[-1])
        elif end == len(sequence.tokens):
            select += range(starts[-1] - len(draft) - 1, starts[-1])
    return Batch(
        tokens_T=np.array(tokens, dtype=np.int32),
        positions_T=np.array(positions, dtype=np.int32),
        starts_S1=np.array(starts, dtype=np.int32),
        contexts_S=np.array(contexts, dtype=np.int32),
        pages_SP=pages_SP,
        select_N=np.array(select, dtype=np.int32),
    )
