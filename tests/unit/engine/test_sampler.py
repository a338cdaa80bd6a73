"""The choice of a token: filters against an obvious twin, randomness without a state."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from quipu.engine.sampler import check_logits, choose, describe, log_softmax, uniform
from quipu.errors import BackendError
from quipu.request import Sampling


def pick(logits, sampling, *, seen=(), allowed=None, number=0.0):
    logits = np.array(logits, dtype=np.float32)
    return choose(logits, sampling, seen=seen, allowed=allowed, number=number)


def twin(logits, sampling, seen, allowed, number):
    """The same choice by lists and loops, in the order of the documentation."""
    scores = {i: float(np.float32(x)) for i, x in enumerate(logits)}
    for i in seen:
        penalty = sampling.repetition_penalty
        scores[i] = scores[i] / penalty if scores[i] > 0 else scores[i] * penalty
    for i, bias in sampling.logit_bias.items():
        scores[i] += bias
    if allowed is not None:
        scores = {i: scores[i] for i in sorted(allowed)}
    best = max(scores.values())
    if sampling.temperature == 0:
        return min(i for i in scores if scores[i] == best)
    weights = {i: math.exp((x - best) / sampling.temperature) for i, x in scores.items()}
    if sampling.top_k:
        bound = sorted(scores.values(), reverse=True)[: sampling.top_k][-1]
        weights = {i: w for i, w in weights.items() if scores[i] >= bound}
    total, before, kept = sum(weights.values()), 0.0, 0.0
    for w in sorted(weights.values(), reverse=True):
        if before < sampling.top_p * total:
            kept = w
        before += w
    weights = {i: w for i, w in weights.items() if w >= kept}
    most = max(weights.values())
    weights = {i: w for i, w in weights.items() if w >= sampling.min_p * most and w > 0}
    rest = number * sum(weights.values())
    for i, w in weights.items():
        rest -= w
        if rest < 0:
            return i
    return max(weights)


samplings = st.builds(
    Sampling,
    temperature=st.sampled_from([0.0, 0.3, 1.0, 2.0]),
    top_k=st.integers(0, 8),
    top_p=st.sampled_from([0.05, 0.5, 0.9, 1.0]),
    min_p=st.sampled_from([0.0, 0.1, 0.5]),
    repetition_penalty=st.sampled_from([0.7, 1.0, 1.3]),
    logit_bias=st.dictionaries(st.integers(0, 6), st.sampled_from([-100.0, -1.5, 2.0]), max_size=3),
)


@given(
    logits=hnp.arrays(np.float32, 7, elements=st.floats(-8, 8, width=16)),
    sampling=samplings,
    seen=st.sets(st.integers(0, 6)),
    allowed=st.none() | st.sets(st.integers(0, 6), min_size=1).map(lambda s: np.array(list(s))),
    # Not at a boundary between two tokens, where the last bit of a sum decides.
    number=st.integers(0, 999).map(lambda n: (n + 0.5137) / 1000),
)
@settings(max_examples=400, deadline=None)
def test_the_choice_equals_the_twin(logits, sampling, seen, allowed, number):
    found = choose(logits, sampling, seen=seen, allowed=allowed, number=number)
    assert found == twin(logits.tolist(), sampling, seen, allowed, number)


def test_temperature_zero_takes_the_lowest_of_equal_best():
    assert pick([1, 3, 3, 0], Sampling()) == 1


def test_any_temperature_above_zero_draws():
    assert pick([0, 1e-9], Sampling(temperature=1e-30), number=0.999) == 1
    assert pick([0, 0], Sampling(temperature=1e-300), number=0.999) == 1


def test_a_constraint_beats_any_bias():
    sampling = Sampling(logit_bias={0: 100.0, 2: -100.0})
    assert pick([0, 0, 0], sampling, allowed=np.array([2])) == 2


def test_the_penalty_comes_before_the_bias():
    # 4 / 2 + 1 = 3 beats 2.75; bias first would give (4 + 1) / 2 = 2.5.
    assert pick([4, 2.75], Sampling(repetition_penalty=2.0, logit_bias={0: 1.0}), seen=[0]) == 0


def test_the_penalty_lowers_negative_scores_too():
    assert pick([-1, -1.5], Sampling(repetition_penalty=2.0), seen=[0]) == 1


def test_draws_follow_the_probabilities():
    logits = np.log(np.array([0.5, 0.3, 0.15, 0.05], dtype=np.float32))
    draws = [pick(logits, Sampling(temperature=1.0), number=uniform(7, 0, i)) for i in range(4000)]
    share = np.bincount(draws, minlength=4) / 4000
    assert np.abs(share - [0.5, 0.3, 0.15, 0.05]).max() < 0.025  # more than 3 sigma


def test_top_p_drops_what_is_not_needed_to_reach_it():
    logits = np.log(np.array([0.5, 0.3, 0.2], dtype=np.float32))
    for top_p, last in ((0.45, 0), (0.75, 1), (0.95, 2)):
        assert pick(logits, Sampling(temperature=1.0, top_p=top_p), number=0.9999) == last


@pytest.mark.parametrize("seed", [0, 1, 2**63 - 1])
def test_the_numbers_are_philox_and_stay_so(seed):
    # Counter-based: the numbers of one key are those of numpy's own stream, four words a block.
    stream = np.random.Philox(key=np.array([seed, 3], dtype=np.uint64)).random_raw(1)
    assert uniform(seed, 3, 0) == (int(stream[0]) >> 11) * 2.0**-53


def test_each_answer_and_position_has_its_own_number():
    found = {uniform(1, index, position) for index in range(20) for position in range(20)}
    assert len(found) == 400


def test_logprobs_are_those_of_the_model_before_any_filter():
    logits = np.array([1.0, 2.0, 0.5], dtype=np.float32)
    exact = np.log(np.exp(logits.astype(np.float64)) / np.exp(logits.astype(np.float64)).sum())
    found = describe(logits, 2, 2)
    assert found.token_id == 2
    assert found.logprob == pytest.approx(exact[2], abs=1e-6)
    assert [i for i, _ in found.top] == [1, 0]
    assert [p for _, p in found.top] == pytest.approx([exact[1], exact[0]], abs=1e-6)


def test_more_alternatives_than_tokens_gives_all_tokens():
    assert len(describe(np.zeros(3, np.float32), 0, 50).top) == 3


def test_alternatives_of_equal_probability_come_by_id():
    assert [i for i, _ in describe(np.zeros(4, np.float32), 0, 4).top] == [0, 1, 2, 3]


def test_log_softmax_keeps_large_logits():
    found = log_softmax(np.array([[1e4, 0.0], [-1e4, -1e4]], dtype=np.float32))
    assert found[0].tolist() == [0.0, -1e4]
    assert found[1] == pytest.approx([math.log(0.5)] * 2)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_logits_that_are_no_numbers_are_refused(bad):
    with pytest.raises(BackendError, match="not finite"):
        check_logits(np.array([[0.0, bad]], dtype=np.float32))
