"""Hugging Face's config.json <-> ModelConfig.

Both spellings of the rotary part are read: `rope_theta` and `rope_scaling` (transformers up to 4)
and `rope_parameters` (from 5). We write the first, which every version and every other tool reads.
transformers assumes theta 10,000 where a file has none; we refuse, because a lost theta of 1e6
leaves a model that loads and fails.
"""

import dataclasses

from quipu.checkpoint.abilities import to_values
from quipu.checkpoint.settings import Settings
from quipu.config import Abilities, ModelConfig, RopeScaling
from quipu.errors import CheckpointError

_ARCHITECTURE = "LlamaForCausalLM"
_TORCH_DTYPE = {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}
_SCALING_KINDS = "default, linear, yarn"
_YARN_KEYS = {
    "rope_type",
    "type",
    "rope_theta",
    "factor",
    "original_max_position_embeddings",
    "attention_factor",
    "beta_fast",
    "beta_slow",
    "finetuned",
    "truncate",
}


def read_config(settings: Settings, vocab: int, rope_theta: float | None = None) -> ModelConfig:
    """The shape that a config.json describes.

    `vocab` is the number of rows of the embedding: what the file claims is not looked at.
    `rope_theta` overrules the file. Raises CheckpointError for anything but a plain Llama model.
    """
    _check_architecture(settings)
    heads = settings.count("num_attention_heads")
    dim = settings.count("hidden_size")
    return ModelConfig(
        dim=dim,
        layers=settings.count("num_hidden_layers"),
        heads=heads,
        kv_heads=settings.count("num_key_value_heads", heads),
        ffn=settings.count("intermediate_size"),
        vocab=vocab,
        context=settings.count("max_position_embeddings"),
        rope_theta=rope_theta or _theta(settings),
        head_size=settings.count("head_dim", max(1, dim // heads)),
        rope_scaling=_scaling(settings),
        norm_eps=settings.real("rms_norm_eps", 1e-6),  # the default of transformers
        tied=settings.flag("tie_word_embeddings", False),
    )


def write_config(
    config: ModelConfig,
    abilities: Abilities,
    dtype: str | None,
    bos_id: int | None,
    eos_id: int | None,
) -> dict[str, object]:
    """Values of a config.json for weights stored as `dtype` (f32, f16, bf16; None: not told)."""
    return {
        "architectures": [_ARCHITECTURE],
        "attention_bias": False,
        "bos_token_id": bos_id,
        "eos_token_id": eos_id,
        "head_dim": config.head_size,
        "hidden_act": "silu",
        "hidden_size": config.dim,
        "initializer_range": 0.02,
        "intermediate_size": config.ffn,
        "max_position_embeddings": config.context,
        "mlp_bias": False,
        "model_type": "llama",
        "num_attention_heads": config.heads,
        "num_hidden_layers": config.layers,
        "num_key_value_heads": config.kv_heads,
        "quipu": to_values(abilities),
        "rms_norm_eps": config.norm_eps,
        "rope_scaling": _scaling_values(config.rope_scaling),
        "rope_theta": config.rope_theta,
        "tie_word_embeddings": config.tied,
        "torch_dtype": None if dtype is None else _TORCH_DTYPE[dtype],
        "use_cache": True,
        "vocab_size": config.vocab,
    }


def missing_theta(where: str) -> CheckpointError:
    """The refusal of every layout whose source does not say its rotary base."""
    return CheckpointError(
        f"{where}: rope theta is missing",
        allowed="1000000 (Code Llama), 10000 (Llama 2, Code Llama 70B Instruct and Python)",
        remedy="pass --rope-theta with the value that the model was trained with",
    )


def _check_architecture(settings: Settings) -> None:
    kinds = settings.values.get("architectures") or []
    kind = settings.values.get("model_type")
    if kind != "llama" or (kinds and _ARCHITECTURE not in list(_texts(kinds))):
        raise CheckpointError(
            f"{settings.where}: unknown architecture",
            got=", ".join([*_texts(kinds), f"model_type {kind}"]),
            allowed=f"{_ARCHITECTURE}, model_type llama",
            remedy="use a Llama-architecture model",
        )
    settings.require("attention_bias", False)
    settings.require("mlp_bias", False)
    settings.require("hidden_act", "silu")
    settings.require("partial_rotary_factor", 1.0)
    if settings.has("quantization_config"):
        raise CheckpointError(
            f"{settings.where}: weights are quantised in a way of transformers",
            allowed="float32, float16 or bfloat16 weights",
            remedy="use the original model, or a GGUF of it",
        )


def _texts(values: object) -> list[str]:
    return [str(value) for value in values] if isinstance(values, list) else [str(values)]


def _theta(settings: Settings) -> float:
    nested = settings.inner("rope_parameters")
    found = [s.real("rope_theta") for s in (nested, settings) if s and s.has("rope_theta")]
    if not found:
        raise missing_theta(settings.where)
    if len(set(found)) > 1:
        raise CheckpointError(
            f"{settings.where}: two values of rope theta",
            got=f"{found[0]:g} and {found[1]:g}",
            remedy="pass --rope-theta with the value that the model was trained with",
        )
    return found[0]


def _scaling(settings: Settings) -> RopeScaling | None:
    rope = settings.inner("rope_parameters") or settings.inner("rope_scaling")
    if rope is None:
        return None
    kind = rope.text("rope_type", rope.text("type", "default"))
    rope.require("partial_rotary_factor", 1.0)
    if kind == "default":
        return None
    if kind == "linear":
        return RopeScaling(kind="linear", factor=rope.real("factor"))
    if kind == "yarn":
        return _yarn(rope)
    raise CheckpointError(
        f"{rope.where}: unknown kind of scaling",
        got=kind,
        allowed=_SCALING_KINDS,
        remedy="use a model with one of these",
    )


def _yarn(rope: Settings) -> RopeScaling:
    if unknown := [key for key in rope.values if key not in _YARN_KEYS and rope.has(key)]:
        raise CheckpointError(
            f"{rope.where}: yarn setting is not supported",
            got=", ".join(unknown),
            allowed=", ".join(sorted(_YARN_KEYS)),
        )
    rope.require("truncate", True)
    original = "original_max_position_embeddings"
    return RopeScaling(
        kind="yarn",
        factor=rope.real("factor"),
        original_context=rope.count(original) if rope.has(original) else None,
        beta_fast=rope.real("beta_fast", 32.0),
        beta_slow=rope.real("beta_slow", 1.0),
        attention_factor=rope.maybe_real("attention_factor"),
    )


def _scaling_values(scaling: RopeScaling | None) -> dict[str, object] | None:
    if scaling is None:
        return None
    if scaling.kind == "linear":
        return {"rope_type": "linear", "type": "linear", "factor": scaling.factor}
    values = dataclasses.asdict(scaling)
    renamed = {
        "rope_type": values.pop("kind"),
        "original_max_position_embeddings": values.pop("original_context"),
    }
    return {key: value for key, value in (renamed | values).items() if value is not None}
