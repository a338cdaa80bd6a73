"""Small archives, made in the tests."""

import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from quipu.data.sources.lock import sha256_of
from quipu.data.sources.packages import Archive, Package

METADATA = b"Metadata-Version: 2.4\nName: x\nVersion: 1.0\nLicense-Expression: MIT\n"


def tar(path: Path, files: Mapping[str, bytes | tarfile.TarInfo]) -> Path:
    """A tar of these files, in this order; compressed as the name says."""
    kind = {".gz": "gz", ".tgz": "gz", ".xz": "xz", ".bz2": "bz2"}.get(path.suffix, "")
    with tarfile.open(path, f"w:{kind}") as archive:
        for name, content in files.items():
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
                continue
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    """A link or a device of a tar."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def zipped(path: Path, files: Mapping[str, bytes]) -> Path:
    """A zip of these files, in this order."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def archive_of(path: Path, ecosystem: str = "pypi", take: tuple[str, ...] = ()) -> Archive:
    """The archive as the fetcher would have recorded it, in the folder it lies in."""
    return Archive(
        package=Package(ecosystem=ecosystem, name="x", version="1.0", take=take),
        file=path.name,
        sha256=sha256_of(path) if path.is_file() else "",
        bytes=path.stat().st_size if path.exists() else 0,
        origin="local index",
    )
