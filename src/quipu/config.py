"""Facts of a set of weights: shapes, rotary base, context. No third-party imports."""

from dataclasses import dataclass, replace
from typing import Literal

from quipu.errors import CheckpointError

# How a tuned model expects a conversation: `inst` is `[INST] … [/INST]` (7B-34B), `source` is
# `Source: user …` (70B). `text/chat.py` renders both.
ChatFormat = Literal["inst", "source"]


@dataclass(frozen=True, kw_only=True)
class Abilities:
    """What a model was trained for beyond continuing text."""

    infill: bool = False
    chat: ChatFormat | None = None


@dataclass(frozen=True, kw_only=True)
class RopeScaling:
    """How rotary angles are stretched beyond the context that was trained.

    `linear` divides positions by `factor` (position interpolation); `yarn` is arXiv 2309.00071,
    its fields named as in transformers.
    """

    kind: Literal["linear", "yarn"]
    factor: float
    original_context: int | None = None  # tokens; yarn only
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    attention_factor: float | None = None  # None: 0.1 * ln(factor) + 1


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Shape of a Llama-architecture transformer. Letters of the shape legend in brackets."""

    dim: int  # [D]
    layers: int  # [L]
    heads: int  # [H] query heads
    kv_heads: int  # [K] key/value heads; heads is a multiple of it
    ffn: int  # [F]
    vocab: int  # [V] rows of the embedding tensor, not what a config file claims
    context: int  # tokens the weights were trained for
    rope_theta: float  # mandatory: a lost theta is a silently broken model
    head_size: int = 0  # [E]; 0 means dim / heads
    rope_scaling: RopeScaling | None = None
    norm_eps: float = 1e-5
    tied: bool = False  # output head shares the embedding

    def __post_init__(self) -> None:
        if self.head_size == 0:
            object.__setattr__(self, "head_size", self.dim // self.heads)
        for name in ("dim", "layers", "heads", "kv_heads", "ffn", "vocab", "context", "head_size"):
            if getattr(self, name) < 1:
                raise CheckpointError(
                    f"model shape: {name}", got=getattr(self, name), allowed="1 or more"
                )
        if self.heads % self.kv_heads:
            raise CheckpointError(
                "model shape: heads must be a multiple of kv_heads",
                got=f"heads={self.heads}, kv_heads={self.kv_heads}",
            )
        if self.head_size % 2:
            raise CheckpointError("model shape: head_size must be even", got=self.head_size)
        if not self.rope_theta > 0:
            raise CheckpointError("model shape: rope_theta", got=self.rope_theta, allowed="> 0")


def _code_llama(dim: int, layers: int, heads: int, kv_heads: int, ffn: int) -> ModelConfig:
    return ModelConfig(
        dim=dim,
        layers=layers,
        heads=heads,
        kv_heads=kv_heads,
        ffn=ffn,
        vocab=32016,
        context=16384,
        rope_theta=1e6,
    )


# Base models of arXiv 2308.12950; their configuration files are the source of every number.
SIZES: dict[str, ModelConfig] = {
    "7b": _code_llama(4096, 32, 32, 32, 11008),
    "13b": _code_llama(5120, 40, 40, 40, 13824),
    "34b": replace(_code_llama(8192, 48, 64, 8, 22016), vocab=32000),
    "70b": _code_llama(8192, 80, 64, 8, 28672),
    "70b-instruct": replace(_code_llama(8192, 80, 64, 8, 28672), rope_theta=1e4, context=4096),
    # Our own family: head size 64, ffn about 8/3 dim, tied while the embedding is a large share.
    "quipu-6m": ModelConfig(
        dim=256,
        layers=6,
        heads=4,
        kv_heads=4,
        ffn=704,
        vocab=4096,
        context=1024,
        rope_theta=1e4,
        tied=True,
    ),
    "quipu-60m": ModelConfig(
        dim=640,
        layers=10,
        heads=10,
        kv_heads=10,
        ffn=1728,
        vocab=16384,
        context=1024,
        rope_theta=1e4,
        tied=True,
    ),
}
