"""Packing held to a slow twin that follows native/weights.h word by word."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quipu.checkpoint import packing
from quipu.checkpoint.checkpoint import Checkpoint
from quipu.checkpoint.opening import open_checkpoint
from quipu.checkpoint.packing import (
    STORED,
    Format,
    Packed,
    natural_format,
    pack,
    read_packed,
    scale_bytes,
    unpack,
    value_bytes,
)
from quipu.checkpoint.tensors import QUANTISED, StoredTensor, TensorSpec, as_float32, cast
from quipu.errors import CheckpointError
from unit.checkpoint.conftest import MakeHf

FORMATS: tuple[Format, ...] = ("fp32", "bf16", "int8", "int4")
SHAPES = st.tuples(st.integers(1, 50), st.integers(1, 5).map(lambda groups: 32 * groups))


def random_stored(dtype: str, shape: tuple[int, int], seed: int) -> StoredTensor:
    """Random bits: every pattern of a byte occurs, scales are any fp16."""
    spec = TensorSpec(dtype=dtype, shape=shape)
    data = spec.empty()
    data.view(np.uint8)[...] = np.random.default_rng(seed).integers(
        0, 256, data.view(np.uint8).shape, np.uint8
    )
    return StoredTensor(dtype=dtype, shape=shape, data=data)


def slow_pack(tensor: StoredTensor) -> tuple[np.ndarray, np.ndarray | None]:
    """`place` of native/weights.cc for every weight, one at a time; bytes by bytes."""
    outputs, inputs = tensor.shape
    panels, groups = -(-outputs // 16), inputs // 32
    if tensor.dtype in ("f32", "bf16"):
        width, item = (1, np.uint32) if tensor.dtype == "f32" else (2, np.uint16)
        words = np.zeros((panels, inputs // width, 16, width), item)
        for o in range(outputs):
            for i in range(inputs):
                words[o // 16, i // width, o % 16, i % width] = tensor.data.view(item)[o, i]
        return words.reshape(-1).view(np.uint8), None
    bits = 8 if tensor.dtype == "q8_0" else 4
    size = 2 + 32 * bits // 8
    values = np.full((panels, groups, bits, 16, 4), 128 if bits == 8 else 0x88, np.uint8)
    scales = np.zeros((panels, groups, 16), np.uint16)
    blocks = tensor.data.reshape(outputs, groups, size)
    for o in range(outputs):
        for i in range(inputs):
            block, at = blocks[o, i // 32], i % 32
            scales[o // 16, i // 32, o % 16] = int(block[0]) + 256 * int(block[1])
            if bits == 8:
                signed = int(block[2 + at].view(np.int8))
                values[o // 16, i // 32, at // 4, o % 16, at % 4] = signed + 128
            else:
                byte = int(block[2 + at % 16])
                value = byte >> 4 if at >= 16 else byte & 15
                place = values[o // 16, i // 32, at % 16 // 4, o % 16, at % 4 :][:1]
                place[0] = place[0] & 0x0F | value << 4 if at >= 16 else place[0] & 0xF0 | value
    return values.reshape(-1), scales.reshape(-1)


@settings(deadline=None, max_examples=40)
@given(
    format=st.sampled_from(FORMATS),
    shape=SHAPES,
    seed=st.integers(0, 9),
    block=st.sampled_from([1, 1000, 1 << 20]),
)
def test_packing_puts_every_weight_where_the_native_runtime_looks(
    format: Format, shape: tuple[int, int], seed: int, block: int
) -> None:
    tensor = random_stored(STORED[format], shape, seed)
    values, scales = slow_pack(tensor)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "_BLOCK_VALUES", block)
        packed = pack(tensor, format)
        back = unpack(packed)
    assert (packed.format, packed.shape, packed.spec) == (format, shape, tensor.spec)
    assert packed.values.dtype == np.uint8
    assert packed.values.flags.c_contiguous
    assert np.array_equal(packed.values, values)
    assert packed.values.nbytes == value_bytes(format, shape)
    if scales is None:
        assert packed.scales is None
        assert scale_bytes(format, shape) == 0
    else:
        assert packed.scales is not None
        assert np.array_equal(packed.scales, scales)
        assert packed.scales.nbytes == scale_bytes(format, shape)
    assert (back.dtype, back.shape) == (tensor.dtype, shape)
    assert np.array_equal(back.data.view(np.uint8), tensor.data.view(np.uint8))


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("dtype", ["f32", "f16", "bf16", "q8_0", "q4_0", "q4_1"])
def test_another_format_is_the_rounding_of_a_cast(dtype: str, format: Format) -> None:
    random = np.random.default_rng(3).normal(size=(37, 96)).astype(np.float32)
    tensor = StoredTensor(dtype="f32", shape=(37, 96), data=random)
    if dtype == "q4_1":
        spec = TensorSpec(dtype=dtype, shape=(37, 96))
        data = np.random.default_rng(3).integers(0, 60, spec.empty().shape).astype(np.uint8)
        tensor = StoredTensor(dtype=dtype, shape=(37, 96), data=data)
    tensor = cast(tensor, dtype)
    found, expected = unpack(pack(tensor, format)), cast(tensor, STORED[format])
    assert np.array_equal(found.data, expected.data)


@pytest.mark.parametrize("format", FORMATS)
def test_panels_begin_where_a_cache_line_does(format: Format) -> None:
    packed = pack(random_stored(STORED[format], (16, 32), 0), format)
    assert packed.values.ctypes.data % 64 == 0


def test_inputs_that_groups_do_not_divide_are_refused() -> None:
    tensor = StoredTensor(dtype="f32", shape=(4, 48), data=np.zeros((4, 48), np.float32))
    for format in FORMATS:
        with pytest.raises(CheckpointError, match="got 48 inputs; allowed: a multiple of 32"):
            pack(tensor, format)


def test_a_vector_is_refused() -> None:
    tensor = StoredTensor(dtype="f32", shape=(32,), data=np.zeros(32, np.float32))
    with pytest.raises(CheckpointError, match="only a matrix can be packed"):
        pack(tensor, "fp32")


def test_every_storage_format_has_a_natural_one() -> None:
    assert [natural_format(dtype) for dtype in ("f32", "f16", "bf16")] == ["bf16"] * 3
    others = {dtype: natural_format(dtype) for dtype in QUANTISED}
    assert others.pop("q4_0") == "int4"
    assert set(others.values()) == {"int8"}


def assert_equal(found: Packed, expected: Packed) -> None:
    """Same format, same bytes."""
    assert (found.format, found.shape) == (expected.format, expected.shape)
    assert np.array_equal(found.values, expected.values)
    assert (found.scales is None) == (expected.scales is None)
    if found.scales is not None:
        assert np.array_equal(found.scales, expected.scales)


def test_a_matrix_of_any_checkpoint_is_read_packed(make_hf: MakeHf) -> None:
    checkpoint: Checkpoint = open_checkpoint(make_hf())
    name = "layers.1.attention.wk.weight"
    tensor = checkpoint.read(name)
    assert_equal(read_packed(checkpoint, name), pack(tensor, "bf16"))
    for format in FORMATS:
        assert_equal(read_packed(checkpoint, name, format), pack(tensor, format))
        unpacked = as_float32(unpack(read_packed(checkpoint, name, format)))
        assert np.array_equal(unpacked, as_float32(cast(tensor, STORED[format])))
