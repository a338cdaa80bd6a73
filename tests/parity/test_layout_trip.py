"""Logits survive a trip through every layout: weights, rotary order, theta and vocabulary."""

import pytest
import torch

import llama
from quipu.checkpoint.conversion import convert
from quipu.checkpoint.opening import open_checkpoint
from quipu.checkpoint.tensors import as_float32
from quipu.model.attend import single_document
from quipu.model.transformer import Transformer

TOLERANCE = 1e-4  # asked of us; fp32 sums in another order
SHARDS = {"7b": 2, "34b": 2, "70b-instruct": 8}  # 70B comes in eight


def _logits(path, tokens, positions):
    found = open_checkpoint(path)
    model = Transformer(found.config)
    weights = {name: torch.from_numpy(as_float32(found.read(name))) for name in found.names()}
    model.load_state_dict(weights)
    with torch.no_grad():
        return model(tokens, positions, single_document(tokens.numel()))


@pytest.mark.parametrize("shape", llama.SHAPES)
def test_logits_are_the_same_after_hf_meta_hf_gguf_hf(shape, tmp_path):
    config = llama.SHAPES[shape]
    theirs = llama.oracle(config)
    theirs.save_pretrained(tmp_path / "hf")
    convert(tmp_path / "hf", tmp_path / "meta", to="meta", shards=SHARDS[shape])
    assert len(list((tmp_path / "meta").glob("consolidated.*.pth"))) == SHARDS[shape]
    convert(tmp_path / "meta", tmp_path / "ours", to="hf")
    convert(tmp_path / "ours", tmp_path / "f32.gguf", to="gguf", dtype="f32")
    convert(tmp_path / "f32.gguf", tmp_path / "again", to="hf")
    assert open_checkpoint(tmp_path / "again").config == config
    positions = torch.cat([torch.arange(48), torch.arange(19_968, 20_001)])
    tokens = torch.randint(0, config.vocab, (positions.numel(),))
    with torch.no_grad():
        expected = theirs(tokens[None], position_ids=positions[None]).logits[0]
    for step in ("hf", "meta", "f32.gguf", "again"):
        difference = (_logits(tmp_path / step, tokens, positions) - expected).abs().max().item()
        assert difference < TOLERANCE, step
