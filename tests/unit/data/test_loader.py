"""Batches are a pure function of seed and step."""

import numpy as np

import small
from quipu.data.loader import Loader
from quipu.data.packing import Infilling, parts


def _loader(seed=1, batch_rows=2):
    chosen = [part for document in small.documents() for part in parts(document, 300)]
    return Loader(
        chosen,
        small.tokenizer(),
        row_tokens=128,
        batch_rows=batch_rows,
        infilling=Infilling(rate=0.5),
        seed=seed,
    )


def test_any_step_can_be_asked_for_first():
    walked = _loader()
    steps = [walked.batch(step) for step in range(30)]  # several epochs
    for step in (29, 0, 17):
        assert (_loader().batch(step).tokens_T == steps[step].tokens_T).all()


def test_every_epoch_holds_every_part_once_in_another_order():
    loader, tokenizer = _loader(), small.tokenizer()
    starts = [
        sum(int((row.tokens_T == tokenizer.bos_id).sum()) for row in loader.rows(epoch))
        for epoch in (0, 1)
    ]
    assert starts == [len(loader.parts)] * 2
    first, second = (np.concatenate([r.tokens_T for r in loader.rows(e)])[:256] for e in (0, 1))
    assert (first != second).any()


def test_batch_size_changes_nothing_in_the_order_of_rows():
    small_batches, large = _loader(batch_rows=2), _loader(batch_rows=4)
    joined = np.concatenate([small_batches.batch(step).tokens_T for step in (0, 1)])
    assert (joined == large.batch(0).tokens_T).all()


def test_another_seed_gives_another_order():
    assert (_loader(seed=1).batch(0).tokens_T != _loader(seed=2).batch(0).tokens_T).any()
