"""Token healing: a prompt that ends inside a token is cut back, and the answer forced to re-begin.

A cursor may stand where no token ends: after `pri` the vocabulary wants `print`, but the prompt has
spent a token on `pri`, and the model has never seen that followed by `nt`. So the last tokens are
cut, and the answer must begin with their bytes, in whatever tokens the model likes better.

Heal completions and infilling prompts in SPM order: both end in the text before the cursor. Prompts
in PSM order end in `<MID>`, far from the prefix, and models saw prefixes broken anywhere in
training; forcing the end of the prefix onto the middle would only confuse them. `heal` leaves them,
and chat prompts that end in a special, as they are.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from quipu.text.tokenizer import Tokenizer

CUT_LIMIT = 4  # tokens; a word that is still being typed is seldom longer


def heal(
    tokenizer: Tokenizer, ids: Sequence[int], *, limit: int = CUT_LIMIT
) -> tuple[list[int], bytes]:
    """Cut the end of a prompt; return what is left and the bytes the answer must begin with.

    Of the last `limit` tokens, as many are cut as still leave the bytes a beginning of some longer
    token; none if there is no such token. A special is never cut, nor the first id of the prompt.
    """
    cut, forced, ending = 0, b"", b""
    for count in range(1, min(limit, len(ids) - 1) + 1):
        data = tokenizer.token_bytes[ids[-count]]
        if not data:
            break
        ending = data + ending
        index = tokenizer.byte_index
        if len(index.beginning_with(ending)) > len(index.equal_to(ending)):
            cut, forced = count, ending
    return list(ids[: len(ids) - cut]), forced


class PrefixConstraint:
    """Which tokens may come next while an answer must begin with certain bytes."""

    def __init__(self, tokenizer: Tokenizer, forced: bytes) -> None:
        self._token_bytes = tokenizer.token_bytes
        self._index = tokenizer.byte_index
        self._forced = forced

    def allowed(self, generated: Sequence[int]) -> npt.NDArray[np.int64] | None:
        """Ids allowed after `generated`, in rising order; None when nothing is forced any more."""
        rest = self._forced
        for token_id in generated:
            if not rest:
                break
            data = self._token_bytes[token_id]
            assert data, "a special was not allowed"
            assert rest.startswith(data) or data.startswith(rest), "not an allowed token"
            rest = rest[len(data) :]
        if not rest:
            return None
        inside = [self._index.equal_to(rest[:size]) for size in range(1, len(rest))]
        return np.sort(np.concatenate([*inside, self._index.beginning_with(rest)]))
