"""Fixtures of the checkpoint tests."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from quipu.config import ModelConfig
from unit.checkpoint.models import (
    TINY,
    Weights,
    bits,
    config_values,
    hf_name,
    random_weights,
    train_sentencepiece,
    write_safetensors,
)

MakeHf = Callable[..., Path]


@pytest.fixture(scope="session")
def tokenizer_model() -> bytes:
    """316 pieces, the four of infilling among them."""
    return train_sentencepiece()


@pytest.fixture
def make_hf(tmp_path: Path, tokenizer_model: bytes) -> MakeHf:
    """Write a Hugging Face folder; see `make`."""

    def make(
        config: ModelConfig = TINY,
        *,
        name: str = "model",
        dtype: str = "f32",
        tokenizer: bool = True,
        weights: Weights | None = None,
        **changes: object,
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        weights = random_weights(config) if weights is None else weights
        stored = {hf_name(ours): bits(array, dtype) for ours, array in weights.items()}
        write_safetensors(folder / "model.safetensors", stored, dtype)
        (folder / "config.json").write_text(json.dumps(config_values(config, **changes)))
        if tokenizer:
            (folder / "tokenizer.model").write_bytes(tokenizer_model)
        return folder

    return make


@pytest.fixture
def tied() -> ModelConfig:
    """TINY with one matrix for embedding and output."""
    return replace(TINY, tied=True)
