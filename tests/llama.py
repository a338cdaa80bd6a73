"""Tiny random Llama checkpoints of the shapes of Code Llama, made by transformers: the oracle."""

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from quipu.checkpoint.packing import Format, pack
from quipu.checkpoint.tensors import StoredTensor
from quipu.config import ModelConfig, RopeScaling
from quipu.engine.runners.native import NativeRunner
from quipu.model.transformer import Transformer

# Scaled down; what matters (grouping of heads, theta, context, vocabulary) is kept.
SHAPES: dict[str, ModelConfig] = {
    "7b": ModelConfig(
        dim=64, layers=2, heads=4, kv_heads=4, ffn=192, vocab=320, context=16384, rope_theta=1e6
    ),
    "34b": ModelConfig(
        dim=128, layers=3, heads=8, kv_heads=2, ffn=352, vocab=320, context=16384, rope_theta=1e6
    ),
    "70b-instruct": ModelConfig(
        dim=256, layers=3, heads=16, kv_heads=8, ffn=448, vocab=336, context=4096, rope_theta=1e4
    ),
}


def rope_parameters(config: ModelConfig) -> dict[str, object]:
    """What transformers calls the rotary part of a configuration."""
    scaling: RopeScaling | None = config.rope_scaling
    if scaling is None:
        return {"rope_type": "default", "rope_theta": config.rope_theta}
    found: dict[str, object] = {
        "rope_type": scaling.kind,
        "rope_theta": config.rope_theta,
        "factor": scaling.factor,
    }
    if scaling.kind == "yarn":
        found["original_max_position_embeddings"] = scaling.original_context
    return found


def oracle(config: ModelConfig, seed: int = 0) -> LlamaForCausalLM:
    """A random transformers model with the shape of `config`, fp32, its weights wide enough."""
    torch.manual_seed(seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            hidden_size=config.dim,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            num_key_value_heads=config.kv_heads,
            head_dim=config.head_size,
            intermediate_size=config.ffn,
            vocab_size=config.vocab,
            max_position_embeddings=config.context,
            rope_parameters=rope_parameters(config),
            rms_norm_eps=config.norm_eps,
            tie_word_embeddings=config.tied,
            initializer_range=0.1,
            bos_token_id=1,
            eos_token_id=2,
        )
    )
    return model.eval()


_NAMES = {
    "model.embed_tokens": "tok_embeddings",
    "model.norm": "norm",
    "model.layers": "layers",
    "lm_head": "output",
    "input_layernorm": "attention_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attention.wq",
    "self_attn.k_proj": "attention.wk",
    "self_attn.v_proj": "attention.wv",
    "self_attn.o_proj": "attention.wo",
    "mlp.gate_proj": "feed_forward.w1",
    "mlp.down_proj": "feed_forward.w2",
    "mlp.up_proj": "feed_forward.w3",
}


def our_weights(model: LlamaForCausalLM) -> dict[str, torch.Tensor]:
    """Weights of the oracle by our names: a table of its own, apart from checkpoint/names.py."""
    found = {}
    for name, tensor in model.state_dict().items():
        for theirs, ours in _NAMES.items():
            name = name.replace(theirs, ours)
        if not (model.config.tie_word_embeddings and name.startswith("output.")):
            found[name] = tensor.detach()
    return found


def ours(config: ModelConfig, model: LlamaForCausalLM) -> Transformer:
    """Our model with the oracle's weights."""
    mine = Transformer(config)
    mine.load_state_dict(our_weights(model))
    return mine.eval()


def native_runner(config: ModelConfig, format: Format = "fp32", **options: object) -> NativeRunner:
    """The C++ runtime with the oracle's weights; the shape must be one that it has kernels for."""
    weights = {name: tensor.numpy() for name, tensor in our_weights(oracle(config)).items()}

    def stored(name: str) -> StoredTensor:
        return StoredTensor(dtype="f32", shape=weights[name].shape, data=weights[name])

    return NativeRunner(
        config,
        lambda name: pack(stored(name), format),
        weights.__getitem__,
        choices=config.vocab,
        **{"threads": 2, "kv_tokens": 512, **options},
    )
