import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, safe_open

from quipu.checkpoint.safetensors_file import SafetensorsWriter, read_parts
from quipu.checkpoint.tensors import TensorSpec
from quipu.errors import CheckpointError
from unit.checkpoint.models import cut, header_of, write_safetensors

ARRAYS = {
    "half": np.arange(15, dtype=np.float16).reshape(3, 5),
    "single": np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3),
    "norm": np.ones(7, np.float16),
}


def write_ours(path: Path, arrays: dict[str, np.ndarray] = ARRAYS) -> None:
    dtypes = {"float16": "f16", "float32": "f32"}
    specs = {
        name: TensorSpec(dtype=dtypes[array.dtype.name], shape=array.shape)
        for name, array in arrays.items()
    }
    writer = SafetensorsWriter(path, specs)
    for name in reversed(list(arrays)):
        writer.write(name, arrays[name])
    writer.finish()


def test_the_library_reads_what_we_write_in_any_order(tmp_path: Path) -> None:
    write_ours(tmp_path / "x.safetensors")
    with safe_open(tmp_path / "x.safetensors", "np") as file:
        assert file.metadata() == {"format": "pt"}
        assert set(file.keys()) == set(ARRAYS)
        for name, array in ARRAYS.items():
            assert np.array_equal(file.get_tensor(name), array)


def test_every_tensor_lies_at_a_multiple_of_its_item_size(tmp_path: Path) -> None:
    write_ours(tmp_path / "x.safetensors")
    for part in read_parts(tmp_path / "x.safetensors").values():
        assert part.offset % {"f16": 2, "f32": 4}[part.spec.dtype] == 0


def test_we_read_what_the_library_writes(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    write_safetensors(path, {"a": ARRAYS["single"]}, "f32")
    part = read_parts(path)["a"]
    assert (part.spec.dtype, part.spec.shape) == ("f32", (4, 3))
    assert np.array_equal(part.read(), ARRAYS["single"])


@settings(deadline=None, max_examples=60)
@given(size=st.integers(0, 300))
def test_a_file_cut_anywhere_is_refused(
    tmp_path_factory: pytest.TempPathFactory, size: int
) -> None:
    path = tmp_path_factory.mktemp("cut") / "x.safetensors"
    write_ours(path)
    whole = path.stat().st_size
    cut(path, min(size, whole - 1))
    with pytest.raises(CheckpointError, match=r"truncated|not a safetensors file"):
        read_parts(path)
    with pytest.raises(SafetensorError), safe_open(path, "np"):
        pass


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x03\x04 a zip file, not this",
        struct.pack("<Q", 1 << 60) + b"{}",
        struct.pack("<Q", 6) + b"{'a':}",
        struct.pack("<Q", 2) + b"[]",
    ],
)
def test_another_file_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"truncated|not a safetensors file"):
        read_parts(path)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ('{"dtype":"F32","shape":[2],"data_offsets":[0,4]}', "4 bytes for shape"),
        ('{"dtype":"F32","shape":2,"data_offsets":[0,8]}', "shape; got 2"),
        ('{"dtype":"F32","shape":[2],"data_offsets":[8]}', "data_offsets; got"),
        ('{"dtype":"F32","shape":[2],"data_offsets":[-8,0]}', "data_offsets; got"),
        ('{"dtype":5,"shape":[2],"data_offsets":[0,8]}', "dtype; got 5"),
        ("null", "nothing about a"),
    ],
)
def test_a_malformed_entry_is_refused(tmp_path: Path, entry: str, message: str) -> None:
    path = tmp_path / "x.safetensors"
    header = f'{{"a":{entry}}}'.encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 64)
    with pytest.raises(CheckpointError, match=message):
        read_parts(path)


def test_the_header_is_padded_as_the_format_asks(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    write_ours(path)
    assert header_of(path)["__metadata__"] == {"format": "pt"}
    assert struct.unpack("<Q", path.read_bytes()[:8])[0] % 8 == 0
