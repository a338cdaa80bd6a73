"""Parts of files, read and written; mapped only to run, since mapped pages count as resident."""

import json
import os
from collections.abc import Mapping
from io import FileIO
from pathlib import Path

import numpy as np
import numpy.typing as npt

from quipu.errors import CheckpointError

FETCH_AGAIN = "fetch the file again"


def as_bytes(array: npt.NDArray[np.generic]) -> memoryview:
    """The memory of a contiguous array."""
    return array.reshape(-1).view(np.uint8).data


def read_bytes(path: Path, offset: int, size: int) -> bytes:
    """`size` bytes from `offset`. Raises CheckpointError if the file ends before."""
    with _opened(path) as file:
        file.seek(offset)
        data: bytes = file.read(size)
    if len(data) < size:
        raise truncated(path, offset + len(data), offset + size)
    return data


def read_whole(path: Path) -> bytes:
    """All of a small file. Raises CheckpointError if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error


def read_into(path: Path, offset: int, array: npt.NDArray[np.generic]) -> None:
    """Fill a contiguous array from `offset`. Raises CheckpointError if the file ends before."""
    view = as_bytes(array)
    done = 0
    with _opened(path) as file:
        file.seek(offset)
        while done < len(view):
            count = file.readinto(view[done:])
            if not count:
                raise truncated(path, offset + done, offset + len(view))
            done += count


class MappedFile:
    """A file that is mapped, read-only, when a part of it is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._bytes: npt.NDArray[np.uint8] | None = None

    def view(self, offset: int, size: int) -> npt.NDArray[np.uint8]:
        """Bytes of the file; the mapping lives as long as a view. CheckpointError if it ends."""
        if self._bytes is None:
            try:
                self._bytes = np.memmap(self.path, np.uint8, "r").view(np.ndarray)
            except (OSError, ValueError) as error:  # ValueError: the file is empty by now
                raise unreadable(self.path, error) from error
        if offset + size > len(self._bytes):
            raise truncated(self.path, len(self._bytes), offset + size)
        return self._bytes[offset : offset + size]


def write_at(path: Path, offset: int, array: npt.NDArray[np.generic]) -> None:
    """Write a contiguous array into a file that exists; the file grows as needed."""
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(as_bytes(array))


def sync(path: Path) -> None:
    """Make sure that a written file has reached the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def read_json(path: Path) -> Mapping[str, object]:
    """The object in a JSON file. Raises CheckpointError if there is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error
    if not isinstance(found, dict):
        raise CheckpointError(f"{path}: not a JSON object", got=type(found).__name__)
    return found


def file_size(path: Path) -> int:
    """Bytes in a file. Raises CheckpointError if it cannot be looked at."""
    try:
        return path.stat().st_size
    except OSError as error:
        raise unreadable(path, error) from error


def check_size(path: Path, expected: int) -> None:
    """Raise CheckpointError if a file is shorter than its own header promises."""
    if (size := file_size(path)) < expected:
        raise truncated(path, size, expected)


def truncated(path: Path, size: int, expected: int) -> CheckpointError:
    """The refusal of a file that ends before what its header promises."""
    return CheckpointError(
        f"{path}: file is truncated",
        got=f"{size:,} bytes",
        allowed=f"{expected:,} bytes or more",
        remedy=FETCH_AGAIN,
    )


def unreadable(path: Path, error: Exception) -> CheckpointError:
    """The refusal of a file that the system or a parser could not read."""
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return CheckpointError(f"{path}: cannot be read", got=reason, remedy="check path and file")


def _opened(path: Path) -> FileIO:
    try:
        return path.open("rb", buffering=0)
    except OSError as error:
        raise unreadable(path, error) from error
