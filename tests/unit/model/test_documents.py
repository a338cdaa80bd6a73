"""Attention document by document is attention of whole rows under a mask, and compiles once."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._dynamo.testing import CompileCounterWithBackend

import small
from quipu.model.attend import BOUNDARIES, PackedCausal, boundaries
from quipu.model.documents import Documents, attend_documents
from quipu.model.rope import angles, frequencies
from quipu.model.transformer import Block

# fp32 sums in another order; bf16 keeps three digits.
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 4e-2}

row_layouts = st.lists(
    st.lists(st.integers(1, 9), min_size=1, max_size=5).filter(lambda lengths: sum(lengths) <= 24),
    min_size=1,
    max_size=3,
)


def packed(rows, row_tokens=24):
    """Document numbers of rows with documents of these lengths, the rest of each row padding."""
    found = []
    for lengths in rows:
        for number, length in enumerate(lengths):
            found += [number] * length
        found += [-1] * (row_tokens - sum(lengths))
    return torch.tensor(found)


def heads(tokens, query, key, dtype, seed=0, size=16):
    random = torch.Generator().manual_seed(seed)
    return [
        torch.randn(tokens, count, size, generator=random).to(dtype).requires_grad_()
        for count in (query, key, key)
    ]


def seen(attend, inputs, by_out_THE):
    out = attend.at(0)(*inputs)
    return (out, *torch.autograd.grad(out, inputs, by_out_THE))


def both(document_T, query, key, dtype, row_tokens=24, size=16):
    """Outputs and gradients: document by document, and under a mask."""
    inputs = heads(document_T.numel(), query, key, dtype, size=size)
    by_out = torch.randn(inputs[0].shape, generator=torch.Generator().manual_seed(9)).to(dtype)
    return (
        seen(attend(document_T, row_tokens), inputs, by_out) for attend in (Documents, PackedCausal)
    )


@settings(deadline=None, max_examples=40)
@given(row_layouts, st.sampled_from([(4, 4), (4, 2), (4, 1)]), st.sampled_from(list(TOLERANCE)))
def test_it_agrees_with_its_twin_for_any_layout(rows, counts, dtype):
    for one, other in zip(*both(packed(rows), *counts, dtype), strict=True):
        assert one.dtype == other.dtype == dtype
        torch.testing.assert_close(one, other, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


# Of 24 numbers a head has no kernel of ours: PyTorch's runs.
@pytest.mark.parametrize(("isa", "size"), [("", 64), ("portable", 64), ("", 24)])
def test_it_agrees_with_its_twin_for_documents_of_many_kernel_blocks(monkeypatch, isa, size):
    monkeypatch.setenv("QUIPU_ISA", isa)
    rows = [[512], [1, 300, 2, 209], [70, 70, 70]]
    found = both(packed(rows, 512), 4, 2, torch.float32, 512, size)
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)  # sums of hundreds


def test_threads_change_no_bit():
    document_T = packed([[100, 28], [128]], 128)
    found = []
    for threads in (1, 3):
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            inputs = heads(256, 4, 2, torch.float32)
            found.append(seen(Documents(document_T, 128), inputs, torch.ones(256, 4, 16)))
        finally:
            torch.set_num_threads(before)
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


def test_a_row_ends_a_document():
    document_T = torch.zeros(8, dtype=torch.int64)
    assert boundaries(document_T, 4)[:4].tolist() == [0, 4, 8, 8]
    out = Documents(document_T, 4)(*heads(8, 1, 1, torch.float32))
    inputs = [x[4:] for x in heads(8, 1, 1, torch.float32)]
    torch.testing.assert_close(out[4:], PackedCausal(document_T[4:])(*inputs))


def test_boundaries_come_in_few_sizes():
    assert boundaries(torch.arange(BOUNDARIES - 1), BOUNDARIES - 1).numel() == BOUNDARIES
    assert boundaries(torch.arange(BOUNDARIES), BOUNDARIES).numel() == 2 * BOUNDARIES


def test_gradients_are_those_of_finite_differences():
    bounds = boundaries(packed([[3, 1, 4]], 8), 8)
    inputs = [x.double().detach().requires_grad_() for x in heads(8, 2, 1, torch.float32)]
    assert torch.autograd.gradcheck(lambda *x: attend_documents(*x, bounds)[0], inputs)


def test_the_operator_keeps_the_rules_of_operators():
    bounds = boundaries(packed([[5, 3]], 8), 8)
    torch.library.opcheck(attend_documents, (*heads(8, 2, 1, torch.float32), bounds))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_block_is_compiled_once_and_whole_whatever_the_layout():
    counter = CompileCounterWithBackend("aot_eager")
    config = replace(small.MODEL, kv_heads=small.MODEL.heads // 2)
    torch.manual_seed(0)
    block = Block(config)
    compiled = torch.compile(block, backend=counter, fullgraph=True)
    cos, sin = angles(*frequencies(config), torch.arange(48))
    x_TD = torch.randn(48, config.dim)
    for rows in ([[24], [24]], [[1] * 24, [3, 4]], [[7, 7], [20, 4]]):
        document_T = packed(rows)
        expected = block(x_TD, cos, sin, PackedCausal(document_T, 24))
        found = compiled(x_TD, cos, sin, Documents(document_T, 24).at(0))
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
        found.sum().backward()
    assert counter.frame_count == 1
