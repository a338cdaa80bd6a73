"""Fields of a serialized protocol buffer, just enough to read and patch a SentencePiece model.

The sentencepiece library needs the protobuf package to show its own model; these few lines do not.
The format: https://protobuf.dev/programming-guides/encoding.
"""

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


class Field(NamedTuple):
    """One field: a number for a varint, raw bytes for everything else."""

    number: int
    kind: int  # VARINT, FIXED64, BYTES or FIXED32
    value: int | bytes

    def raw(self) -> bytes:
        """Value of a field that holds bytes. Raises ValueError for another kind."""
        if not isinstance(self.value, bytes):
            raise ValueError(f"field {self.number} holds a number, not bytes")
        return self.value

    def varint(self) -> int:
        """Value of a field that holds a number. Raises ValueError for another kind."""
        if not isinstance(self.value, int):
            raise ValueError(f"field {self.number} holds bytes, not a number")
        return self.value

    def float32(self) -> float:
        """Value of a field that holds a float. Raises ValueError for another kind."""
        if self.kind != FIXED32:
            raise ValueError(f"field {self.number} holds no float")
        value: float = struct.unpack("<f", self.raw())[0]
        return value


def read_fields(data: bytes) -> Iterator[Field]:
    """Yield the fields of one message in order. Raises ValueError where `data` is not one."""
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == VARINT:
            value, at = _read_varint(data, at)
            yield Field(number, kind, value)
            continue
        if kind == BYTES:
            size, at = _read_varint(data, at)
        elif kind in (FIXED64, FIXED32):
            size = 8 if kind == FIXED64 else 4
        else:
            raise ValueError(f"wire type {kind} at byte {at}")
        if at + size > len(data):
            raise ValueError(f"field {number} is cut off at byte {len(data)}")
        yield Field(number, kind, data[at : at + size])
        at += size


def write_fields(fields: Iterable[Field]) -> bytes:
    """Serialize fields, in the order given, as one message."""
    out = bytearray()
    for number, kind, value in fields:
        out += _varint(number << 3 | kind)
        if isinstance(value, int):
            out += _varint(value)
        else:
            if kind == BYTES:
                out += _varint(len(value))
            out += value
    return bytes(out)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 64, 7):
        if at >= len(data):
            raise ValueError(f"number is cut off at byte {at}")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError(f"number too long at byte {at}")


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
