"""The safetensors format: length, JSON header, bytes. Read by offset, written tensor by tensor.

Format: https://huggingface.co/docs/safetensors. The library of the same name wants all tensors of
a file at once, or maps the file; both cost more memory than a conversion should.
"""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from quipu.checkpoint.checkpoint import Part
from quipu.checkpoint.files import (
    FETCH_AGAIN,
    check_size,
    file_size,
    read_bytes,
    sync,
    write_at,
)
from quipu.checkpoint.settings import Settings
from quipu.checkpoint.tensors import PLAIN, Array, TensorSpec
from quipu.errors import CheckpointError

_MAX_HEADER = 100_000_000  # the limit of the reference implementation
_ALIGNMENT = 8
_ITEM = {"F32": 4, "F16": 2, "BF16": 2, "U8": 1}  # bytes; other dtypes are for others to refuse


class Entry(NamedTuple):
    """One tensor of a file; `offset` counts from the start of the file."""

    dtype: str
    shape: tuple[int, ...]
    offset: int
    size: int  # bytes


class Head(NamedTuple):
    """What a file says about itself."""

    metadata: Settings
    entries: Mapping[str, Entry]


def read_head(path: Path) -> Head:
    """The header of a file. Raises CheckpointError if it is foreign or the file is truncated."""
    header, start = _read_header(path)
    entries, end = {}, start
    for name in header.values:
        if name == "__metadata__":
            continue
        entry = header.inner(name)
        if entry is None:
            raise _foreign(path, f"nothing about {name}")
        dtype, shape = entry.text("dtype"), _numbers(entry, "shape")
        first, last = _numbers(entry, "data_offsets")
        item = _ITEM.get(dtype)
        if last < first or (item is not None and last - first != math.prod(shape) * item):
            raise _foreign(path, f"{name}: {last - first} bytes for shape {list(shape)}")
        entries[name] = Entry(dtype, shape, start + first, last - first)
        end = max(end, start + last)
    check_size(path, end)
    return Head(header.inner("__metadata__") or Settings(str(path), {}), entries)


def read_parts(path: Path) -> dict[str, Part]:
    """Every tensor of a file by name. Raises CheckpointError if it is foreign or truncated."""
    return {
        name: Part(
            path=path,
            offset=entry.offset,
            spec=TensorSpec(dtype=entry.dtype.lower(), shape=entry.shape),
        )
        for name, entry in read_head(path).entries.items()
    }


def lay_out(
    tensors: Iterable[tuple[str, str, tuple[int, ...], int]],
    metadata: Mapping[str, str],
    alignment: int = _ALIGNMENT,
) -> tuple[bytes, dict[str, Entry]]:
    """Bytes before the data, a multiple of `alignment`, and where each tensor goes.

    `tensors` are name, dtype, shape and bytes, in the order in which they shall lie.
    """
    header: dict[str, object] = {"__metadata__": metadata}
    relative, end = {}, 0
    for name, dtype, shape, size in tensors:
        relative[name] = Entry(dtype, shape, end, size)
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % alignment)
    head = len(text).to_bytes(8, "little") + text
    moved = {
        name: entry._replace(offset=len(head) + entry.offset) for name, entry in relative.items()
    }
    return head, moved


def _numbers(entry: Settings, key: str) -> tuple[int, ...]:
    numbers = entry.values.get(key)
    length = 2 if key == "data_offsets" else None
    if (
        not isinstance(numbers, list)
        or not all(isinstance(number, int) and number >= 0 for number in numbers)
        or len(numbers) != (length or len(numbers))
    ):
        raise CheckpointError(
            f"{entry.where}: {key}", got=numbers, allowed="a list of whole numbers"
        )
    return tuple(numbers)


def _read_header(path: Path) -> tuple[Settings, int]:
    size = int.from_bytes(read_bytes(path, 0, 8), "little")
    if not 2 <= size <= _MAX_HEADER:
        raise _foreign(path, f"header length {size}")
    check_size(path, 8 + size)
    try:
        header = json.loads(read_bytes(path, 8, size))
    except (ValueError, RecursionError) as error:
        raise _foreign(path, "header is not JSON") from error
    if not isinstance(header, dict):
        raise _foreign(path, "header is not an object")
    return Settings(str(path), header), 8 + size


def _foreign(path: Path, got: str) -> CheckpointError:
    return CheckpointError(
        f"{path}: not a safetensors file",
        got=f"{got}, {file_size(path):,} bytes",
        remedy=FETCH_AGAIN,
    )


class SafetensorsWriter:
    """One file whose tensors are all known before and are written in any order."""

    def __init__(self, path: Path, specs: Mapping[str, TensorSpec]) -> None:
        # Wide formats first, so that every tensor lies at a multiple of its item size.
        ordered = sorted(specs.items(), key=lambda item: -PLAIN[item[1].dtype].itemsize)
        tensors = ((name, spec.dtype.upper(), spec.shape, spec.bytes) for name, spec in ordered)
        head, self._entries = lay_out(tensors, {"format": "pt"})
        self._path = path
        path.write_bytes(head)

    def write(self, name: str, data: Array) -> None:
        """Put one tensor in its place; each is written once."""
        entry = self._entries.pop(name)
        assert data.nbytes == entry.size
        write_at(self._path, entry.offset, data)

    def finish(self) -> None:
        """Make sure that everything has reached the disk."""
        assert not self._entries, f"never written: {list(self._entries)[:3]}"
        sync(self._path)
