"""The C++ runtime as a runner: packed weights, paged keys and values, one call per step."""

import math
import os
from collections.abc import Callable, Iterable
from typing import Protocol

import numpy as np
import numpy.typing as npt

from quipu.config import ModelConfig
from quipu.counts import weight_shapes
from quipu.engine.batch import Batch
from quipu.engine.runner import StepResult
from quipu.errors import BackendError, UsageError
from quipu.native.memory import available_bytes
from quipu.native.rotary import frequencies

try:
    from quipu.native import ISA, _runtime
except ImportError as error:  # a source tree without its built module
    raise BackendError(
        "backend native needs the compiled module of this package, which is not here",
        got=error,
        remedy="pip install . (it needs a C++20 compiler), or use --backend torch",
    ) from error

PAGE_SIZE = 16  # tokens; the grain of prefix reuse
CONTEXTS = 4  # full contexts that the default number of pages holds, memory permitting
MEMORY_SHARE = 0.5  # default bound on pages, of what the weights leave free
UNKNOWN_MEMORY = 4 << 30  # bytes assumed free where the system does not tell

KV_FORMATS = {"float32": "fp32", "bfloat16": "bf16", "int8": "int8"}
_KV_BYTES = {"fp32": 4.0, "bf16": 2.0, "int8": 1.0}
_LANE_INPUTS, _HEAD_STEP, _LARGEST_HEAD = 32, 16, 256  # what the kernels ask of shapes


class Packed(Protocol):
    """A weight matrix as the kernels read it (docs/formats.md)."""

    @property
    def format(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def values(self) -> npt.NDArray[np.uint8]: ...
    @property
    def scales(self) -> npt.NDArray[np.uint16] | None: ...


class NativeRunner:
    """Implements `engine.runner.Runner`."""

    batch_invariant = True

    def __init__(
        self,
        config: ModelConfig,
        matrix: Callable[[str], Packed],
        vector: Callable[[str], npt.NDArray[np.float32]],
        *,
        choices: int,
        threads: int | None = None,
        kv_dtype: str | None = None,
        kv_tokens: int | None = None,
    ) -> None:
        """Take weights by our names; matrices may be views of a file, which stays mapped.

        Ids from `choices` on are never the best of a row. `threads` None: all that the process may
        use. `kv_dtype` None: float32 if all weights are, else bfloat16. `kv_tokens` None: 4 full
        contexts, but at most half of the memory that the weights leave. Raises UsageError, or
        BackendError for shapes without kernels and for keys and values that do not fit.
        """
        check_shape(config)
        names = [name for name, _ in weight_shapes(config)]
        self._weights = {name: _load(name, matrix, vector) for name in names}
        kv_format = _kv_format(kv_dtype, self._weights.values())
        weight_bytes = sum(_bytes(weight) for weight in self._weights.values())
        self.num_pages = _pages(config, kv_format, weight_bytes, kv_tokens)
        self.page_size = PAGE_SIZE
        self._choices = choices
        self._vocab = config.vocab
        self._logits_NV = np.empty((0, config.vocab), dtype=np.float32)
        self._model = _model(config, kv_format, self.num_pages, _threads(threads))
        for name, weight in self._weights.items():
            self._set(name, weight)
        if config.tied:
            self._set("output.weight", self._weights["tok_embeddings.weight"])

    @property
    def isa(self) -> str:
        """The instruction set in use."""
        return self._model.isa

    @property
    def threads(self) -> int:
        """Threads in use."""
        return self._model.threads

    def step(self, batch: Batch) -> StepResult:
        """Run the model on one batch; the GIL is free meanwhile."""
        rows = len(batch.select_N)
        if rows > len(self._logits_NV):
            self._logits_NV = np.empty((rows, self._vocab), dtype=np.float32)
        logits_NV = self._logits_NV[:rows]
        best_N = np.empty(rows, dtype=np.int32)
        self._model.step(
            batch.tokens_T,
            batch.positions_T,
            batch.starts_S1,
            batch.contexts_S,
            batch.pages_SP,
            batch.select_N,
            self._choices,
            logits_NV,
            best_N,
        )
        return StepResult(logits_NV=logits_NV, best_N=best_N)

    def _set(self, name: str, weight: "Packed | npt.NDArray[np.float32]") -> None:
        layer, part = place_of(name)
        if isinstance(weight, np.ndarray):
            self._model.set_vector(layer, part, weight)
            return
        outputs, inputs = weight.shape
        self._model.set_matrix(
            layer, part, weight.format, outputs, inputs, weight.values, weight.scales
        )


def check_shape(config: ModelConfig) -> None:
    """Raise BackendError for a model whose widths the kernels do not take."""
    widths = {
        "dim": config.dim,
        "heads x head_size": config.heads * config.head_size,
        "ffn": config.ffn,
    }
    odd = [f"{name} {width}" for name, width in widths.items() if width % _LANE_INPUTS]
    if config.head_size % _HEAD_STEP or config.head_size > _LARGEST_HEAD:
        odd.append(f"head_size {config.head_size}")
    if odd:
        raise BackendError(
            "backend native has no kernels for the shape of this model",
            got=", ".join(odd),
            allowed=f"widths in multiples of {_LANE_INPUTS}, head sizes in multiples of"
            f" {_HEAD_STEP} up to {_LARGEST_HEAD}",
            remedy="use --backend torch",
        )


def place_of(name: str) -> tuple[int, str]:
    """Layer (-1: none) and part of one of our names: `layers.3.attention.wq.weight` -> 3, wq."""
    parts = name.removesuffix(".weight").split(".")
    return (int(parts[1]), parts[-1]) if parts[0] == "layers" else (-1, parts[-1])


def _load(
    name: str,
    matrix: Callable[[str], Packed],
    vector: Callable[[str], npt.NDArray[np.float32]],
) -> "Packed | npt.NDArray[np.float32]":
    return np.ascontiguousarray(vector(name)) if name.endswith("norm.weight") else matrix(name)


def _bytes(weight: "Packed | npt.NDArray[np.float32]") -> int:
    if isinstance(weight, np.ndarray):
        return weight.nbytes
    return weight.values.nbytes + (0 if weight.scales is None else weight.scales.nbytes)


def _kv_format(dtype: str | None, weights: Iterable["Packed | npt.NDArray[np.float32]"]) -> str:
    if dtype is None:
        exact = all(isinstance(w, np.ndarray) or w.format == "fp32" for w in weights)
        return "fp32" if exact else "bf16"
    if dtype not in KV_FORMATS:
        raise UsageError("kv dtype", got=dtype, allowed=", ".join(KV_FORMATS))
    return KV_FORMATS[dtype]


def _threads(count: int | None) -> int:
    if count is None:
        return _runtime.default_threads()
    if count < 1:
        raise UsageError("threads", got=count, allowed="1 or more")
    return count


def _pages(config: ModelConfig, kv_format: str, weight_bytes: int, kv_tokens: int | None) -> int:
    """Pages for keys and values that fit beside the weights."""
    token = math.ceil(2 * config.layers * config.kv_heads * config.head_size * _KV_BYTES[kv_format])
    free = available_bytes()
    room = max(0, (UNKNOWN_MEMORY if free is None else free) - weight_bytes)
    fitting = room // (token * PAGE_SIZE) * PAGE_SIZE  # tokens
    if kv_tokens is None:
        most = CONTEXTS * config.context
        kv_tokens = min(most, max(PAGE_SIZE, int(fitting * MEMORY_SHARE)))
    elif kv_tokens < 1:
        raise UsageError("kv tokens", got=kv_tokens, allowed="1 or more")
    if kv_tokens > fitting:
        raise BackendError(
            f"no memory for keys and values of {kv_tokens:,} tokens ({token:,} bytes each)",
            got=f"{room:,} bytes free beside the weights",
            allowed=f"up to {fitting:,} tokens",
            remedy="ask for fewer with --kv-tokens, use --kv-dtype int8, or free memory",
        )
    return -(-kv_tokens // PAGE_SIZE)


def _model(config: ModelConfig, kv_format: str, num_pages: int, threads: int) -> _runtime.Model:
    frequency, factor = frequencies(config)
    try:
        return _runtime.Model(
            dim=config.dim,
            layers=config.layers,
            heads=config.heads,
            kv_heads=config.kv_heads,
            head_size=config.head_size,
            ffn=config.ffn,
            vocab=config.vocab,
            norm_eps=config.norm_eps,
            frequency=frequency,
            rotary_factor=factor,
            kv_format=kv_format,
            page_size=PAGE_SIZE,
            num_pages=num_pages,
            threads=threads,
            isa=os.environ.get(ISA, ""),
        )
    except ValueError as error:
        best = f"up to {_runtime.detected_isa()} here"
        raise UsageError(str(error), got=os.environ.get(ISA), allowed=best) from None
    except MemoryError:
        raise BackendError(
            f"no memory for keys and values of {num_pages * PAGE_SIZE:,} tokens",
            remedy="ask for fewer with --kv-tokens, or use --kv-dtype int8",
        ) from None
