"""Fetchers: each puts one package's files into a folder, through the registry's own client."""

import base64
import binascii
import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from quipu.data.sources import index
from quipu.data.sources.clients import Unfetched, called
from quipu.data.sources.lock import files_of, sha256_of
from quipu.data.sources.packages import Package


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """A file that a fetcher has put into its folder, and what it is."""

    file: Path
    version: str
    origin: str
    remote: bool = True


class Fetcher(Protocol):
    """Puts one package into an empty folder; Unfetched says why it cannot."""

    def __call__(self, package: Package, into: Path) -> Fetched: ...


@dataclass(frozen=True, kw_only=True)
class PyPI:
    """Wheels and sdists: out of local indexes, or else through pip."""

    indexes: Sequence[Path] = ()

    def __call__(self, package: Package, into: Path) -> Fetched:
        for folder in self.indexes:
            found = index.find(folder, package.name, package.version)
            if found is not None:
                return self._local(found, into)
        return self._remote(package, into)

    def _local(self, found: index.Candidate, into: Path) -> Fetched:
        try:
            copy = Path(shutil.copyfile(found.path, into / found.path.name))
        except FileNotFoundError as error:
            raise Unfetched("not found: the index names a file that is not there") from error
        if found.sha256 is not None and sha256_of(copy) != found.sha256:
            raise Unfetched("hash: not what the index publishes")
        return Fetched(file=copy, version=found.version, origin="local index", remote=False)

    def _remote(self, package: Package, into: Path) -> Fetched:
        """pip itself checks the hash that its index publishes.

        A wheel is preferred: for an sdist, pip runs the package's own build to learn its metadata.
        """
        wanted = package.name + (f"=={package.version}" if package.version else "")
        download = ["download", "--no-deps", "--disable-pip-version-check", "--quiet", "--dest"]
        try:
            called("pip", [*download, str(into), "--only-binary", ":all:", wanted], into)
        except Unfetched as error:
            if not str(error).startswith("not found"):
                raise
            called("pip", [*download, str(into), "--no-binary", ":all:", wanted], into)
        file = only_file(into)
        return Fetched(
            file=file, version=package.version or index.version_in(file.name), origin="pypi"
        )


@dataclass(frozen=True, kw_only=True)
class Npm:
    """Tarballs of npm packages; none of their scripts is run."""

    def __call__(self, package: Package, into: Path) -> Fetched:
        wanted = package.name + (f"@{package.version}" if package.version else "")
        options = ["--json", "--ignore-scripts", "--pack-destination", str(into)]
        said = called("npm", ["pack", wanted, *options], into)
        file = only_file(into)
        facts = _npm_facts(said)
        _check_integrity(file, facts.get("integrity", ""))
        version = package.version or facts.get("version", "")
        if not version:
            raise Unfetched("client: npm did not say which version it fetched")
        return Fetched(file=file, version=version, origin="npm")


def _npm_facts(said: str) -> dict[str, str]:
    """What `npm pack --json` says of the package: in a list, or by name since npm 12."""
    try:
        found = json.loads(said)
    except ValueError:
        return {}
    first = found[0] if isinstance(found, list) and found else found
    if isinstance(first, dict) and "version" not in first:
        first = next((value for value in first.values() if isinstance(value, dict)), {})
    if not isinstance(first, dict):
        return {}
    return {key: value for key, value in first.items() if isinstance(value, str)}


def _check_integrity(file: Path, published: str) -> None:
    """Compare with the registry's hashes, such as `sha512-BASE64`."""
    for word in published.split():
        kind, _, text = word.partition("-")
        if kind not in ("sha512", "sha384", "sha256"):
            continue
        try:
            expected = base64.b64decode(text.partition("?")[0], validate=True)
        except binascii.Error as error:
            raise Unfetched("hash: the registry's is malformed") from error
        with file.open("rb") as opened:
            if hashlib.file_digest(opened, kind).digest() != expected:
                raise Unfetched("hash: not what the index publishes")


def only_file(folder: Path) -> Path:
    """The one file a client has written."""
    found = sorted(path for path in folder.iterdir() if path.is_file())
    if len(found) != 1:
        raise Unfetched(f"client: wrote {len(found)} files where one was expected")
    return found[0]


def check_listed(dsc: Path) -> None:
    """A .dsc lists its files' hashes; Unfetched when one is missing or differs."""
    for file, expected in files_of(dsc):
        if not file.is_file():
            raise Unfetched(f"not found: {file.name}")
        if expected is not None and sha256_of(file) != expected:
            raise Unfetched("hash: not what the index publishes")
