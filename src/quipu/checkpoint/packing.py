"""Matrices as the native runtime multiplies with them: native/weights.h is the other half.

Sixteen outputs are the lanes of a panel that runs through all inputs; the 4-byte words of the 16
rows (one fp32, two bf16, four int8, eight int4 weights each) take turns. int8 and int4 hold
what GGUF's q8_0 and q4_0 hold, so packing is a transposition of words and exact both ways.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from quipu.checkpoint.checkpoint import Checkpoint
from quipu.checkpoint.files import MappedFile, read_into
from quipu.checkpoint.tensors import PLAIN, StoredTensor, TensorSpec, cast
from quipu.errors import CheckpointError

Format = Literal["fp32", "bf16", "int8", "int4"]
Words = npt.NDArray[np.uint32]

LANES = 16  # outputs of a panel
GROUP = 32  # inputs that share a scale
ALIGNMENT = 64  # bytes; a register of AVX-512, a cache line

# What each format is called where weights are stored row by row.
STORED: dict[Format, str] = {"fp32": "f32", "bf16": "bf16", "int8": "q8_0", "int4": "q4_0"}

_BLOCKS: dict[Format, np.dtype[np.void]] = {
    "int8": np.dtype([("scale", "<u2"), ("words", "<u4", 8)]),
    "int4": np.dtype([("scale", "<u2"), ("words", "<u4", 4)]),
}
_SIGN = np.uint32(0x80808080)  # q8_0 holds signed bytes, int8 adds 128
_ZERO_PAIR = 0x88  # two int4 weights
_BLOCK_VALUES = 1 << 20  # weights cast and transposed at a time: they stay in the cache


@dataclass(frozen=True, kw_only=True)
class Packed:
    """A matrix [outputs, inputs] in panels; outputs that fill up the last panel are zeros.

    `values` and `scales` are flat, and may be read-only views of a mapped file.
    """

    format: Format
    shape: tuple[int, int]
    values: npt.NDArray[np.uint8]
    scales: npt.NDArray[np.uint16] | None = None  # fp16 bits, int8 and int4 only

    @property
    def spec(self) -> TensorSpec:
        """The same matrix as it is stored row by row."""
        return TensorSpec(dtype=STORED[self.format], shape=self.shape)


def natural_format(dtype: str) -> Format:
    """The packed format that suits a storage format best without taking more memory for nothing."""
    if dtype in PLAIN:
        return "bf16"
    return "int4" if dtype == "q4_0" else "int8"


def value_bytes(format: Format, shape: tuple[int, int]) -> int:
    """Bytes of `Packed.values`. Raises CheckpointError if groups do not divide the inputs."""
    _check(shape)
    bits = {"fp32": 32, "bf16": 16, "int8": 8, "int4": 4}[format]
    return _panels(shape) * LANES * shape[1] * bits // 8


def scale_bytes(format: Format, shape: tuple[int, int]) -> int:
    """Bytes of `Packed.scales`; 0 for formats that have none."""
    _check(shape)
    return _panels(shape) * LANES * (shape[1] // GROUP) * 2 if format in _BLOCKS else 0


def pack(tensor: StoredTensor, format: Format) -> Packed:
    """A matrix in panels, its values rounded to `format` where it is narrower than the source.

    Raises CheckpointError for a vector, and for inputs that groups of 32 do not divide.
    """
    shape = _matrix_shape(tensor.shape)
    values = _aligned(value_bytes(format, shape))
    scales = _aligned(scale_bytes(format, shape)).view(np.uint16) if format in _BLOCKS else None
    if shape[0] % LANES:  # the last panel is not filled by rows
        values[-(len(values) // _panels(shape)) :] = _ZERO_PAIR if format == "int4" else 0
        if scales is not None:
            scales[-(len(scales) // _panels(shape)) :] = 0
    packed = Packed(format=format, shape=shape, values=values, scales=scales)
    for rows, panels in _blocks(shape):
        part = StoredTensor(
            dtype=tensor.dtype,
            shape=(rows.stop - rows.start, shape[1]),
            data=tensor.data[rows],
        )
        _pack_rows(cast(part, STORED[format]), packed, panels)
    return packed


def unpack(packed: Packed) -> StoredTensor:
    """The matrix row by row, exactly, as f32, bf16, q8_0 or q4_0."""
    spec = packed.spec
    data = spec.empty()
    words, scales = _panelled(packed)
    for rows, panels in _blocks(packed.shape):
        target = data[rows]
        if scales is None:
            _to_rows(words[panels], target.view("<u4"))
            continue
        blocks = target.view(_BLOCKS[packed.format])
        signed = words[panels] ^ _SIGN if packed.format == "int8" else words[panels]
        _to_rows(signed.reshape(*scales[panels].shape[:2], -1, LANES), blocks["words"])
        _to_rows(scales[panels], blocks["scale"])
    return StoredTensor(dtype=spec.dtype, shape=spec.shape, data=data)


@dataclass(frozen=True, kw_only=True)
class PackedWeight:
    """Where a packed matrix lies in a file: read row by row like any weight, or mapped as it is."""

    file: MappedFile
    format: Format
    shape: tuple[int, int]
    values_at: int
    scales_at: int | None = None

    @property
    def spec(self) -> TensorSpec:
        """Format and shape row by row."""
        return TensorSpec(dtype=STORED[self.format], shape=self.shape)

    def read(self) -> StoredTensor:
        """The matrix row by row, read without mapping."""
        values = _aligned(value_bytes(self.format, self.shape))
        read_into(self.file.path, self.values_at, values)
        scales = None
        if self.scales_at is not None:
            scales = np.empty(scale_bytes(self.format, self.shape) // 2, np.uint16)
            read_into(self.file.path, self.scales_at, scales)
        return unpack(Packed(format=self.format, shape=self.shape, values=values, scales=scales))

    def map(self) -> Packed:
        """The matrix as it lies, read-only; its memory belongs to every process that maps it."""
        values = self.file.view(self.values_at, value_bytes(self.format, self.shape))
        scales = None
        if self.scales_at is not None:
            size = scale_bytes(self.format, self.shape)
            scales = self.file.view(self.scales_at, size).view(np.uint16)
        return Packed(format=self.format, shape=self.shape, values=values, scales=scales)


def read_packed(checkpoint: Checkpoint, name: str, format: Format | None = None) -> Packed:
    """A matrix of a checkpoint, packed; mapped where it lies packed so in the file.

    `format` None is that of the file, or for other layouts the one natural for how it is stored.
    Raises CheckpointError as reading and packing do.
    """
    weight = checkpoint.weights[name]
    if isinstance(weight, PackedWeight) and format in (None, weight.format):
        return weight.map()
    return pack(weight.read(), format or natural_format(weight.spec.dtype))


def _pack_rows(part: StoredTensor, packed: Packed, panels: slice) -> None:
    words, scales = _panelled(packed)
    data = np.ascontiguousarray(part.data)
    if scales is None:
        _to_panels(data.view("<u4"), words[panels])
        return
    blocks = data.view(_BLOCKS[packed.format])
    target = words[panels].reshape(*scales[panels].shape[:2], -1, LANES)
    _to_panels(blocks["words"], target)
    _to_panels(blocks["scale"], scales[panels])
    if packed.format == "int8":
        target ^= _SIGN  # lanes without an output too: 0 becomes 128, which is zero


def _panelled(packed: Packed) -> tuple[Words, npt.NDArray[np.uint16] | None]:
    """Views: words [panels, words of a row, 16], scales [panels, groups, 16]."""
    panels = _panels(packed.shape)
    words = packed.values.view(np.uint32).reshape(panels, -1, LANES)
    if packed.scales is None:
        return words, None
    return words, packed.scales.reshape(panels, -1, LANES)


def _to_panels(rows: npt.NDArray[np.generic], panels: npt.NDArray[np.generic]) -> None:
    """[outputs, ...] into [panels, ..., 16]."""
    whole, rest = divmod(len(rows), LANES)
    lanes = rows[: whole * LANES].reshape(whole, LANES, *rows.shape[1:])
    panels[:whole] = np.moveaxis(lanes, 1, -1)
    if rest:
        panels[whole, ..., :rest] = np.moveaxis(rows[whole * LANES :], 0, -1)


def _to_rows(panels: npt.NDArray[np.generic], rows: npt.NDArray[np.generic]) -> None:
    """[panels, ..., 16] into [outputs, ...]."""
    whole, rest = divmod(len(rows), LANES)
    lanes = rows[: whole * LANES].reshape(whole, LANES, *rows.shape[1:])
    lanes[...] = np.moveaxis(panels[:whole], -1, 1)
    if rest:
        rows[whole * LANES :] = np.moveaxis(panels[whole, ..., :rest], -1, 0)


def _blocks(shape: tuple[int, int]) -> Iterator[tuple[slice, slice]]:
    """Rows of some whole panels, and these panels, from first to last."""
    step = max(1, _BLOCK_VALUES // (LANES * shape[1]))
    for panel in range(0, _panels(shape), step):
        rows = slice(panel * LANES, min((panel + step) * LANES, shape[0]))
        yield rows, slice(panel, panel + step)


def _panels(shape: tuple[int, int]) -> int:
    return -(-shape[0] // LANES)


def _matrix_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    if len(shape) != 2:
        raise CheckpointError("only a matrix can be packed", got=f"{len(shape)} axes", allowed="2")
    return shape[0], shape[1]


def _check(shape: tuple[int, int]) -> None:
    if shape[1] % GROUP:
        raise CheckpointError(
            "a matrix cannot be packed for the native runtime",
            got=f"{shape[1]} inputs",
            allowed=f"a multiple of {GROUP}",
            remedy="use this model with another backend",
        )


def _aligned(size: int) -> npt.NDArray[np.uint8]:
    """Uninitialised bytes that begin at a multiple of the alignment."""
    block = np.empty(size + ALIGNMENT, np.uint8)
    start = -block.ctypes.data % ALIGNMENT
    return block[start : start + size]
