"""The chunked loss and its gradients are those of plain cross-entropy."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from quipu.data.loading.row import NO_TARGET
from quipu.train import loss
from quipu.train.loss import chunked_loss, plain_loss

# fp32 sums in another order.
TOLERANCE = 1e-4


def both(monkeypatch, tokens, chunk, seed, dtype=torch.float32):
    """Loss and gradients, of the chunked and of the plain way."""
    monkeypatch.setattr(loss, "LOSS_TOKENS", chunk)
    random = torch.Generator().manual_seed(seed)
    hidden = torch.randn(tokens, 8, generator=random).to(dtype)
    head = torch.randn(13, 8, generator=random).to(dtype)
    targets = torch.randint(-1, 13, (tokens,), generator=random)
    found = []
    for way in (chunked_loss, plain_loss):
        one, other = (x.clone().requires_grad_() for x in (hidden, head))
        total = way(one, other, targets)
        (total / 7).backward()
        found.append((total.detach(), one.grad, other.grad))
    return found


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 40), st.integers(1, 50), st.integers(0, 1000))
def test_it_agrees_with_its_twin_for_any_chunks(tokens, chunk, seed):
    with pytest.MonkeyPatch.context() as patch:
        chunked, plain = both(patch, tokens, chunk, seed)
    for one, other in zip(chunked, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=TOLERANCE, atol=TOLERANCE)


def test_half_precision_stays_half_precision_outside_and_single_inside(monkeypatch):
    chunked, plain = both(monkeypatch, 40, 16, 3, torch.bfloat16)
    assert chunked[0].dtype == torch.float32
    assert chunked[1].dtype == chunked[2].dtype == torch.bfloat16
    torch.testing.assert_close(chunked[0], plain[0], rtol=TOLERANCE, atol=TOLERANCE)
    for one, other in zip(chunked[1:], plain[1:], strict=True):
        torch.testing.assert_close(one, other, rtol=2e-2, atol=2e-2)  # three digits of bf16


def test_tokens_without_a_target_count_for_nothing():
    hidden = torch.randn(5, 8, requires_grad=True)
    head = torch.randn(13, 8, requires_grad=True)
    nothing = torch.full((5,), NO_TARGET)
    total = chunked_loss(hidden, head, nothing)
    total.backward()
    assert total == 0
    assert not hidden.grad.any()
    assert not head.grad.any()


@pytest.mark.parametrize("wanted", [(True, False), (False, True), (False, False)])
def test_no_gradient_is_computed_that_nobody_wants(monkeypatch, wanted):
    def multiplied(one, other, **options):
        products.append((one.shape, other.shape))
        return mm(one, other, **options)

    products, mm = [], torch.mm
    monkeypatch.setattr(torch, "mm", multiplied)
    random = torch.Generator().manual_seed(1)
    sizes = ((5, 8), (13, 8))
    given = [torch.randn(size, generator=random) for size in sizes]
    targets = torch.randint(-1, 13, (5,), generator=random)
    found = []
    for way in (chunked_loss, plain_loss):
        tensors = [x.clone().requires_grad_(on) for x, on in zip(given, wanted, strict=True)]
        total = way(*tensors, targets)
        if any(wanted):
            total.backward()
        found.append([total.detach(), *(x.grad for x in tensors)])
    assert len(products) == sum(wanted)
    for one, other in zip(*found, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, rtol=TOLERANCE, atol=TOLERANCE)
    with torch.no_grad():
        chunked_loss(*(x.clone().requires_grad_() for x in given), targets)
    assert len(products) == sum(wanted)
