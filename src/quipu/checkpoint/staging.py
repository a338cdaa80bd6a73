"""All or nothing: a result is made under a temporary name and takes its place when it is whole."""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from quipu.checkpoint.opening import find_layout
from quipu.errors import CheckpointError


@contextlib.contextmanager
def staged(target: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield a free sibling path; what was made there becomes `target` at the end.

    On any failure, an interruption too, what was made is removed and `target` is as it was. Raises
    CheckpointError if `target` exists and `overwrite` is false, if it is a folder that holds
    something other than a model, and for every OSError on the way.
    """
    _check_target(target, overwrite)
    made = target.with_name(f".{target.name}.partial-{os.getpid()}")
    try:
        _remove(made)
        yield made
        _replace(made, target)
    except OSError as error:
        raise _failed(target, error) from error
    finally:
        _remove(made)


def check_space(target: Path, size: int) -> None:
    """Raise CheckpointError if the disk of `target` cannot take `size` more bytes."""
    free = shutil.disk_usage(target.parent).free
    if free < size:
        raise CheckpointError(
            f"{target}: not enough space on the disk",
            got=f"{free:,} bytes free",
            allowed=f"{size:,} bytes or more",
            remedy="free some space, or write to another disk",
        )


def _check_target(target: Path, overwrite: bool) -> None:
    if not target.parent.is_dir():
        raise CheckpointError(
            f"{target.parent}: no such folder", remedy="make it first, or name another target"
        )
    if not target.exists():
        return
    if not overwrite:
        raise CheckpointError(
            f"{target}: already exists", remedy="pass --force to overwrite it, or name another"
        )
    if target.is_dir() and any(target.iterdir()):
        try:
            find_layout(target)
        except CheckpointError as error:
            raise CheckpointError(
                f"{target}: a folder that holds no model is not overwritten",
                remedy="remove it yourself, or name another target",
            ) from error


def _replace(made: Path, target: Path) -> None:
    if not target.is_dir() and not made.is_dir():
        made.replace(target)
        return
    if not target.exists():
        made.rename(target)
        return
    former = target.with_name(f".{target.name}.former-{os.getpid()}")
    target.rename(former)
    try:
        made.rename(target)
    except BaseException:
        former.rename(target)
        raise
    _remove(former)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _failed(target: Path, error: OSError) -> CheckpointError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return CheckpointError(
            f"{target}: the disk is full; nothing was left behind",
            got=error.strerror,
            remedy="free some space, or write to another disk",
        )
    return CheckpointError(f"{target}: cannot be written", got=error.strerror or str(error))
