"""What a quantiser needs of a runtime: one layer at a time, and what its matrices are fed."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from quipu.checkpoint.packing import Packed, natural_format, pack
from quipu.checkpoint.tensors import StoredTensor, as_float32
from quipu.config import ModelConfig
from quipu.errors import UsageError

Floats = npt.NDArray[np.float32]
_PAGE_SIZE = 16
_HEAD_STEP, _LARGEST_HEAD = 16, 256


class LayerInputs(NamedTuple):
    """What the matrices of a layer multiply, for each token."""

    attention_TD: Floats  # wq, wk, wv
    output_TQ: Floats  # wo
    gate_TD: Floats  # w1, w3
    down_TF: Floats  # w2


class Forward(Protocol):
    """Computes one layer, whose weights are given and may be replaced."""

    def load(self, weights: Mapping[str, StoredTensor]) -> None:
        """Weights by the last part of their names: wq, …, w3, attention_norm, ffn_norm."""

    def run(self, x_TD: Floats) -> LayerInputs:
        """The layer on a sequence from position 0; x in place. Arrays hold until the next call."""


class NativeForward:
    """The native runtime with room for one layer."""

    def __init__(self, config: ModelConfig, length: int, threads: int | None = None) -> None:
        """Sequences have `length` tokens; `threads` None: all that the process may use.

        Raises UsageError without the compiled module, or for a head size without kernels.
        """
        if config.head_size % _HEAD_STEP or config.head_size > _LARGEST_HEAD:
            raise UsageError(
                "calibration has no kernels for heads of this size",
                got=config.head_size,
                allowed=f"multiples of {_HEAD_STEP} up to {_LARGEST_HEAD}",
                remedy="take --calibrate none",
            )
        try:
            from quipu.native._runtime import Model, default_threads
            from quipu.native.rotary import frequencies
        except ImportError as error:
            raise UsageError(
                "calibration needs the compiled module of this package, which is not here",
                got=error,
                remedy="pip install . (it needs a C++20 compiler), or take --calibrate none",
            ) from error
        frequency, factor = frequencies(config)
        self._config = config
        self._model = Model(
            dim=config.dim,
            layers=1,
            heads=config.heads,
            kv_heads=config.kv_heads,
            head_size=config.head_size,
            ffn=config.ffn,
            vocab=config.vocab,
            norm_eps=config.norm_eps,
            frequency=frequency,
            rotary_factor=factor,
            kv_format="bf16",
            page_size=_PAGE_SIZE,
            num_pages=-(-length // _PAGE_SIZE),
            threads=threads or default_threads(),
            isa="",
        )
        self._kept: list[Packed | Floats] = []  # the model borrows them

    def load(self, weights: Mapping[str, StoredTensor]) -> None:
        """See `Forward`; matrices are packed in the format natural to how they are stored."""
        kept: list[Packed | Floats] = []
        for part, tensor in weights.items():
            if len(tensor.shape) == 1:
                vector = np.ascontiguousarray(as_float32(tensor))
                self._model.set_vector(0, part, vector)
                kept.append(vector)
                continue
            packed = pack(tensor, natural_format(tensor.dtype))
            self._model.set_matrix(
                0, part, packed.format, *packed.shape, packed.values, packed.scales
            )
            kept.append(packed)
        self._kept = kept

    def run(self, x_TD: Floats) -> LayerInputs:
        """See `Forward`."""
        tokens, query = len(x_TD), self._config.heads * self._config.head_size
        widths = (self._config.dim, query, self._config.dim, self._config.ffn)
        inputs = LayerInputs(*(np.empty((tokens, width), np.float32) for width in widths))
        self._model.layer(0, x_TD, *inputs)
        return inputs
