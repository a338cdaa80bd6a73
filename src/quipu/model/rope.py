"""Rotary position embedding (arXiv 2104.09864) in the half-split layout, angles always in fp32.

At theta 1e6 angles below fp32 lose the position of nearby tokens (vLLM once scored 4.9 instead of
36.0 on HumanEval that way), so neither frequencies nor tables ever follow the model's dtype.
"""

import math

import torch
from torch import Tensor

from quipu.config import ModelConfig, RopeScaling


def frequencies(config: ModelConfig) -> tuple[Tensor, float]:
    """Angle per position of each rotated pair, fp32 [E / 2], and the factor on cos and sin.

    Bit for bit what transformers computes for the same configuration, on the CPU.
    """
    exponent = torch.arange(0, config.head_size, 2, dtype=torch.int64).float() / config.head_size
    spread = config.rope_theta**exponent
    scaling = config.rope_scaling
    if scaling is None:
        return 1.0 / spread, 1.0
    if scaling.kind == "linear":
        return (1.0 / spread) / scaling.factor, 1.0
    return _yarn(config, scaling, spread)


def _yarn(config: ModelConfig, scaling: RopeScaling, spread: Tensor) -> tuple[Tensor, float]:
    """YaRN (arXiv 2309.00071 section 3.2): slow pairs are interpolated, fast ones kept."""
    trained = scaling.original_context or config.context

    def pair_with_turns(turns: float) -> float:
        """Index of the pair that turns so often within the trained context."""
        wavelength_ratio = trained / (turns * 2 * math.pi)
        return config.head_size * math.log(wavelength_ratio) / (2 * math.log(config.rope_theta))

    first = max(math.floor(pair_with_turns(scaling.beta_fast)), 0)
    last = min(math.ceil(pair_with_turns(scaling.beta_slow)), config.head_size - 1)
    width = last - first if last != first else 0.001
    pairs = torch.arange(config.head_size // 2, dtype=torch.float32)
    kept = 1 - ((pairs - first) / width).clamp(0, 1)
    frequency = (1.0 / (scaling.factor * spread)) * (1 - kept) + (1.0 / spread) * kept
    factor = scaling.attention_factor
    if factor is None:
        factor = 0.1 * math.log(scaling.factor) + 1.0 if scaling.factor > 1 else 1.0
    return frequency, factor


def angles(frequency: Tensor, factor: float, positions_T: Tensor) -> tuple[Tensor, Tensor]:
    """cos and sin for each position, fp32 [T, 1, E / 2]."""
    turned = (positions_T.float()[:, None] * frequency[None, :])[:, None, :]
    return turned.cos() * factor, turned.sin() * factor


def rotate(x_THE: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn each pair (e, e + E / 2) by its angle; computed in fp32, returned in the dtype of x."""
    first, second = x_THE.float().chunk(2, dim=-1)
    turned = torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
    return turned.to(x_THE.dtype)
