"""What lies on this machine, packed so that it stays as it was: a folder, a checkout, documents."""

import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

from quipu.data.sources.clients import Unfetched, called
from quipu.data.sources.lock import sha256_of
from quipu.data.sources.packages import Package
from quipu.data.sources.registries import Fetched

ORIGIN = "local"
KEPT_BESIDE = {".git", ".hg", ".svn", "__pycache__", "node_modules"}
ENVIRONMENT = "pyvenv.cfg"  # in the top folder of every virtual environment of Python
HASH_DIGITS = 12  # of the contents' hash, where a version is missing


def pack_folder(package: Package, into: Path) -> Fetched:
    """A tar of all below a folder: equal contents give equal bytes. Links are not followed.

    What version control and Python itself keep beside the sources is left out: it changes while
    they do not. So are environments with other people's packages.
    """
    root = Path(package.place)
    if not package.place or not root.is_dir():
        raise Unfetched("not found: no such folder")
    packed = into / "folder.tar"
    with tarfile.open(packed, "w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(_files(root), key=lambda path: path.relative_to(root).parts):
            info = archive.gettarinfo(path, path.relative_to(root).as_posix())
            if info is None:  # a socket
                continue
            _forget_who_and_when(info)
            if info.isreg():
                with path.open("rb") as file:
                    archive.addfile(info, file)
            else:
                archive.addfile(info)
    return _named(package, packed, package.version or sha256_of(packed)[:HASH_DIGITS])


def _files(root: Path) -> Iterator[Path]:
    """All below a folder that is no folder, links to folders among them."""
    for place, folders, files in os.walk(root):
        folders[:] = [
            name
            for name in folders
            if name not in KEPT_BESIDE and not Path(place, name, ENVIRONMENT).is_file()
        ]
        yield from (Path(place, name) for name in files)
        yield from (path for name in folders if (path := Path(place, name)).is_symlink())


def _forget_who_and_when(info: tarfile.TarInfo) -> None:
    info.mtime, info.uid, info.gid, info.uname, info.gname = 0, 0, 0, "", ""
    info.mode = 0o644
    if info.islnk():  # a second name of a file that is packed already
        info.size = 0


def pack_checkout(package: Package, into: Path) -> Fetched:
    """What a git checkout has committed; the version is the commit."""
    root = Path(package.place)
    if not package.place or not root.is_dir():
        raise Unfetched("not found: no such folder")
    wanted = package.version or "HEAD"
    commit = called("git", ["rev-parse", "--verify", f"{wanted}^{{commit}}"], root).strip()
    packed = into / "checkout.tar"
    called("git", ["archive", "--format=tar", f"--output={packed.resolve()}", commit], root)
    return _named(package, packed, commit)


def copy_lines(package: Package, into: Path) -> Fetched:
    """A JSONL file of documents."""
    source = Path(package.place)
    if not source.is_file():
        raise Unfetched("not found: no such file")
    copy = Path(shutil.copyfile(source, into / "documents.jsonl"))
    return _named(package, copy, package.version or sha256_of(copy)[:HASH_DIGITS])


def _named(package: Package, file: Path, version: str) -> Fetched:
    stem = package.name.removesuffix(file.suffix)
    final = file.rename(file.with_name(f"{stem}-{version}{file.suffix}"))
    return Fetched(file=final, version=version, origin=ORIGIN, remote=False)
