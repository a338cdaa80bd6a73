"""Benchmark files: from a folder of the user's, a cache, or their official address, hash checked.

Nothing is fetched unless the user asks for a task whose file is not here; a wrong hash is refused.
"""

import hashlib
import json
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from quipu.errors import DataError

QUIPU_DATA = "QUIPU_DATA"  # the user's folder of benchmark files
_CHUNK = 1 << 20
_TIMEOUT_S = 60


@dataclass(frozen=True, kw_only=True)
class Source:
    """A file of a benchmark: its place below the data folder, where it comes from, and its hash.

    Where a benchmark comes as a folder for each problem, the folder of those stands for a file of
    JSON lines: each has the folder's name as `id`, and its texts by their names without endings.
    """

    path: str  # "humaneval/HumanEval.jsonl.gz", "apps/sample"
    sha256: str  # empty: a file of the user's own, of which there is no official edition
    url: str = ""  # official address; empty: it must be put there by hand
    licence: str = ""

    @property
    def name(self) -> str:
        """Its last part, by which tasks know it."""
        return self.path.rpartition("/")[2]


def data_folder() -> Path:
    """Where benchmark files are: QUIPU_DATA, else the user's cache folder."""
    named = os.environ.get(QUIPU_DATA)
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "quipu" / "data"


def read_sources(
    sources: Sequence[Source],
    folder: Path | None = None,
    *,
    fetch: Callable[[str], bytes] | None = None,
) -> Mapping[str, bytes]:
    """Contents of the files by name, fetched into the folder if they are not there.

    `fetch` (an address to its bytes) is the network; by default urllib. Raises DataError for a file
    that is neither there nor to be had, or has another hash.
    """
    place = folder or data_folder()
    return {source.name: _read(source, place, fetch or _download) for source in sources}


def _read(source: Source, folder: Path, fetch: Callable[[str], bytes]) -> bytes:
    path = folder / source.path
    if path.exists():
        data = _folders(path) if path.is_dir() else path.read_bytes()
        _check(source, data, str(path))
        return data
    if not source.url:
        raise DataError(
            f"benchmark file {path}",
            got="no such file",
            remedy=f"put it there ({_edition(source)}), or name its folder with {QUIPU_DATA}",
        )
    data = fetch(source.url)
    _check(source, data, source.url)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return data


def _folders(path: Path) -> bytes:
    """What the folders in a folder hold, as a file of JSON lines."""
    lines = []
    for folder in sorted(each for each in path.iterdir() if each.is_dir()):
        try:
            texts = {file.stem: file.read_text("utf-8") for file in sorted(folder.iterdir())}
        except (OSError, ValueError) as error:
            raise DataError(
                f"benchmark folder {folder}", got=error, allowed="files of text"
            ) from error
        lines.append(json.dumps({"id": folder.name, **texts}) + "\n")
    return "".join(lines).encode()


def _edition(source: Source) -> str:
    return f"sha256 {source.sha256}" if source.sha256 else "a file of your own"


def _check(source: Source, data: bytes, where: str) -> None:
    if not source.sha256:
        return
    found = hashlib.sha256(data).hexdigest()
    if found != source.sha256:
        raise DataError(
            f"benchmark file {where} is not the one that this task is defined on",
            got=f"sha256 {found}",
            allowed=source.sha256,
            remedy="remove it and fetch it again; another edition would give other numbers",
        )


def _download(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:
            parts = []
            while part := answer.read(_CHUNK):
                parts.append(part)
            return b"".join(parts)
    except (urllib.error.URLError, OSError) as error:
        raise DataError(
            f"benchmark file {url}",
            got=error,
            remedy=f"check the network, or put the file into the folder that {QUIPU_DATA} names",
        ) from error
