"""Tensors as they lie in files: storage formats, and casts between them that stay small in memory.

Plain formats are f32, f16 and bf16 (bfloat16 as its 16 bits in uint16). Quantised ones are those
of GGUF: rows of blocks, each a scale and a few small integers; `data` is then bytes [rows, bytes].
"""

import math
from dataclasses import dataclass

import gguf
import numpy as np
import numpy.typing as npt

from quipu.errors import CheckpointError

Array = npt.NDArray[np.generic]

PLAIN: dict[str, np.dtype[np.generic]] = {
    "f32": np.dtype("<f4"),
    "f16": np.dtype("<f2"),
    "bf16": np.dtype("<u2"),
}
QUANTISED = ("q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q2_k", "q3_k", "q4_k", "q5_k", "q6_k")
WRITABLE = (*PLAIN, "q8_0", "q4_0")  # formats that a cast can produce

_BLOCK_VALUES = 1 << 20  # values cast at a time: 4 MiB of float32


def ggml_type(dtype: str) -> gguf.GGMLQuantizationType:
    """The type number that GGUF gives a storage format."""
    return gguf.GGMLQuantizationType[dtype.upper()]


def row_bytes(dtype: str, columns: int) -> int:
    """Bytes of one row. Raises CheckpointError if quantised blocks do not divide it."""
    if dtype in PLAIN:
        return columns * PLAIN[dtype].itemsize
    values, size = map(int, gguf.GGML_QUANT_SIZES[ggml_type(dtype)])
    if columns % values:
        raise CheckpointError(
            f"rows cannot be stored as {dtype}",
            got=f"{columns} columns",
            allowed=f"a multiple of {values}",
            remedy="choose f16 or bf16",
        )
    return columns // values * size


@dataclass(frozen=True, kw_only=True)
class TensorSpec:
    """Storage format and logical shape of a tensor."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def rows(self) -> int:
        """Rows of the tensor seen as a matrix."""
        return math.prod(self.shape[:-1])

    @property
    def bytes(self) -> int:
        """Bytes as stored. Raises CheckpointError if quantised blocks do not divide the rows."""
        return self.rows * row_bytes(self.dtype, self.shape[-1])

    def empty(self) -> Array:
        """An uninitialised array for `StoredTensor.data`."""
        if self.dtype in PLAIN:
            return np.empty(self.shape, PLAIN[self.dtype])
        return np.empty((*self.shape[:-1], row_bytes(self.dtype, self.shape[-1])), np.uint8)


@dataclass(frozen=True, kw_only=True)
class StoredTensor:
    """A tensor in its storage format: float32, float16, uint16 (bf16 bits) or quantised bytes."""

    dtype: str
    shape: tuple[int, ...]
    data: Array

    @property
    def spec(self) -> TensorSpec:
        """Format and shape without the data."""
        return TensorSpec(dtype=self.dtype, shape=self.shape)


def as_float32(tensor: StoredTensor) -> npt.NDArray[np.float32]:
    """The values of a tensor, exactly, in its logical shape; may share memory with it."""
    values: npt.NDArray[np.float32] = cast(tensor, "f32").data.view(np.float32)
    return values


def cast(tensor: StoredTensor, dtype: str) -> StoredTensor:
    """The same values in another format, rounded to nearest; itself if nothing changes.

    Raises CheckpointError if a finite value would become infinite.
    """
    if dtype == tensor.dtype:
        return tensor
    spec = TensorSpec(dtype=dtype, shape=tensor.shape)
    out = spec.empty()
    source, target = tensor.data.reshape(spec.rows, -1), out.reshape(spec.rows, -1)
    step = max(1, _BLOCK_VALUES // tensor.shape[-1])
    for row in range(0, spec.rows, step):
        values = _decode(source[row : row + step], tensor.dtype)
        target[row : row + step] = _encode(values, dtype)
    return StoredTensor(dtype=dtype, shape=tensor.shape, data=out)


def _decode(block: Array, dtype: str) -> npt.NDArray[np.float32]:
    if dtype == "bf16":
        return (block.astype(np.uint32) << np.uint32(16)).view(np.float32)
    if dtype in PLAIN:
        return block.astype(np.float32, copy=False)
    values: npt.NDArray[np.float32] = gguf.dequantize(block, ggml_type(dtype))
    return values


def _encode(values: npt.NDArray[np.float32], dtype: str) -> Array:
    assert dtype in WRITABLE, dtype
    if dtype == "f32":
        return values
    if dtype not in PLAIN:
        quantised: Array = gguf.quantize(values, ggml_type(dtype))
        return quantised
    if dtype == "bf16":
        rounded = _to_bfloat16(values)
        infinite = (rounded & np.uint16(0x7FFF)) == 0x7F80
    else:
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        rounded, infinite = half.view(np.uint16), np.isinf(half)
    if (infinite & np.isfinite(values)).any():
        raise CheckpointError(
            f"a weight is too large for {dtype}",
            got=f"{np.abs(values[np.isfinite(values)]).max():g}",
            remedy="choose bf16 or f32",
        )
    return rounded.view(PLAIN[dtype])


def _to_bfloat16(values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """Upper half of each float32, rounded to nearest, ties to even; a NaN stays a NaN."""
    bits = np.ascontiguousarray(values).view(np.uint32)
    odd = (bits >> np.uint32(16)) & np.uint32(1)
    nearest = (bits + (odd + np.uint32(0x7FFF))) >> np.uint32(16)
    quiet = (bits >> np.uint32(16)) | np.uint32(0x40)
    return np.where(np.isnan(values), quiet, nearest).astype(np.uint16)
