"""The two orders in which rotary pairs lie in the rows of wq and wk.

We and Hugging Face rotate (e, e + E/2): pairs are split over the two halves of a head. Meta and
GGUF rotate (2e, 2e + 1): pairs are neighbours. The weights are the same rows in another order, so
even quantised rows can move.
"""

import numpy as np
import numpy.typing as npt

from quipu.checkpoint.names import entry_of
from quipu.config import ModelConfig


def rotated_heads(config: ModelConfig, name: str) -> int:
    """Number of heads whose rows follow a rotary order in this weight; 0 if none do."""
    rotary = entry_of(name).rotary
    return getattr(config, rotary) if rotary else 0


def to_halves(rows: npt.NDArray[np.generic], heads: int) -> npt.NDArray[np.generic]:
    """Neighbouring pairs -> halves. `rows` is [H * E, anything], any dtype; returns a copy."""
    return rows.reshape(heads, -1, 2, rows.shape[-1]).swapaxes(1, 2).reshape(rows.shape)


def to_neighbours(rows: npt.NDArray[np.generic], heads: int) -> npt.NDArray[np.generic]:
    """Halves -> neighbouring pairs; the inverse of `to_halves`."""
    return rows.reshape(heads, 2, -1, rows.shape[-1]).swapaxes(1, 2).reshape(rows.shape)
