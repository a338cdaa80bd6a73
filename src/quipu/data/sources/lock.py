"""What has been fetched: one line per archive, so that nothing is fetched twice or changes."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from quipu import jsonl
from quipu.data.sources.debian import listed_parts
from quipu.data.sources.packages import Archive, Package
from quipu.errors import DataError

LOCK = "lock.jsonl"


def sha256_of(path: Path) -> str:
    """Hash of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_of(archive: Path) -> list[tuple[Path, str | None]]:
    """An archive's files with the hashes known for them: a .dsc lists others."""
    if archive.suffix != ".dsc":
        return [(archive, None)]
    parts = listed_parts(archive.read_text(encoding="utf-8", errors="replace"))
    return [(archive, None), *((archive.parent / part.file, part.sha256) for part in parts)]


@dataclass(frozen=True, kw_only=True)
class Lock:
    """The lock file of a folder of archives."""

    folder: Path

    @property
    def path(self) -> Path:
        """Where it lies."""
        return self.folder / LOCK

    def archives(self) -> list[Archive]:
        """All lines; of two for one package the later counts. DataError."""
        if not self.path.exists():
            return []
        found: dict[tuple[str, str, str], Archive] = {}
        for line in jsonl.read(self.path):
            archive = self._archive(line)
            package = archive.package
            found[package.ecosystem, package.name, package.version] = archive
        return list(found.values())

    def find(self, package: Package) -> Archive | None:
        """The archive of a package; without a version, the last one of that name."""
        for archive in reversed(self.archives()):
            locked = archive.package
            same = (locked.ecosystem, locked.name) == (package.ecosystem, package.name)
            if same and package.version in ("", locked.version):
                return replace(archive, package=replace(package, version=locked.version))
        return None

    def add(self, archive: Archive) -> None:
        """Record an archive."""
        jsonl.append(
            self.path,
            {
                "ecosystem": archive.package.ecosystem,
                "name": archive.package.name,
                "version": archive.package.version,
                "file": archive.file,
                "sha256": archive.sha256,
                "bytes": archive.bytes,
                "origin": archive.origin,
            },
        )

    def trouble(self, archive: Archive) -> str | None:
        """Why an archive on disk is not what was locked; None when it is."""
        path = self.folder / archive.file
        try:
            if sha256_of(path) != archive.sha256:
                return f"hash: {archive.file} is not what was fetched"
            for file, expected in files_of(path):
                if expected is not None and sha256_of(file) != expected:
                    return f"hash: {file.name} is not what was fetched"
        except OSError:
            return f"missing: {archive.file}"
        return None

    def _archive(self, line: dict[str, object]) -> Archive:
        try:
            package = Package(
                ecosystem=str(line["ecosystem"]),
                name=str(line["name"]),
                version=str(line["version"]),
            )
            return Archive(
                package=package,
                file=str(line["file"]),
                sha256=str(line["sha256"]),
                bytes=int(str(line["bytes"])),
                origin=str(line["origin"]),
            )
        except (KeyError, ValueError) as error:
            raise DataError(
                f"lock of {self.folder.name}", got=f"a line without {error}",
                remedy="remove that line; what it names is fetched again",
            ) from error  # fmt: skip
