"""A runner without a model: logits are a hash of the context that it reads back from its pages.

A page that is shared wrongly, freed too early or filled out of order changes the hash, or trips an
assertion, because each slot keeps the token and its position.
"""

import zlib

import numpy as np

from quipu.engine.batch import Batch
from quipu.engine.runner import StepResult


class ToyRunner:
    batch_invariant = True

    def __init__(
        self,
        *,
        vocab=50,
        num_pages=64,
        page_size=4,
        fails_at=None,
        tells_best=False,
        memory=None,
        cost=None,
    ):
        self.tells_best = tells_best
        self.memory = memory  # newest tokens that the logits depend on; None: all
        self.cost = cost or (lambda _: 1.0)  # seconds of a step by its tokens
        self.now = 0.0  # the toy's own clock
        self.vocab, self.num_pages, self.page_size = vocab, num_pages, page_size
        self.slots = np.full((num_pages * page_size, 2), -1)  # token, position
        self.batches: list[Batch] = []
        self.fails_at = fails_at  # number of the step that raises

    def step(self, batch: Batch) -> StepResult:
        self.batches.append(batch)
        self.now += self.cost(len(batch.tokens_T))
        if len(self.batches) == self.fails_at:
            raise RuntimeError("the toy broke")
        check_layout(batch)
        rows = {}
        for s in range(len(batch.contexts_S)):
            start, end = batch.starts_S1[s : s + 2]
            length = batch.contexts_S[s]
            pages = batch.pages_SP[s, : -(-length // self.page_size)]
            assert (pages >= 0).all()
            slots = (pages[:, None] * self.page_size + np.arange(self.page_size)).ravel()
            positions = batch.positions_T[start:end]
            self.slots[slots[positions]] = np.stack([batch.tokens_T[start:end], positions], 1)
            context = self.slots[slots[:length]]
            assert (context[:, 1] == np.arange(length)).all(), "a slot of another position"
            for row, position in zip(range(start, end), positions, strict=True):
                rows[row] = context[: position + 1, 0]
        found = [
            toy_logits(rows[row][-(self.memory or 0) :], self.vocab)
            for row in batch.select_N.tolist()
        ]
        logits_NV = np.array(found, np.float32).reshape(-1, self.vocab)
        best_N = logits_NV.argmax(axis=1).astype(np.int32) if self.tells_best else None
        return StepResult(logits_NV=logits_NV, best_N=best_N)


def toy_logits(context, vocab):
    """Logits after a context: the twin that has no pages."""
    seed = zlib.crc32(np.asarray(context, dtype=np.int64).tobytes())
    return np.random.default_rng(seed).normal(0, 3, vocab).astype(np.float32)


def check_layout(batch: Batch) -> None:
    for array in (
        batch.tokens_T,
        batch.positions_T,
        batch.starts_S1,
        batch.contexts_S,
        batch.pages_SP,
        batch.select_N,
    ):
        assert array.dtype == np.int32
        assert array.flags.c_contiguous
    counts = np.diff(batch.starts_S1)
    assert (counts > 0).all()
    assert len(batch.tokens_T) == len(batch.positions_T) == batch.starts_S1[-1] == counts.sum()
    assert (batch.positions_T[batch.starts_S1[1:] - 1] == batch.contexts_S - 1).all()
    assert (np.diff(batch.select_N) > 0).all()
