"""Products in fixed point are what they say, and have the gradients of a linear layer."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from quipu.model.fixed import linear, product

STRETCH, LARGEST = 256, 2895
# Roundings by half of 1 / 2895 of a stretch's largest, about 3.5 times the usual number; two of
# them; bf16 has 3e-3.
TOLERANCE = 1e-3


def rounded(x_MK):
    """Integers and their scale, stretch by stretch."""
    for first in range(0, x_MK.shape[1], STRETCH):
        part = x_MK[:, first : first + STRETCH]
        most = np.abs(part).max(1, keepdims=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            factor = np.where(most > 0, np.float32(LARGEST) / most, np.float32(0))
        yield np.rint(part * factor).astype(np.int64), most / np.float32(LARGEST)


def twin(a_MK, b_NK):
    """The same, one stretch after the other, in numpy."""
    total = np.zeros((len(a_MK), len(b_NK)), np.float32)
    for (a, a_scale), (b, b_scale) in zip(rounded(a_MK), rounded(b_NK), strict=True):
        total += (a @ b.T).astype(np.float32) * (a_scale * b_scale.T)
    return total


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 60), st.integers(1, 40), st.integers(1, 600), st.booleans(), st.booleans(),
    st.integers(0, 99),
)  # fmt: skip
def test_a_product_is_its_twin_s_to_the_bit(rows, columns, depth, a_turned, b_turned, seed):
    a, b = numbers(rows, depth, seed=seed), numbers(columns, depth, seed=seed + 1)
    a[seed % rows] = 0
    given_a, given_b = (
        torch.from_numpy(x.T.copy() if turned else x)
        for x, turned in ((a, a_turned), (b, b_turned))
    )
    found = product(given_a, given_b, a_turned, b_turned).numpy()
    np.testing.assert_array_equal(found, twin(a, b))


def close(found, expected):
    error = (found - expected).norm() / expected.norm()
    assert error < TOLERANCE


@pytest.mark.parametrize("compiled", [False, True])
def test_gradients_are_those_of_a_linear_layer(compiled):
    x, weight, by = (torch.from_numpy(numbers(*s)) for s in ((70, 300), (48, 300), (70, 48)))
    results = []
    for how in (torch.compile(linear) if compiled else linear, F.linear):
        given = [x.clone().requires_grad_(), weight.clone().requires_grad_()]
        out = how(*given)
        results.append((out.detach(), *torch.autograd.grad(out, given, by)))
    for found, expected in zip(*results, strict=True):
        close(found, expected)


def test_what_is_frozen_needs_no_gradient():
    x, weight = torch.ones(3, 4, requires_grad=True), torch.ones(2, 4)
    linear(x, weight).sum().backward()
    assert x.grad is not None
    assert weight.grad is None


def test_other_factors_are_refused():
    with pytest.raises(ValueError, match="do not go together"):
        product(torch.ones(3, 4), torch.ones(2, 5), a_turned=False, b_turned=False)


def test_threads_share_rows_and_change_nothing():
    a, b = (torch.from_numpy(numbers(*shape)) for shape in ((205, 300), (33, 300)))
    threads = torch.get_num_threads()
    found = []
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            found += [
                product(a.T.contiguous() if turned else a, b, turned, False)
                for turned in (False, True)
            ]
    finally:
        torch.set_num_threads(threads)
    for one, other in itertools.pairwise(found):
        assert torch.equal(one, other)
