"""Checkpoints that transformers wrote, taken through every layout, and given back to it."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM

from llama import SHAPES, oracle, our_weights
from quipu.checkpoint import as_float32, convert, open_checkpoint
from quipu.config import ModelConfig, RopeScaling

MODELS: dict[str, ModelConfig] = {
    **SHAPES,
    "tied": replace(SHAPES["7b"], tied=True),
    "linear": replace(SHAPES["34b"], rope_scaling=RopeScaling(kind="linear", factor=4.0)),
    "yarn": replace(
        SHAPES["34b"],
        rope_scaling=RopeScaling(kind="yarn", factor=8.0, original_context=2048),
    ),
}


def save(name: str, folder: Path, dtype: torch.dtype = torch.float32) -> LlamaForCausalLM:
    model = oracle(MODELS[name]).to(dtype)
    model.save_pretrained(folder)
    return model


def assert_equals(path: Path, model: LlamaForCausalLM, config: ModelConfig) -> None:
    """What lies at `path` has the weights of `model`, bit for bit, and its configuration."""
    checkpoint = open_checkpoint(path)
    assert checkpoint.config == config
    expected = our_weights(model)
    assert set(checkpoint.names()) == set(expected)
    for name, tensor in expected.items():
        found = torch.from_numpy(as_float32(checkpoint.read(name)).copy())
        assert torch.equal(found, tensor.float()), name


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", MODELS)
def test_what_transformers_writes_is_read(name: str, dtype: torch.dtype, tmp_path: Path) -> None:
    model = save(name, tmp_path / "hf", dtype)
    assert_equals(tmp_path / "hf", model, MODELS[name])


@pytest.mark.parametrize("name", MODELS)
def test_a_trip_through_gguf_is_loaded_by_transformers_unchanged(name: str, tmp_path: Path) -> None:
    model = save(name, tmp_path / "hf")
    convert(tmp_path / "hf", tmp_path / "x.gguf", to="gguf", dtype="f32")
    assert_equals(tmp_path / "x.gguf", model, MODELS[name])
    convert(tmp_path / "x.gguf", tmp_path / "back", to="hf", shards=3)
    assert_loaded_equal(tmp_path / "back", tmp_path / "hf")


@pytest.mark.parametrize(("name", "shards"), [("7b", 2), ("34b", 2), ("70b-instruct", 8)])
def test_a_trip_through_every_layout_is_loaded_by_transformers_unchanged(
    name: str, shards: int, tmp_path: Path
) -> None:
    model = save(name, tmp_path / "hf", torch.bfloat16)
    convert(tmp_path / "hf", tmp_path / "meta", to="meta", shards=shards)
    assert len(list((tmp_path / "meta").glob("consolidated.*.pth"))) == shards
    assert_equals(tmp_path / "meta", model, MODELS[name])
    convert(tmp_path / "meta", tmp_path / "x.gguf", to="gguf", dtype="f32")
    assert_equals(tmp_path / "x.gguf", model, MODELS[name])
    convert(tmp_path / "x.gguf", tmp_path / "back", to="hf", dtype="bf16")
    assert_equals(tmp_path / "back", model, MODELS[name])
    assert_loaded_equal(tmp_path / "back", tmp_path / "hf")


def assert_loaded_equal(folder: Path, source: Path) -> None:
    """transformers loads every weight, misses none, finds none too many, and computes alike."""
    loaded, report = LlamaForCausalLM.from_pretrained(folder, output_loading_info=True)
    original = LlamaForCausalLM.from_pretrained(source)
    assert not any(report.values()), report
    assert loaded.dtype == original.dtype
    assert (
        loaded.config.rope_parameters["rope_theta"] == original.config.rope_parameters["rope_theta"]
    )
    state = loaded.state_dict()
    for name, tensor in original.state_dict().items():
        assert torch.equal(state[name], tensor), name
    tokens = torch.tensor([[1, 5, 9, 200, 3, 77]])
    with torch.no_grad():
        assert torch.equal(loaded(tokens).logits, original(tokens).logits)
