from pathlib import Path

import gguf
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quipu.checkpoint.gguf_file import GgufWriter, read_head
from quipu.checkpoint.tensors import TensorSpec
from quipu.errors import CheckpointError
from unit.checkpoint.models import cut

METADATA: dict[str, object] = {
    "general.name": "tiny",
    "llama.block_count": 2,
    "llama.rope.freq_base": 1e6,
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
    "quipu.infill": True,
    "tokenizer.ggml.tokens": ["<unk>", "▁a", "ü"],
    "tokenizer.ggml.scores": [0.0, -1.5, -2.0],
    "tokenizer.ggml.token_type": [2, 1, 1],
    "tokenizer.ggml.precompiled_charsmap": b"\x01\x02",
}
ARRAYS = {
    "token_embd.weight": np.arange(96, dtype=np.float32).reshape(3, 32),
    "output_norm.weight": np.ones(5, np.float32),
    "output.weight": np.arange(64, dtype=np.float16).reshape(2, 32),
}
SPECS = {
    name: TensorSpec(dtype="f16" if array.dtype == np.float16 else "f32", shape=array.shape)
    for name, array in ARRAYS.items()
}


def write_ours(path: Path) -> None:
    writer = GgufWriter(path, METADATA, SPECS)
    for name in reversed(list(ARRAYS)):
        writer.write(name, ARRAYS[name])
    writer.finish()


def write_theirs(path: Path) -> None:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_string("general.name", "tiny")
    writer.add_uint64("number", 1 << 40)
    writer.add_float64("wide", 0.1)
    writer.add_int8("narrow", -3)
    writer.add_array("flags", [True, False])
    for name, array in ARRAYS.items():
        writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_the_library_reads_what_we_write_in_any_order(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    write_ours(path)
    reader = gguf.GGUFReader(path)
    for key, value in METADATA.items():
        found = reader.fields[key].contents()
        assert found == pytest.approx(list(value) if isinstance(value, bytes) else value)
    assert [tensor.name for tensor in reader.tensors] == list(ARRAYS)
    for tensor in reader.tensors:
        assert np.array_equal(tensor.data, ARRAYS[tensor.name])


def test_we_read_what_we_write(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    write_ours(path)
    head = read_head(path)
    expected = METADATA | {"tokenizer.ggml.precompiled_charsmap": [1, 2]}
    assert dict(head.metadata) == expected | {"general.architecture": "llama"}
    assert {name: part.spec for name, part in head.parts.items()} == SPECS
    for name, part in head.parts.items():
        assert np.array_equal(part.read(), ARRAYS[name])


def test_we_read_what_the_library_writes(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    write_theirs(path)
    head = read_head(path)
    assert head.metadata["number"] == 1 << 40
    assert head.metadata["wide"] == 0.1
    assert head.metadata["narrow"] == -3
    assert head.metadata["flags"] == [True, False]
    for name, part in head.parts.items():
        assert np.array_equal(part.read(), ARRAYS[name])


def test_a_head_larger_than_the_first_read_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.gguf"
    write_ours(path)
    monkeypatch.setattr("quipu.checkpoint.gguf_file._FIRST_READ", 50)
    assert set(read_head(path).parts) == set(ARRAYS)


@settings(deadline=None, max_examples=60)
@given(size=st.integers(0, 2000))
def test_a_file_cut_anywhere_is_refused(
    tmp_path_factory: pytest.TempPathFactory, size: int
) -> None:
    path = tmp_path_factory.mktemp("cut") / "x.gguf"
    write_ours(path)
    last = read_head(path).parts["output.weight"]
    cut(path, min(size, last.offset + last.spec.bytes - 1))
    with pytest.raises(CheckpointError, match="truncated"):
        read_head(path)


@pytest.mark.parametrize("data", [b"GGUF\x09\0\0\0" + b"\0" * 40, b"GGML" + b"\0" * 40])
def test_another_version_or_format_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="not a GGUF file of version 2 or 3"):
        read_head(path)
