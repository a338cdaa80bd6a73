"""Small random checkpoints, written with the libraries of others, and ways to spoil them."""

import io
import json
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors.torch
import sentencepiece
import torch

from quipu.config import ModelConfig
from quipu.counts import weight_shapes

SHARED = Path(__file__).resolve().parents[4] / "shared"
TINY = ModelConfig(
    dim=64, layers=2, heads=4, kv_heads=2, ffn=96, vocab=320, context=512, rope_theta=1e6
)

# A table of its own, apart from checkpoint/names.py.
HF_NAMES = {
    "tok_embeddings": "model.embed_tokens",
    "attention_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attention.wq": "self_attn.q_proj",
    "attention.wk": "self_attn.k_proj",
    "attention.wv": "self_attn.v_proj",
    "attention.wo": "self_attn.o_proj",
    "feed_forward.w1": "mlp.gate_proj",
    "feed_forward.w2": "mlp.down_proj",
    "feed_forward.w3": "mlp.up_proj",
    "norm": "model.norm",
    "output": "lm_head",
}

Weights = dict[str, np.ndarray]


def hf_name(ours: str) -> str:
    """Hugging Face's name of one of our weights."""
    parts = ours.removesuffix(".weight").split(".")
    if parts[0] != "layers":
        return f"{HF_NAMES[parts[0]]}.weight"
    return f"model.layers.{parts[1]}.{HF_NAMES['.'.join(parts[2:])]}.weight"


def bits(array: np.ndarray, dtype: str) -> np.ndarray:
    """float32 values in a storage format; bf16 by cutting, so values must have zeros there."""
    if dtype == "bf16":
        return (array.view(np.uint32) >> 16).astype(np.uint16)
    return array.astype({"f32": np.float32, "f16": np.float16}[dtype])


def random_weights(config: ModelConfig, seed: int = 0) -> Weights:
    """float32 weights by our names that f16 and bf16 both hold exactly."""
    random = np.random.default_rng(seed)
    return {
        name: (random.integers(-127, 128, shape) / 256).astype(np.float32)
        for name, shape in weight_shapes(config)
    }


def write_safetensors(path: Path, tensors: Mapping[str, np.ndarray], dtype: str) -> None:
    """With the safetensors library."""
    wanted = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}[dtype]
    found = {name: torch.from_numpy(array.copy()) for name, array in tensors.items()}
    safetensors.torch.save_file(
        {name: tensor.view(wanted) for name, tensor in found.items()}, path, {"format": "pt"}
    )


def config_values(config: ModelConfig, **changes: object) -> dict[str, object]:
    """A config.json as transformers 4 wrote it; a change to None takes the key away."""
    values = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": config.dim,
        "intermediate_size": config.ffn,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
        "max_position_embeddings": config.context,
        "rms_norm_eps": config.norm_eps,
        "rope_theta": config.rope_theta,
        "tie_word_embeddings": config.tied,
        "vocab_size": -1,
    } | changes
    return {key: value for key, value in values.items() if value is not None}


def train_sentencepiece(**options: object) -> bytes:
    """A small SentencePiece model with byte fallback."""
    model = io.BytesIO()
    lines = [f"def function_{i}(x): return x * {i} + some_value[{i}]" for i in range(200)]
    settings = {
        "model_type": "bpe",
        "vocab_size": 316,
        "byte_fallback": True,
        "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False,
        "control_symbols": ["\u2581<PRE>", "\u2581<SUF>", "\u2581<MID>", "\u2581<EOT>"],
        "minloglevel": 2,
    } | options
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, **settings
    )
    return model.getvalue()


def edit_config(folder: Path, **changes: object) -> None:
    """Change keys of a config.json; None takes a key away."""
    path = folder / "config.json"
    values = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: v for key, v in values.items() if v is not None}))


def cut(path: Path, size: int) -> None:
    """Keep the first `size` bytes (a negative number: all but so many)."""
    data = path.read_bytes()
    path.write_bytes(data[:size])


def header_of(path: Path) -> dict[str, object]:
    """JSON header of a safetensors file."""
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    found: dict[str, object] = json.loads(data[8 : 8 + size])
    return found
