"""The zip archives of `torch.save`, read and written without PyTorch and without running pickle.

An archive holds `data.pkl`, a pickled dictionary that names storages, and one uncompressed record
per storage. The unpickler below knows five names and refuses every other, so a file can build
nothing but descriptions of tensors; weights are then read from their records by offset.
Format: torch/serialization.py; tests hold both directions to `torch.load` and `torch.save`.
"""

import contextlib
import os
import pickle
import struct
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from quipu.checkpoint.checkpoint import Part
from quipu.checkpoint.files import (
    FETCH_AGAIN,
    as_bytes,
    check_size,
    file_size,
    read_bytes,
    unreadable,
)
from quipu.checkpoint.tensors import PLAIN, Array, TensorSpec
from quipu.errors import CheckpointError

_STORAGES = {"FloatStorage": "f32", "HalfStorage": "f16", "BFloat16Storage": "bf16"}
_OTHER_STORAGES = ("DoubleStorage", "LongStorage", "IntStorage", "BoolStorage", "ByteStorage")
_LOCAL_HEADER = 30  # bytes before name and extra field of a zip record
_ZIP64_EXTRA = 20
_ALIGNMENT = 64


class _Storage(NamedTuple):
    dtype: str
    record: str


class _Tensor(NamedTuple):
    storage: _Storage
    first: int  # values before the tensor in its storage
    shape: tuple[int, ...]
    stride: tuple[int, ...]


def _describe(storage: object, first: object, shape: object, stride: object, *_: object) -> _Tensor:
    """Stands in for torch's function that builds a tensor."""
    if not isinstance(storage, _Storage):
        raise pickle.UnpicklingError("a tensor without storage")
    return _Tensor(storage, _counts((first,))[0], _counts(shape), _counts(stride))


def _counts(values: object) -> tuple[int, ...]:
    if not isinstance(values, tuple) or not all(isinstance(v, int) and v >= 0 for v in values):
        raise pickle.UnpicklingError("a tensor without shape")
    return values


class _Descriptions(pickle.Unpickler):
    """Builds descriptions of tensors, and nothing else that a pickle may ask for."""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _describe
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda tensor, *_: tensor
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch" and (name in _STORAGES or name in _OTHER_STORAGES):
            return _STORAGES.get(name, name)
        raise pickle.UnpicklingError(f"it wants to call {module}.{name}")

    def persistent_load(self, pid: object) -> _Storage:
        match pid:
            case ("storage", str(dtype), str(record), _, _):
                return _Storage(dtype, record)
        raise pickle.UnpicklingError("a storage that is none")


# What zipfile and pickle raise for bytes that are not theirs.
_MALFORMED = (
    zipfile.BadZipFile,
    zlib.error,
    pickle.UnpicklingError,
    NotImplementedError,
    EOFError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    OverflowError,
    MemoryError,
    RuntimeError,
)


def read_parts(path: Path) -> dict[str, Part]:
    """Every tensor of an archive by name. Raises CheckpointError for anything but plain tensors."""
    try:
        with zipfile.ZipFile(path) as archive:
            records = {record.filename: record for record in archive.infolist()}
            pickled = next((name for name in records if name.endswith("/data.pkl")), None)
            if pickled is None:
                raise _foreign(path, "an archive without data.pkl")
            with archive.open(pickled) as file:
                found = _Descriptions(file).load()
    except OSError as error:
        raise unreadable(path, error) from error
    except _MALFORMED as error:
        raise _foreign(path, str(error)) from error
    if not isinstance(found, dict):
        raise _foreign(path, f"a pickled {type(found).__name__}")
    root = pickled.removesuffix("data.pkl")
    return {
        name: _part(path, records, root, name, tensor)
        for name, tensor in found.items()
        if isinstance(name, str) and isinstance(tensor, _Tensor) and tensor.shape
    }


def _part(
    path: Path, records: Mapping[str, zipfile.ZipInfo], root: str, name: str, tensor: _Tensor
) -> Part:
    record = records.get(f"{root}data/{tensor.storage.record}")
    if record is None or record.compress_type != zipfile.ZIP_STORED:
        raise _foreign(path, f"{name}: its storage is absent or compressed")
    if tensor.stride != _contiguous(tensor.shape):
        raise _foreign(path, f"{name}: a strided view")
    spec = TensorSpec(dtype=tensor.storage.dtype, shape=tensor.shape)
    offset = _data_offset(path, record)
    if spec.dtype in _STORAGES.values():
        skipped = tensor.first * PLAIN[spec.dtype].itemsize
        if skipped + spec.bytes > record.file_size:
            raise _foreign(path, f"{name}: larger than its storage")
        offset += skipped
        check_size(path, offset + spec.bytes)
    return Part(path=path, offset=offset, spec=spec)


def _contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    stride, found = 1, []
    for size in reversed(shape):
        found.append(stride)
        stride *= size
    return tuple(reversed(found))


def _data_offset(path: Path, record: zipfile.ZipInfo) -> int:
    header = read_bytes(path, record.header_offset, _LOCAL_HEADER)
    name_size, extra_size = struct.unpack("<HH", header[26:30])
    return record.header_offset + _LOCAL_HEADER + int(name_size) + int(extra_size)


def _foreign(path: Path, got: str) -> CheckpointError:
    return CheckpointError(
        f"{path}: not a file of plain tensors written by torch.save, or truncated",
        got=f"{got}, {file_size(path):,} bytes",
        remedy=FETCH_AGAIN,
    )


class TorchArchiveWriter:
    """One archive whose tensors are all known before; records are written in any order."""

    def __init__(self, path: Path, specs: Mapping[str, TensorSpec]) -> None:
        self._root = path.stem
        self._records = {name: str(number) for number, name in enumerate(specs)}
        self._specs = specs
        self._file = path.open("wb")
        self._archive = zipfile.ZipFile(self._file, "w", zipfile.ZIP_STORED)
        try:
            for name, data in (
                ("data.pkl", _pickled(specs)),
                ("byteorder", b"little"),
                ("version", b"3\n"),
            ):
                self._archive.writestr(zipfile.ZipInfo(f"{self._root}/{name}"), data)
        except BaseException:
            self.close()
            raise

    def write(self, name: str, data: Array) -> None:
        """Append the record of one tensor; each is written once."""
        assert data.nbytes == self._specs[name].bytes
        record = zipfile.ZipInfo(f"{self._root}/data/{self._records.pop(name)}")
        start = self._file.tell() + _LOCAL_HEADER + len(record.filename) + _ZIP64_EXTRA + 4
        padding = -start % _ALIGNMENT
        record.extra = b"FB" + padding.to_bytes(2, "little") + b"\0" * padding
        with self._archive.open(record, "w", force_zip64=True) as stream:
            stream.write(as_bytes(data))

    def finish(self) -> None:
        """Write the directory of the archive and make sure that all has reached the disk."""
        assert not self._records, f"never written: {list(self._records)[:3]}"
        self._archive.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def close(self) -> None:
        """Let go of the file, finished or not."""
        with contextlib.suppress(OSError, ValueError):  # a full disk has been reported already
            self._archive.close()
        with contextlib.suppress(OSError):
            self._file.close()


def _pickled(specs: Mapping[str, TensorSpec]) -> bytes:
    """The dictionary name -> tensor as torch.save pickles it (protocol 2)."""
    out = bytearray(b"\x80\x02}(")
    for number, (name, spec) in enumerate(specs.items()):
        storage = next(key for key, dtype in _STORAGES.items() if dtype == spec.dtype)
        values = spec.rows * spec.shape[-1]
        out += _text(name) + b"ctorch._utils\n_rebuild_tensor_v2\n("
        out += b"(" + _text("storage") + b"ctorch\n" + storage.encode() + b"\n"
        out += _text(str(number)) + _text("cpu") + _integer(values) + b"tQ"
        out += _integer(0) + _integers(spec.shape) + _integers(_contiguous(spec.shape))
        out += b"\x89ccollections\nOrderedDict\n)RtR"
    return bytes(out + b"u.")


def _text(text: str) -> bytes:
    data = text.encode()
    return b"X" + len(data).to_bytes(4, "little") + data


def _integer(value: int) -> bytes:
    data = value.to_bytes(8, "little")
    return b"\x8a" + bytes([len(data)]) + data


def _integers(values: tuple[int, ...]) -> bytes:
    return b"(" + b"".join(map(_integer, values)) + b"t"
