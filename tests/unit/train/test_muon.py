"""Muon is PyTorch's where nothing is shared out, and batches of matrices change nothing."""

import pytest
import torch

from quipu.train.muon import Muon, _by_gram, _plain, orthogonal

# bf16 iterations, batched or not: three digits.
TOLERANCE = 2e-2


def matrices(seed=0):
    random = torch.Generator().manual_seed(seed)
    shapes = ((12, 8), (8, 12), (12, 8), (16, 16))
    return [torch.nn.Parameter(torch.randn(s, generator=random)) for s in shapes]


def test_steps_are_those_of_pytorch():
    ours, theirs = matrices(), matrices()
    settings = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}
    one = Muon(ours, **settings, dtype=torch.bfloat16)
    other = torch.optim.Muon(theirs, **settings, nesterov=True, adjust_lr_fn="match_rms_adamw")
    before = [m.detach().clone() for m in ours]
    for number in range(3):
        random = torch.Generator().manual_seed(100 + number)
        for a, b in zip(ours, theirs, strict=True):
            a.grad = torch.randn(a.shape, generator=random)
            b.grad = a.grad.clone()
        one.step()
        other.step()
    for a, b, start in zip(ours, theirs, before, strict=True):
        torch.testing.assert_close(a - start, b - start, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("shape", [(3, 6, 10), (3, 10, 6), (2, 8, 8), (2, 6, 20), (2, 20, 6)])
def test_the_update_has_singular_values_of_about_one(shape):
    random = torch.Generator().manual_seed(1)
    found = orthogonal(torch.randn(shape, generator=random), torch.float32)
    values = torch.linalg.svdvals(found)
    assert values.min() > 0.6
    assert values.max() < 1.3


def test_a_batch_gives_each_matrix_what_it_gets_alone():
    random = torch.Generator().manual_seed(1)
    batch = torch.randn((3, 6, 10), generator=random)
    together = orthogonal(batch, torch.float32)
    for matrix, found in zip(batch, together, strict=True):
        torch.testing.assert_close(orthogonal(matrix[None], torch.float32)[0], found)


@pytest.mark.parametrize("rank", [1, 3, 6])
def test_the_shorter_way_for_flat_matrices_ends_where_the_plain_one_does(rank):
    random = torch.Generator().manual_seed(rank)
    left, right = (torch.randn(shape, generator=random) for shape in ((2, 6, rank), (2, rank, 40)))
    flat = left @ right
    flat /= flat.norm(dim=(-2, -1), keepdim=True)
    # Rounding of what is no direction at all grows by the first coefficient each time: 485 times.
    torch.testing.assert_close(_by_gram(flat), _plain(flat), rtol=1e-3, atol=1e-3)


def test_a_gradient_of_zero_is_no_trouble():
    assert not orthogonal(torch.zeros(1, 4, 6), torch.float32).any()
