"""The solver against brute force on tiny matrices, and against plain rounding."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quipu.checkpoint.tensors import StoredTensor, as_float32, cast
from quipu.errors import CheckpointError
from quipu.quantise import solver
from quipu.quantise.solver import damped, error, fit, fit_scales

SIZES = st.tuples(st.sampled_from([1, 3, 17]), st.integers(1, 4).map(lambda groups: 32 * groups))


def random_problem(outputs: int, inputs: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights, and second moments of inputs that depend on each other and differ in size."""
    random = np.random.default_rng(seed)
    mixed = random.normal(size=(inputs, inputs)) / inputs**0.5 + np.eye(inputs)
    x = random.normal(size=(3 * inputs, inputs)) @ mixed * np.exp(random.normal(size=inputs))
    weights = random.normal(size=(outputs, inputs)).astype(np.float32)
    return weights, (x.T @ x / len(x)).astype(np.float32)


def plain(weights: np.ndarray) -> np.ndarray:
    """What a cast makes of weights."""
    tensor = StoredTensor(dtype="f32", shape=weights.shape, data=weights)
    return as_float32(cast(tensor, "q4_0"))


@settings(deadline=None, max_examples=30)
@given(size=SIZES, seed=st.integers(0, 1000))
def test_fitted_weights_lose_less_than_plain_rounding(size: tuple[int, int], seed: int) -> None:
    weights, hessian = random_problem(*size, seed)
    rounded = fit(weights, hessian)
    found = error(weights - rounded.values(), damped(hessian))
    assert found < error(weights - plain(weights), damped(hessian))


@settings(deadline=None, max_examples=30)
@given(size=SIZES, seed=st.integers(0, 1000))
def test_stored_blocks_are_the_values(size: tuple[int, int], seed: int) -> None:
    rounded = fit(*random_problem(*size, seed))
    stored = rounded.stored()
    assert (stored.dtype, stored.shape) == ("q4_0", size)
    assert np.array_equal(as_float32(stored), rounded.values())
    assert rounded.integers_IO.min() >= -8
    assert rounded.integers_IO.max() <= 7


@pytest.mark.parametrize("seed", range(5))
def test_no_other_integers_of_a_few_columns_are_much_better(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """All 16^3 choices for one row of three inputs, at the scale that was found."""
    monkeypatch.setattr(solver, "GROUP", 3)
    weights, hessian = random_problem(1, 3, seed)
    rounded = fit(weights, hessian)
    scale = float(rounded.scales_GO[0, 0])
    best = min(
        error(weights - scale * np.array([q], np.float32), damped(hessian))
        for q in itertools.product(range(-8, 8), repeat=3)
    )
    assert error(weights - rounded.values(), damped(hessian)) <= 1.5 * best


def test_nearest_plane_is_the_recursion_it_should_be() -> None:
    """The slow twin: after each column, those still to come are moved to where they lose least."""
    weights, hessian = random_problem(2, 64, 0)
    rounded = fit(weights, hessian)
    h, scales = damped(hessian).astype(np.float64), np.repeat(rounded.scales_GO, 32, axis=0).T
    for row in range(2):
        wished = weights[row].astype(np.float64)
        found = np.zeros(64)
        for column in reversed(range(64)):
            scale = scales[row, column]
            integer = np.clip(np.rint(wished[column] / scale), -8, 7)
            found[column] = integer * scale
            lost = wished[column] - found[column]
            left = slice(0, column)
            wished[left] += np.linalg.solve(h[left, left], h[left, column] * lost)
        assert np.allclose(found, rounded.values()[row], atol=1e-5)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1000))
def test_a_scale_is_at_least_as_good_as_the_plain_one(seed: int) -> None:
    random = np.random.default_rng(seed)
    group = random.normal(size=(32, 5)).astype(np.float32) * np.exp(random.normal(size=5))
    group = group.astype(np.float32)
    importance = np.exp(random.normal(size=32)).astype(np.float32)
    scale = fit_scales(group, importance)
    extreme = group[np.abs(group).argmax(axis=0), np.arange(5)]
    for ends in (-8, 7):
        usual = (extreme / ends).astype(np.float16).astype(np.float32)

        def loss(scales: np.ndarray) -> np.ndarray:
            integers = np.clip(np.rint(group / scales), -8, 7)
            found: np.ndarray = importance @ np.square(group - integers * scales)
            return found

        assert (loss(scale) <= loss(usual) * 1.001 + 1e-6).all()


@pytest.mark.parametrize("factor", [0.0, 1e-12, 1e7])
def test_weights_of_any_size_are_rounded(factor: float) -> None:
    weights, hessian = random_problem(4, 64, 2)
    rounded = fit(weights * np.float32(factor), hessian)
    assert np.isfinite(rounded.values()).all()
    assert np.array_equal(as_float32(rounded.stored()), rounded.values())


def test_inputs_that_are_always_zero_do_no_harm() -> None:
    weights, hessian = random_problem(4, 64, 3)
    rounded = fit(weights, np.zeros_like(hessian))
    assert np.abs(rounded.values() - weights).max() < 0.5
    hessian[:, 5] = hessian[5] = 0
    assert np.isfinite(fit(weights, hessian).values()).all()


def test_what_is_not_finite_is_refused() -> None:
    weights, hessian = random_problem(4, 64, 3)
    weights[2, 3] = np.nan
    with pytest.raises(CheckpointError, match="not finite numbers; check the source model"):
        fit(weights, hessian)
