"""What has been fetched: one line per archive, so that nothing is fetched twice or changes."""

import hashlib
from dataclasses import replace
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


class Lock:
    """The lock file of a folder of archives. DataError for one that cannot be read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / LOCK
        self._found: dict[tuple[str, str, str], Archive] = {}
        if self.path.exists():
            self._drop_unfinished_line()
            for line in jsonl.read(self.path):
                self._remember(_archive(line, self.path))

    def archives(self) -> list[Archive]:
        """All that was fetched; of two lines for one package the later counts."""
        return list(self._found.values())

    def find(self, package: Package) -> Archive | None:
        """The archive of a package; without a version, the last one of that name."""
        for archive in reversed(self._found.values()):
            locked = archive.package
            same = (locked.ecosystem, locked.name) == (package.ecosystem, package.name)
            if same and package.version in ("", locked.version):
                return replace(archive, package=replace(package, version=locked.version))
        return None

    def add(self, archive: Archive) -> None:
        """Record an archive."""
        package = archive.package
        line = {"ecosystem": package.ecosystem, "name": package.name, "version": package.version}
        facts = {"file": archive.file, "sha256": archive.sha256, "bytes": archive.bytes}
        jsonl.append(self.path, {**line, **facts, "origin": archive.origin})
        self._remember(archive)

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

    def _remember(self, archive: Archive) -> None:
        package = archive.package
        key = (package.ecosystem, package.name, package.version)
        self._found.pop(key, None)  # so that the later one comes last
        self._found[key] = archive

    def _drop_unfinished_line(self) -> None:
        """A run that was killed, or found the disk full, may leave half a line."""
        content = self.path.read_bytes()
        if content and not content.endswith(b"\n"):
            with self.path.open("r+b") as file:
                file.truncate(content.rfind(b"\n") + 1)


def _archive(line: dict[str, object], path: Path) -> Archive:
    try:
        ecosystem, name, version = (str(line[k]) for k in ("ecosystem", "name", "version"))
        return Archive(
            package=Package(ecosystem=ecosystem, name=name, version=version),
            file=str(line["file"]),
            sha256=str(line["sha256"]),
            bytes=int(str(line["bytes"])),
            origin=str(line["origin"]),
        )
    except (KeyError, ValueError) as error:
        raise DataError(
            f"{path} has a line without {error}",
            remedy="remove that line; what it names is fetched again",
        ) from error
