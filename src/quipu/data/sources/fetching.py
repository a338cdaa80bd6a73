"""From package names to archives on disk: one after another, each once."""

import errno
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from quipu.data.sources import index
from quipu.data.sources.apt import Debian
from quipu.data.sources.clients import Unfetched
from quipu.data.sources.local import copy_lines, pack_checkout, pack_folder
from quipu.data.sources.lock import Lock, files_of, sha256_of
from quipu.data.sources.packages import LOCAL, Archive, Failure, Package
from quipu.data.sources.registries import Fetched, Fetcher, Npm, PyPI
from quipu.errors import DataError

PARTIAL = ".partial-"
PAUSE_S = 1.0  # between two requests to a registry


def fetchers(folder: Path, indexes: Sequence[str | Path] = ()) -> dict[str, Fetcher]:
    """How each ecosystem is fetched; UsageError for an index that is no folder."""
    return {
        "pypi": PyPI(indexes=tuple(index.folder_of(text) for text in indexes)),
        "npm": Npm(),
        "debian": Debian(private=folder / ".apt"),
        "folder": pack_folder,
        "git": pack_checkout,
        "jsonl": copy_lines,
        "exercises": copy_lines,
    }


def fetch(
    packages: Iterable[Package],
    folder: Path,
    indexes: Sequence[str | Path] = (),
    *,
    pause: Callable[[], None] = lambda: time.sleep(PAUSE_S),
) -> Iterator[Archive | Failure]:
    """Archives in the order of the packages, fetched unless the folder has them already.

    What cannot be had is a Failure; DataError when the disk is full, with all that was fetched
    before in place.
    """
    folder = folder.absolute()  # clients run in folders of their own
    folder.mkdir(parents=True, exist_ok=True)
    for rest in folder.glob(f"{PARTIAL}*"):  # of a run that was killed
        shutil.rmtree(rest)
    fetcher_of = fetchers(folder, indexes)
    lock = Lock(folder=folder)
    for package in packages:
        try:
            archive, remote = _one(package, lock, fetcher_of[package.ecosystem])
        except Unfetched as error:
            yield Failure(package=package, reason=str(error))
            remote = True
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise _disk_full(folder) from error
            yield Failure(package=package, reason=f"file: {error.strerror or error}")
            remote = False
        else:
            yield archive
        if remote:
            pause()


def _disk_full(folder: Path) -> DataError:
    """The one trouble that stops everything: what was fetched so far stays."""
    return DataError(
        f"the disk of {folder} is full",
        remedy="make room and run the same command again; what was fetched stays",
    )


def _one(package: Package, lock: Lock, fetcher: Fetcher) -> tuple[Archive, bool]:
    """One archive, and whether a registry was asked."""
    # What lies on this machine changes under the same name: without a version it is packed anew.
    locked = lock.find(package) if package.version or package.ecosystem not in LOCAL else None
    if locked is not None and lock.trouble(locked) is None:
        return locked, False
    # In the same folder, so that moving files out of it is a rename.
    with tempfile.TemporaryDirectory(dir=lock.folder, prefix=PARTIAL) as name:
        found = fetcher(package, Path(name))
        archive = _described(package, found)
        if locked is not None and archive.sha256 != locked.sha256:
            raise Unfetched("hash: not what was fetched before under the same version")
        _place(found, (lock.folder / archive.file).parent)
    if locked is None and lock.find(archive.package) != archive:
        lock.add(archive)
    return archive, found.remote


def _described(package: Package, found: Fetched) -> Archive:
    return Archive(
        package=replace(package, version=found.version),
        # A folder for each name: npm calls the tarballs of @a/b and of a-b the same.
        file=f"{package.ecosystem}/{package.name}/{found.file.name}",
        sha256=sha256_of(found.file),
        bytes=sum(file.stat().st_size for file, _ in files_of(found.file)),
        origin=found.origin,
    )


def _place(found: Fetched, target: Path) -> None:
    """Move the files to where they stay; the one that speaks for the others comes last."""
    target.mkdir(parents=True, exist_ok=True)
    for file, _ in reversed(files_of(found.file)):
        shutil.move(file, target / file.name)
