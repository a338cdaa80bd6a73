import gguf
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from quipu.checkpoint import tensors
from quipu.checkpoint.tensors import (
    PLAIN,
    QUANTISED,
    StoredTensor,
    TensorSpec,
    as_float32,
    cast,
    ggml_type,
)
from quipu.errors import CheckpointError

FLOATS = hnp.arrays(
    np.float32, hnp.array_shapes(max_dims=2, max_side=6), elements=st.floats(width=32)
)


def stored(array: np.ndarray, dtype: str = "f32") -> StoredTensor:
    return StoredTensor(dtype=dtype, shape=array.shape, data=array)


@settings(deadline=None)
@given(values=FLOATS)
def test_bfloat16_rounds_as_torch_does_or_refuses_to_overflow(values: np.ndarray) -> None:
    with np.errstate(all="ignore"):
        theirs = torch.from_numpy(values).bfloat16()
    if (torch.isinf(theirs).numpy() & np.isfinite(values)).any():
        with pytest.raises(CheckpointError, match="too large for bf16"):
            cast(stored(values), "bf16")
        return
    ours = as_float32(cast(stored(values), "bf16"))
    assert np.array_equal(ours, theirs.float().numpy(), equal_nan=True)


@settings(deadline=None)
@given(values=hnp.arrays(np.float32, (3, 4), elements=st.floats(-60000, 60000, width=32)))
def test_float16_rounds_as_numpy_does(values: np.ndarray) -> None:
    found = cast(stored(values), "f16")
    assert np.array_equal(found.data, values.astype(np.float16))


def test_a_weight_that_float16_cannot_hold_is_refused() -> None:
    with pytest.raises(CheckpointError, match="too large for f16; got 70000; choose bf16 or f32"):
        cast(stored(np.array([[1.0, 70000.0]], np.float32)), "f16")


def test_infinities_that_were_there_already_stay() -> None:
    values = np.array([[np.inf, -np.inf, 1.0]], np.float32)
    for dtype in ("f16", "bf16"):
        assert np.array_equal(as_float32(cast(stored(values), dtype)), values)


def test_a_cast_to_the_same_format_is_the_tensor_itself() -> None:
    tensor = stored(np.ones((2, 2), np.float16), "f16")
    assert cast(tensor, "f16") is tensor


@pytest.mark.parametrize(("dtype", "steps"), [("q8_0", 127), ("q4_0", 8)])
def test_rounding_equals_the_quantiser_of_gguf_block_by_block(
    monkeypatch: pytest.MonkeyPatch, dtype: str, steps: int
) -> None:
    monkeypatch.setattr(tensors, "_BLOCK_VALUES", 100)
    values = np.random.default_rng(0).normal(size=(37, 64)).astype(np.float32)
    ours = cast(stored(values), dtype)
    assert np.array_equal(ours.data, gguf.quantize(values, ggml_type(dtype)))
    assert np.abs(as_float32(ours) - values).max() <= np.abs(values).max() / steps


@pytest.mark.parametrize("dtype", QUANTISED)
def test_every_quantised_format_reads_as_gguf_reads_it(dtype: str) -> None:
    spec = TensorSpec(dtype=dtype, shape=(5, 512))
    data = np.random.default_rng(1).integers(0, 60, spec.empty().shape).astype(np.uint8)
    found = as_float32(StoredTensor(dtype=dtype, shape=spec.shape, data=data))
    assert found.shape == (5, 512)
    assert np.array_equal(found, gguf.dequantize(data, ggml_type(dtype)))


def test_rows_that_blocks_do_not_divide_are_refused() -> None:
    with pytest.raises(CheckpointError, match="got 100 columns; allowed: a multiple of 32"):
        _ = TensorSpec(dtype="q8_0", shape=(4, 100)).bytes


@pytest.mark.parametrize("dtype", [*PLAIN, "q8_0", "q4_0", "q4_k", "q6_k"])
def test_a_spec_counts_the_bytes_of_its_array(dtype: str) -> None:
    spec = TensorSpec(dtype=dtype, shape=(3, 512))
    assert spec.bytes == spec.empty().nbytes
