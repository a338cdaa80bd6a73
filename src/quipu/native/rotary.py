"""Rotary frequencies without PyTorch; a test holds them to model/rope.py."""

import math

import numpy as np
import numpy.typing as npt

from quipu.config import ModelConfig, RopeScaling

Floats = npt.NDArray[np.float32]


def frequencies(config: ModelConfig) -> tuple[Floats, float]:
    """Radians per position of each pair, fp32 [E / 2], and the factor on cos and sin."""
    exponent = np.arange(0, config.head_size, 2).astype(np.float32) / np.float32(config.head_size)
    spread = np.float32(config.rope_theta) ** exponent
    scaling = config.rope_scaling
    if scaling is None:
        return np.float32(1) / spread, 1.0
    if scaling.kind == "linear":
        return np.float32(1) / spread / np.float32(scaling.factor), 1.0
    return _yarn(config, scaling, spread)


def _yarn(config: ModelConfig, scaling: RopeScaling, spread: Floats) -> tuple[Floats, float]:
    """YaRN (arXiv 2309.00071 section 3.2): slow pairs are interpolated, fast ones kept."""
    trained = scaling.original_context or config.context

    def pair_with_turns(turns: float) -> float:
        wavelength_ratio = trained / (turns * 2 * math.pi)
        return config.head_size * math.log(wavelength_ratio) / (2 * math.log(config.rope_theta))

    first = max(math.floor(pair_with_turns(scaling.beta_fast)), 0)
    last = min(math.ceil(pair_with_turns(scaling.beta_slow)), config.head_size - 1)
    width = last - first if last != first else 0.001
    pairs = np.arange(config.head_size // 2, dtype=np.float32)
    kept = 1 - np.clip((pairs - np.float32(first)) / np.float32(width), 0, 1)
    one = np.float32(1)
    frequency: Floats = (one / (np.float32(scaling.factor) * spread)) * (1 - kept) + (
        one / spread
    ) * kept
    factor = scaling.attention_factor
    if factor is None:
        factor = 0.1 * math.log(scaling.factor) + 1.0 if scaling.factor > 1 else 1.0
    return frequency.astype(np.float32), factor
