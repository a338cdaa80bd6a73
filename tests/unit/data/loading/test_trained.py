"""What the rows of real loaders train, and how many of their samples are rearranged, and how."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import small
import token_shards
from quipu.data.loading.dialogues import DialogueLoader
from quipu.data.loading.mixture import (
    DialogueRecipe,
    Dialogues,
    Infilling,
    LoaderRecipe,
    Source,
)
from quipu.data.loading.row import NO_TARGET
from quipu.data.loading.rows import Loader
from token_shards import Text

TOKENIZER = small.tokenizer()
BOS, EOS, EOT = TOKENIZER.bos_id, TOKENIZER.eos_id, TOKENIZER.infill.eot
# Standard deviations of a binomial share: a fair loader is further out for one seed in 16,000.
# Within it are samples that stay plain since they do not fit their row, and those in PSM order
# with an empty prefix, which look like the other order.
SIGMAS = 4.0


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    texts = [Text(small.source(n), package=n // 3, spans=[(4, 12)]) for n in range(60)]
    return token_shards.write(tmp_path_factory.mktemp("tokens"), TOKENIZER, {"python": texts})


@pytest.fixture(scope="module")
def talks(tmp_path_factory):
    return small.dialogues(tmp_path_factory.mktemp("talks"), 40) / "dialogues"


def samples_of(row):
    """Ids of each sample of a row, and which of them are targets; checks what both have."""
    (held,) = np.nonzero(row.document_T >= 0)
    assert held.tolist() == list(range(len(held)))
    # Padding is never trained, nor is anything at its place.
    assert (row.targets_T[len(held) :] == NO_TARGET).all()
    trained = np.concatenate([[False], row.targets_T[: len(held)] != NO_TARGET])
    assert not trained[-1]
    (where,) = np.nonzero(trained)
    assert (row.targets_T[where - 1] == row.tokens_T[where]).all()
    assert (row.document_T[where - 1] == row.document_T[where]).all()
    begins = [*np.flatnonzero(row.tokens_T[held] == BOS).tolist(), len(held)]
    for first, last in itertools.pairwise(begins):
        yield row.tokens_T[first:last].tolist(), trained[first:last].tolist()


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([0.0, 0.3, 1.0]),
    st.sampled_from([0.0, 1.0]),
    st.booleans(),
    st.integers(48, 400),
    st.integers(0, 10**6),
)
def test_all_of_a_sample_is_trained_with_its_end_and_neither_its_begin_nor_padding(
    shards, rate, syntax, packages, row_tokens, index
):
    how = Infilling(rate=rate, spm=0.5, syntax=syntax)
    sources = (Source(group="python", weight=1.0, packages=packages),)
    rows_of = Loader(
        shards, TOKENIZER, LoaderRecipe(sources=sources, row_tokens=row_tokens, infilling=how)
    )
    for ids, trained in samples_of(rows_of.row(index)):
        assert trained == [False] + [True] * (len(ids) - 1)
        infilled = ids[1] == TOKENIZER.infill.pre
        assert (EOT in ids) == infilled
        if infilled:
            assert ids.index(EOT) == len(ids) - 1
            assert EOS not in ids
        else:  # only what goes on in another row has no end
            assert EOS not in ids[:-1]


def test_each_document_is_ended_once_an_epoch(shards):
    for rate in (0.0, 0.5, 1.0):
        sources = (Source(group="python"),)
        recipe = LoaderRecipe(sources=sources, row_tokens=512, infilling=Infilling(rate=rate))
        rows_of = Loader(shards, TOKENIZER, recipe)
        targets = [rows_of.row(index).targets_T for index in range(rows_of.rows_total)]
        infilled = int((np.array(targets) == EOT).sum())
        assert infilled + (np.array(targets) == EOS).sum() == 60
        assert (infilled > 0) == (rate > 0)


@settings(max_examples=40, deadline=None)
@given(st.integers(96, 400), st.integers(0, 10**6), st.integers(0, 3))
def test_of_a_dialogue_answers_and_their_ends_are_trained_and_prompts_never(
    talks, row_tokens, index, seed
):
    recipe = DialogueRecipe(row_tokens=row_tokens, dialogues=(Dialogues(weight=1.0),), seed=seed)
    for ids, trained in samples_of(DialogueLoader(talks, TOKENIZER, recipe).row(index)):
        asked = TOKENIZER.decode(ids[: trained.index(True)])
        assert asked.startswith("[INST] ")
        assert asked.endswith("[/INST]")
        answer = TOKENIZER.decode(ids[trained.index(True) :], dummy_prefix=False)
        assert answer.startswith(" value += ")
        assert trained == sorted(trained)
        assert ids[-1] == EOS
        assert EOS not in ids[:-1]


@pytest.mark.parametrize(("rate", "spm"), [(0.9, 0.5), (0.5, 0.5), (0.8, 0.25), (0.1, 0.9)])
def test_shares_of_infilling_and_of_orders_are_those_of_the_recipe(tmp_path, rate, spm):
    texts = [Text(small.source(number)) for number in range(1500)]
    shards = token_shards.write(tmp_path, TOKENIZER, {"python": texts}, shard_documents=500)
    recipe = LoaderRecipe(
        sources=(Source(group="python", epochs=6),),
        row_tokens=2048,
        infilling=Infilling(rate=rate, spm=spm),
    )
    rows_of = Loader(shards, TOKENIZER, recipe)
    rows = [rows_of.row(index) for index in range(rows_of.rows_total)]
    samples = [ids for row in rows for ids, _ in samples_of(row)]
    infilled = [ids for ids in samples if ids[1] == TOKENIZER.infill.pre]
    in_spm = [ids for ids in infilled if ids[2] == TOKENIZER.infill.suf]
    assert len(samples) == 9000
    assert abs(len(infilled) / len(samples) - rate) <= bound(rate, len(samples))
    assert abs(len(in_spm) / len(infilled) - spm) <= bound(spm, len(infilled))


def bound(share, count):
    return SIGMAS * math.sqrt(share * (1 - share) / count)
