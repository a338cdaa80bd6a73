"""One build in a folder at a time."""

import contextlib
import errno
import fcntl
from collections.abc import Iterator
from pathlib import Path

from quipu.data.corpus.jobs import DISK_FULL
from quipu.errors import DataError


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make the folder and hold it; DataError if another process does, or it cannot be written.

    The lock goes when the process does, however it ends. A full disk inside is a DataError too.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DataError(
                    f"{folder} is being built by another process",
                    remedy="wait for it, or name another folder",
                ) from None
            yield
    except OSError as error:
        raise _trouble(folder, error) from error


def _trouble(folder: Path, error: OSError) -> DataError:
    if error.errno in DISK_FULL:
        return DataError(
            f"{folder}: the disk is full",
            got=error.strerror,
            remedy="make room; the same command goes on from there",
        )
    remedy = None
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
        remedy = "name a folder that you may write to"
    return DataError(f"{folder}: cannot be written", got=error.strerror or error, remedy=remedy)
