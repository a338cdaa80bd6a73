"""Statistics beside slow twins: every subset, the textbook's error, fractions."""

from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quipu.evals.report.statistics import (
    decoded,
    estimates,
    paired,
    sign_test,
)
from quipu.evals.runner.scores import pass_at_k


@given(st.integers(1, 9), st.data())
def test_pass_at_k_is_the_share_of_subsets_with_a_pass(samples, data):
    passed = data.draw(st.integers(0, samples))
    k = data.draw(st.integers(1, samples))
    subsets = list(combinations([True] * passed + [False] * (samples - passed), k))
    assert pass_at_k(samples, passed, k) == pytest.approx(
        sum(map(any, subsets)) / len(subsets), abs=1e-12
    )


@pytest.mark.parametrize(("n", "c", "k"), [(200, 3, 100), (200, 1, 10), (1000, 999, 1)])
def test_pass_at_k_of_many_samples_is_exact(n, c, k):
    missed = Fraction(1)
    for step in range(k):
        missed *= Fraction(max(n - c - step, 0), n - step)
    assert pass_at_k(n, c, k) == pytest.approx(float(1 - missed), rel=1e-12)


@settings(max_examples=15, deadline=None)
@given(st.integers(40, 300), st.floats(0.2, 0.8), st.integers(0, 2**32))
def test_the_bootstrap_has_the_standard_error_of_the_textbook(problems, rate, seed):
    draw = np.random.default_rng(seed)
    rows = np.stack([draw.random(problems) < rate, draw.random(problems)], axis=1).astype(float)
    rows[:2, 0] = 0, 1
    for column, found in zip(rows.T, estimates(rows, seed), strict=True):
        error = column.std() / np.sqrt(problems)
        assert found.error == pytest.approx(error, rel=0.05)
        assert found.value == pytest.approx(column.mean())
        assert found.high - found.low == pytest.approx(
            2 * 1.96 * error, rel=0.1, abs=2 / problems
        )  # means of 0 and 1 lie on a grid
        assert found.holds(found.value)


def test_the_same_key_gives_the_same_interval():
    rows = np.random.default_rng(1).random((164, 1))
    assert estimates(rows, "a") == estimates(rows, "a") != estimates(rows, "b")


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_run_without_any_pass_is_not_certain(value):
    found = estimates(np.full((164, 1), value), bounded=True)[0]
    bound = found.high if value == 0 else 1 - found.low
    assert (1 - bound) ** 164 == pytest.approx(0.025)  # so rare is such a run at the bound
    assert estimates(np.zeros((9, 1)))[0].high == 0  # a difference has no bound


@given(st.integers(0, 12), st.integers(0, 12))
def test_the_sign_test_counts_all_outcomes_of_fair_coins(better, worse):
    law = [Fraction(1)]  # of the number of heads, coin by coin
    for _ in range(better + worse):
        law = [(a + b) / 2 for a, b in zip([*law, Fraction(0)], [Fraction(0), *law], strict=True)]
    middle = Fraction(better + worse, 2)
    as_far = [p for heads, p in enumerate(law) if abs(heads - middle) >= abs(better - middle)]
    assert sign_test(better, worse) == pytest.approx(float(sum(as_far)), rel=1e-12)


def test_the_sign_test_of_many():
    assert sign_test(2600, 2600) == 1
    assert 0 < sign_test(3000, 2000) < 1e-40


def test_paired_differences_are_those_of_the_second():
    found = paired([1.0, 0.0, 0.0, 0.0] * 20, [1.0, 1.0, 0.0, 0.0] * 20, "key")
    assert found.value == 0.25
    assert 0.1 < found.low < 0.25 < found.high < 0.4


@pytest.mark.parametrize(
    ("percent", "problems", "count"),
    [(33.5, 164, 55), (41.4, 500, 207), (28.6, 161, 46), (26.19, 817, 214), (67.8, 164, None),
     (8.22, 164, None), (33.5, 5000, None), (100.0, 3, 3), (0.0, 3, 0)],
)  # fmt: skip
def test_printed_percentages_are_counts(percent, problems, count):
    assert decoded(percent, problems) == count
