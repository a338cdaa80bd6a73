"""The safetensors format: length, JSON header, bytes. Read by offset, written tensor by tensor.

Format: https://huggingface.co/docs/safetensors. The library of the same name wants all tensors of
a file at once, or maps the file; both cost more memory than a conversion should.
"""

import json
import math
from collections.abc import Mapping
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


def read_parts(path: Path) -> dict[str, Part]:
    """Every tensor of a file by name. Raises CheckpointError if it is foreign or truncated."""
    header, start = _read_header(path)
    parts, end = {}, start
    for name in header.values:
        if name == "__metadata__":
            continue
        entry = header.inner(name)
        if entry is None:
            raise _foreign(path, f"nothing about {name}")
        spec = TensorSpec(dtype=entry.text("dtype").lower(), shape=_numbers(entry, "shape"))
        first, last = _numbers(entry, "data_offsets")
        if spec.dtype in PLAIN and last - first != math.prod(spec.shape) * _item(spec):
            raise _foreign(path, f"{name}: {last - first} bytes for shape {list(spec.shape)}")
        parts[name] = Part(path=path, offset=start + first, spec=spec)
        end = max(end, start + last)
    check_size(path, end)
    return parts


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


def _item(spec: TensorSpec) -> int:
    return PLAIN[spec.dtype].itemsize


def _read_header(path: Path) -> tuple[Settings, int]:
    size = int.from_bytes(read_bytes(path, 0, 8), "little")
    if not 2 <= size <= _MAX_HEADER:
        raise _foreign(path, f"header length {size}")
    check_size(path, 8 + size)
    try:
        header = json.loads(read_bytes(path, 8, size))
    except ValueError as error:
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


class _Place(NamedTuple):
    offset: int
    spec: TensorSpec


class SafetensorsWriter:
    """One file whose tensors are all known before and are written in any order."""

    def __init__(self, path: Path, specs: Mapping[str, TensorSpec]) -> None:
        # Wide formats first, so that every tensor lies at a multiple of its item size.
        ordered = sorted(specs.items(), key=lambda item: -_item(item[1]))
        header: dict[str, object] = {"__metadata__": {"format": "pt"}}
        places, end = {}, 0
        for name, spec in ordered:
            places[name] = _Place(end, spec)
            header[name] = {
                "dtype": spec.dtype.upper(),
                "shape": list(spec.shape),
                "data_offsets": [end, end + spec.bytes],
            }
            end += spec.bytes
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % _ALIGNMENT)
        self._places, self._start, self._path = places, 8 + len(text), path
        path.write_bytes(len(text).to_bytes(8, "little") + text)

    def write(self, name: str, data: Array) -> None:
        """Put one tensor in its place; each is written once."""
        place = self._places.pop(name)
        assert data.nbytes == place.spec.bytes
        write_at(self._path, self._start + place.offset, data)

    def finish(self) -> None:
        """Make sure that everything has reached the disk."""
        assert not self._places, f"never written: {list(self._places)[:3]}"
        sync(self._path)
