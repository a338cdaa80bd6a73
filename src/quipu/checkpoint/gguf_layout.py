"""GGUF's layout for Llama: one file with weights, configuration and tokenizer."""

import math
import re
from collections.abc import Mapping
from pathlib import Path

import gguf

from quipu.checkpoint.abilities import stated_or_derived
from quipu.checkpoint.checkpoint import Checkpoint, Weight, checked, our_weights
from quipu.checkpoint.config_json import missing_theta
from quipu.checkpoint.files import FETCH_AGAIN
from quipu.checkpoint.gguf_file import GgufWriter, read_head
from quipu.checkpoint.gguf_tokenizer import from_metadata, to_metadata
from quipu.checkpoint.names import name_in
from quipu.checkpoint.rotary import rotated_heads, to_neighbours
from quipu.checkpoint.settings import Settings
from quipu.checkpoint.tensors import QUANTISED, StoredTensor, TensorSpec
from quipu.config import Abilities, ModelConfig, RopeScaling
from quipu.errors import CheckpointError

_NONE = re.compile(r"$^")
_FILE_TYPE = {
    "f32": gguf.LlamaFileType.ALL_F32,
    "f16": gguf.LlamaFileType.MOSTLY_F16,
    "bf16": gguf.LlamaFileType.MOSTLY_BF16,
    "q8_0": gguf.LlamaFileType.MOSTLY_Q8_0,
    "q4_0": gguf.LlamaFileType.MOSTLY_Q4_0,
}


def open_gguf(path: Path, rope_theta: float | None = None) -> Checkpoint:
    """Open a GGUF file of architecture `llama`. Raises CheckpointError if it is not whole."""
    head = read_head(path)
    settings = Settings(str(path), head.metadata)
    _check_kind(settings)
    names = our_weights(path, "gguf", head.parts, _NONE)
    if "tok_embeddings.weight" not in names:
        raise CheckpointError(f"{path}: the embedding is missing", remedy=FETCH_AGAIN)
    vocab = head.parts[names["tok_embeddings.weight"]].spec.shape[0]
    config = _read_config(settings, vocab, "output.weight" not in names, rope_theta)
    found = {
        ours: Weight(parts=(head.parts[theirs],), neighbour_heads=rotated_heads(config, ours))
        for ours, theirs in names.items()
    }
    name = settings.text("general.name", path.resolve().stem)
    return Checkpoint(
        layout="gguf",
        path=path,
        name=name,
        config=config,
        abilities=_read_abilities(settings, name),
        weights=checked(path, config, found),
        load_tokenizer_files=lambda: from_metadata(settings),
    )


def _check_kind(settings: Settings) -> None:
    architecture = settings.text("general.architecture")
    if architecture != "llama":
        raise CheckpointError(
            f"{settings.where}: unknown architecture",
            got=architecture,
            allowed="llama",
            remedy="use a Llama-architecture model",
        )
    if settings.values.get("split.count", 1) not in (0, 1):
        raise CheckpointError(
            f"{settings.where}: the model is split over several files",
            got=f"{settings.values['split.count']} files",
            allowed="one file",
            remedy="join them with llama-gguf-split --merge",
        )
    settings.require("llama.expert_count", 0)
    settings.require("llama.attention.sliding_window", 0)


def _read_config(
    settings: Settings, vocab: int, tied: bool, rope_theta: float | None
) -> ModelConfig:
    heads = settings.count("llama.attention.head_count")
    dim = settings.count("llama.embedding_length")
    theta = rope_theta or settings.maybe_real("llama.rope.freq_base")
    if theta is None:
        raise missing_theta(settings.where)
    head_size = settings.count("llama.attention.key_length", max(1, dim // heads))
    settings.agree("llama.attention.value_length", head_size)
    settings.agree("llama.rope.dimension_count", head_size)
    return ModelConfig(
        dim=dim,
        layers=settings.count("llama.block_count"),
        heads=heads,
        kv_heads=settings.count("llama.attention.head_count_kv", heads),
        ffn=settings.count("llama.feed_forward_length"),
        vocab=vocab,
        context=settings.count("llama.context_length"),
        rope_theta=theta,
        head_size=head_size,
        rope_scaling=_read_scaling(settings),
        norm_eps=settings.real("llama.attention.layer_norm_rms_epsilon"),
        tied=tied,
    )


def _read_scaling(settings: Settings) -> RopeScaling | None:
    key = "llama.rope.scaling."
    factor = settings.maybe_real(key + "factor") or settings.maybe_real("llama.rope.scale_linear")
    kind = settings.text(key + "type", "linear" if factor else "none")
    if kind == "none" or factor is None:
        return None
    if kind == "linear":
        return RopeScaling(kind="linear", factor=factor)
    if kind != "yarn":
        raise CheckpointError(
            f"{settings.where}: unknown kind of rope scaling", got=kind, allowed="linear, yarn"
        )
    original = key + "original_context_length"
    relative = settings.maybe_real(key + "attn_factor")
    return RopeScaling(
        kind="yarn",
        factor=factor,
        original_context=settings.count(original) if settings.has(original) else None,
        beta_fast=settings.real(key + "yarn_beta_fast", 32.0),
        beta_slow=settings.real(key + "yarn_beta_slow", 1.0),
        attention_factor=relative and relative * _default_attention_factor(factor),
    )


def _default_attention_factor(factor: float) -> float:
    """What llama.cpp multiplies its own attn_factor by."""
    return 0.1 * math.log(factor) + 1.0 if factor > 1 else 1.0


def _read_abilities(settings: Settings, name: str) -> Abilities:
    values = {key: settings.values.get(f"quipu.{key}") for key in ("infill", "chat")}
    return stated_or_derived(
        Settings(f"{settings.where}: quipu", values), name, lambda: from_metadata(settings)
    )


def _metadata(
    config: ModelConfig,
    abilities: Abilities,
    name: str,
    specs: Mapping[str, TensorSpec],
    tokenizer_files: Mapping[str, bytes],
) -> dict[str, object]:
    main = specs["tok_embeddings.weight"].dtype
    found: dict[str, object] = {
        "general.type": "model",
        "general.name": name,
        "llama.context_length": config.context,
        "llama.embedding_length": config.dim,
        "llama.block_count": config.layers,
        "llama.feed_forward_length": config.ffn,
        "llama.attention.head_count": config.heads,
        "llama.attention.head_count_kv": config.kv_heads,
        "llama.attention.key_length": config.head_size,
        "llama.attention.value_length": config.head_size,
        "llama.attention.layer_norm_rms_epsilon": float(config.norm_eps),
        "llama.rope.dimension_count": config.head_size,
        "llama.rope.freq_base": float(config.rope_theta),
        "llama.vocab_size": config.vocab,
    }
    if main in _FILE_TYPE:
        found["general.file_type"] = int(_FILE_TYPE[main])
    if any(spec.dtype in QUANTISED for spec in specs.values()):
        found["general.quantization_version"] = gguf.GGML_QUANT_VERSION
    if config.rope_scaling is not None:
        found |= _scaling_metadata(config.rope_scaling)
    found |= {"quipu.infill": abilities.infill, "quipu.chat": abilities.chat or "none"}
    return found | to_metadata(tokenizer_files, config.vocab)


def _scaling_metadata(scaling: RopeScaling) -> dict[str, object]:
    key = "llama.rope.scaling."
    found: dict[str, object] = {key + "type": scaling.kind, key + "factor": float(scaling.factor)}
    if scaling.kind == "yarn":
        found |= {
            key + "yarn_beta_fast": float(scaling.beta_fast),
            key + "yarn_beta_slow": float(scaling.beta_slow),
        }
        if scaling.original_context is not None:
            found[key + "original_context_length"] = scaling.original_context
        if scaling.attention_factor is not None:
            relative = scaling.attention_factor / _default_attention_factor(scaling.factor)
            found[key + "attn_factor"] = relative
    return found


class GgufLayoutWriter:
    """Writes such a file, weight by weight in any order."""

    def __init__(
        self,
        path: Path,
        config: ModelConfig,
        abilities: Abilities,
        specs: Mapping[str, TensorSpec],
        tokenizer_files: Mapping[str, bytes],
        name: str,
    ) -> None:
        self._config = config
        metadata = _metadata(config, abilities, name, specs, tokenizer_files)
        theirs = {name_in("gguf", ours): spec for ours, spec in specs.items()}
        self._file = GgufWriter(path, metadata, theirs)

    def write(self, name: str, tensor: StoredTensor) -> None:
        """Write one weight by our name, in the format that the specs promised."""
        data = tensor.data
        if heads := rotated_heads(self._config, name):
            data = to_neighbours(data, heads)
        self._file.write(name_in("gguf", name), data)

    def finish(self) -> None:
        """Complete the files and make sure that they have reached the disk."""
        self._file.finish()

    def close(self) -> None:
        """Nothing to free: no file stays open between two weights."""
