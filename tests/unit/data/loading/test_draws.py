"""Random numbers by key: stable for ever, uniform, the same for one key and for many."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from quipu.data.loading import draws

KEYS = st.tuples(st.integers(-(2**63), 2**64), st.integers(0, 2**32), st.integers(0, 2**31))


def _slow_state(*key):
    """The same in plain integers."""

    def mix(state):
        state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        state = (state ^ (state >> 27)) * 0x94D049BB133111EB % 2**64
        return state ^ (state >> 31)

    state = 0
    for word in key:
        state = mix(((state ^ word % 2**64) + 0x9E3779B97F4A7C15) % 2**64)
    return state, mix


def test_the_numbers_of_a_key_never_change():
    assert draws.states(7, 1, 42)[0] == 0xCE0FFFA79A80923F
    state = draws.states(7, 1, [42, 43])
    assert draws.below(state, 0, 1000).tolist() == [474, 908]
    assert draws.below(state, 5, 1000).tolist() == [873, 776]
    assert draws.permutation(12, 3, 1).tolist() == [6, 3, 1, 7, 9, 8, 10, 11, 4, 2, 5, 0]


@given(KEYS, st.integers(0, 9))
def test_draws_are_those_of_splitmix64(key, draw):
    state, mix = _slow_state(*key)
    wanted = mix((state + (draw + 1) * 0x9E3779B97F4A7C15) % 2**64) >> 11
    assert draws.uniform(draws.states(*key), draw)[0] == wanted / 2**53


def test_many_keys_at_once_give_what_each_gives_alone():
    documents = np.array([5, 0, 2**31 - 1], dtype=np.int32)
    together = draws.below(draws.states(1, 2, documents), 3, [10, 20, 30])
    alone = [
        int(draws.below(draws.states(1, 2, int(document)), 3, limit)[0])
        for document, limit in zip(documents, (10, 20, 30), strict=True)
    ]
    assert together.tolist() == alone


def test_draws_of_neighbouring_keys_are_uniform_and_unrelated():
    state = draws.states(0, 0, np.arange(20_000))
    first, second = draws.uniform(state, 0), draws.uniform(state, 1)
    for found in (first, second):
        counts, _ = np.histogram(found, bins=20, range=(0, 1))
        assert (np.abs(counts - 1000) < 150).all()
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.03
    assert abs(np.corrcoef(first[1:], first[:-1])[0, 1]) < 0.03


@given(st.integers(0, 300), st.integers(0, 5))
def test_a_permutation_holds_every_number_once(count, seed):
    assert sorted(draws.permutation(count, seed).tolist()) == list(range(count))


def test_every_order_of_three_comes_up():
    found = {tuple(draws.permutation(3, seed).tolist()) for seed in range(100)}
    assert len(found) == 6
