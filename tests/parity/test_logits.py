"""Our forward pass equals transformers' LlamaForCausalLM."""

from dataclasses import replace

import pytest
import torch

import llama
from quipu.config import RopeScaling
from quipu.model.attend import PackedCausal, single_document

# fp32 sums in another order; asked of us: 1e-4 at any position.
TOLERANCE = 1e-4


def _difference(config, positions):
    theirs = llama.oracle(config)
    mine = llama.ours(config, theirs)
    tokens = torch.randint(0, config.vocab, (positions.numel(),))
    with torch.no_grad():
        expected = theirs(tokens[None], position_ids=positions[None]).logits[0]
        logits = mine(tokens, positions, single_document(tokens.numel()))
    assert expected.abs().max() > 0.5, "an oracle that says nothing proves nothing"
    return (logits - expected).abs().max().item()


@pytest.mark.parametrize("shape", llama.SHAPES)
def test_logits_equal_transformers_at_the_start(shape):
    assert _difference(llama.SHAPES[shape], torch.arange(160)) < TOLERANCE


@pytest.mark.parametrize("shape", llama.SHAPES)
def test_logits_equal_transformers_up_to_position_20000(shape):
    stretches = ((0, 64), (9_968, 10_032), (19_936, 20_001))
    positions = torch.cat([torch.arange(*stretch) for stretch in stretches])
    assert _difference(llama.SHAPES[shape], positions) < TOLERANCE


@pytest.mark.slow
def test_logits_equal_transformers_over_20000_tokens_in_a_row():
    config = replace(llama.SHAPES["34b"], layers=1)
    assert _difference(config, torch.arange(20_001)) < TOLERANCE


@pytest.mark.parametrize(
    "scaling",
    [
        RopeScaling(kind="linear", factor=4.0),
        RopeScaling(kind="yarn", factor=4.0, original_context=1024),
    ],
    ids=["linear", "yarn"],
)
def test_scaled_rotary_positions_equal_transformers(scaling):
    config = replace(llama.SHAPES["34b"], context=4096, rope_scaling=scaling)
    positions = torch.cat([torch.arange(64), torch.arange(4_000, 4_096)])
    assert _difference(config, positions) < TOLERANCE


def test_a_tied_head_equals_transformers():
    assert _difference(replace(llama.SHAPES["7b"], tied=True), torch.arange(64)) < TOLERANCE


def test_packed_documents_do_not_see_each_other():
    config = llama.SHAPES["34b"]
    mine = llama.ours(config, llama.oracle(config))
    tokens = torch.randint(0, config.vocab, (48,))
    lengths = (5, 11, 8, 24)  # two rows of 24 tokens: 5 + 11 + 8, and 24
    document = torch.repeat_interleave(torch.arange(4), torch.tensor(lengths))
    positions = torch.cat([torch.arange(n) for n in lengths])
    with torch.no_grad():
        packed = mine(tokens, positions, PackedCausal(document, row_tokens=24))
        alone = [
            mine(part, torch.arange(part.numel()), single_document(part.numel()))
            for part in tokens.split(lengths)
        ]
    assert (packed - torch.cat(alone)).abs().max() < TOLERANCE


def test_selected_rows_are_rows_of_the_whole():
    config = llama.SHAPES["7b"]
    mine = llama.ours(config, llama.oracle(config))
    tokens, select = torch.randint(0, config.vocab, (9,)), torch.tensor([8, 2])
    with torch.no_grad():
        attend = single_document(9)
        whole = mine(tokens, torch.arange(9), attend)
        some = mine(tokens, torch.arange(9), attend, select)
    assert (some - whole[select]).abs().max() < TOLERANCE
