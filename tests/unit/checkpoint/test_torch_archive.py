import io
import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from quipu.checkpoint.tensors import StoredTensor, TensorSpec, as_float32
from quipu.checkpoint.torch_archive import TorchArchiveWriter, read_parts
from quipu.errors import CheckpointError
from unit.checkpoint.models import cut

TORCH = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}


def values_of(path: Path, name: str) -> torch.Tensor:
    part = read_parts(path)[name]
    tensor = StoredTensor(dtype=part.spec.dtype, shape=part.spec.shape, data=part.read())
    return torch.from_numpy(as_float32(tensor).copy())


@pytest.mark.parametrize("dtype", TORCH)
def test_we_read_what_torch_saves(tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "consolidated.00.pth"
    state = {
        "a": torch.randn(5, 3).to(TORCH[dtype]),
        "b": torch.randn(7).to(TORCH[dtype]),
        "step": 12,
    }
    torch.save(state, path)
    assert set(read_parts(path)) == {"a", "b"}
    for name in ("a", "b"):
        assert torch.equal(values_of(path, name), state[name].float())


def test_views_parameters_and_ordered_dictionaries_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    whole = torch.arange(24.0).view(6, 4)
    state = OrderedDict(view=whole[2:5], parameter=torch.nn.Parameter(torch.ones(3)))
    torch.save(state, path)
    assert torch.equal(values_of(path, "view"), whole[2:5])
    assert torch.equal(values_of(path, "parameter"), torch.ones(3))


@pytest.mark.parametrize("dtype", TORCH)
def test_torch_loads_what_we_write(tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "consolidated.00.pth"
    tensors = {"a": torch.randn(5, 3).to(TORCH[dtype]), "b": torch.randn(9).to(TORCH[dtype])}
    specs = {name: TensorSpec(dtype=dtype, shape=tuple(t.shape)) for name, t in tensors.items()}
    writer = TorchArchiveWriter(path, specs)
    for name in ("b", "a"):
        view = torch.int16 if dtype != "f32" else torch.float32
        writer.write(name, tensors[name].view(view).numpy())
    writer.finish()
    for mapped in (False, True):
        found = torch.load(path, weights_only=True, mmap=mapped)
        assert list(found) == ["a", "b"]
        assert all(torch.equal(found[name], tensors[name]) for name in tensors)
    assert all(part.offset % 64 == 0 for part in read_parts(path).values())
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None


class Malicious:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("echo stolen",)


def test_a_file_that_wants_to_run_code_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    torch.save({"a": Malicious()}, path)
    with pytest.raises(CheckpointError, match=r"it wants to call (posix|nt)\.system"):
        read_parts(path)


def test_a_strided_view_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    torch.save({"a": torch.ones(3, 4).t()}, path)
    with pytest.raises(CheckpointError, match="a: a strided view"):
        read_parts(path)


def test_a_pickle_that_is_no_dictionary_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    torch.save([torch.ones(3)], path)
    with pytest.raises(CheckpointError, match="a pickled list"):
        read_parts(path)


def test_a_plain_pickle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(CheckpointError, match="not a file of plain tensors"):
        read_parts(path)


def test_an_archive_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme", "hello")
    with pytest.raises(CheckpointError, match=r"without data\.pkl"):
        read_parts(path)


def saved() -> bytes:
    stream = io.BytesIO()
    torch.save({"a": torch.ones(50, 3), "b": torch.ones(4)}, stream)
    return stream.getvalue()


@settings(deadline=None, max_examples=60)
@given(size=st.integers(0, 2500))
def test_an_archive_cut_anywhere_is_refused(
    tmp_path_factory: pytest.TempPathFactory, size: int
) -> None:
    path = tmp_path_factory.mktemp("cut") / "x.pth"
    path.write_bytes(saved())
    cut(path, min(size, path.stat().st_size - 1))
    with pytest.raises(CheckpointError, match="truncated"):
        read_parts(path)
