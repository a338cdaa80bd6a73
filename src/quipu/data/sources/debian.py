"""Debian source packages: which files make one up, and the licences that debian/copyright gives."""

import gzip
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

from quipu.data.licences import normalise
from quipu.data.sources.deb822 import paragraphs
from quipu.data.sources.licence_texts import recognised

_TARBALL = re.compile(r".*\.tar\.(?:gz|bz2|xz|lzma|zst)")
_DIFF_BYTES = 64 * 2**20  # unpacked
_COMPONENT = re.compile(r".*\.orig-([A-Za-z0-9-]+)\.tar\.[a-z0-9]+")


@dataclass(frozen=True, kw_only=True)
class Part:
    """One file of a source package."""

    file: str
    sha256: str
    bytes: int

    @property
    def below(self) -> str:
        """The folder it unpacks into: further upstream tarballs have one each."""
        found = _COMPONENT.fullmatch(self.file)
        return found[1] if found else ""

    @property
    def top(self) -> str:
        """What becomes of the folder that all of it lies in: Debian's own is called `debian`."""
        return "keep" if ".debian.tar." in self.file else "drop if it holds all"


def listed_parts(dsc: str) -> list[Part]:
    """The files a .dsc lists with their hashes, sorted; entries that are no file name are left."""
    fields: dict[str, str] = {}
    for paragraph in paragraphs(dsc):
        fields |= paragraph
    parts = []
    for line in fields.get("checksums-sha256", "").splitlines():
        words = line.split()
        if len(words) == 3 and words[1].isdigit() and PurePosixPath(words[2]).name == words[2]:
            parts.append(Part(file=words[2], sha256=words[0].lower(), bytes=int(words[1])))
    return sorted(parts, key=lambda part: part.file)


def _parts(dsc: Path) -> list[Part]:
    try:
        return listed_parts(dsc.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return []


def debian_parts(dsc: Path) -> Iterator[Part]:
    """The tarballs of a source package, upstream's first."""
    tarballs = [part for part in _parts(dsc) if _TARBALL.fullmatch(part.file)]
    yield from sorted(tarballs, key=lambda part: (".debian.tar." in part.file, part.file))


def copyright_in_diff(dsc: Path, longest: int) -> bytes | None:
    """debian/copyright out of the one diff that packages of format 1.0 have; None without it."""
    diff = next((p.file for p in _parts(dsc) if p.file.endswith(".diff.gz")), None)
    if diff is None:
        return None
    lines: list[bytes] = []
    size = 0
    try:
        with gzip.open(dsc.parent / diff) as file:
            inside = False
            while line := file.readline(longest):
                size += len(line)
                if size > _DIFF_BYTES or (inside and line.startswith((b"--- ", b"diff "))):
                    break
                if line.startswith(b"+++ "):
                    inside = line.split(b"\t")[0].rstrip().endswith(b"/debian/copyright")
                elif inside and line.startswith(b"+"):
                    lines.append(line[1:])
    except (OSError, EOFError, zlib.error):
        return None
    return b"".join(lines)[:longest] if lines else None


def copyright_licences(text: str) -> Callable[[str], str | None]:
    """Path -> SPDX expression by a machine-readable debian/copyright; None where it says nothing.

    The last stanza that matches wins. A name that is not known is looked up by its text.
    """
    stanzas: list[tuple[re.Pattern[str], str]] = []
    texts: dict[str, str] = {}
    for fields in paragraphs(text):
        name, _, body = fields.get("license", "").partition("\n")
        if body:
            texts.setdefault(name, body)
        if "files" in fields and "license" in fields:
            globs = [_glob(word) for word in fields["files"].split()]
            stanzas.append((re.compile("|".join(globs) or r"(?!)", re.DOTALL), name))

    def licence(path: str) -> str | None:
        name = next((name for glob, name in reversed(stanzas) if glob.fullmatch(path)), None)
        return None if name is None else spdx(name)

    @cache
    def spdx(name: str) -> str:
        return normalise(name) or normalise(_by_texts(name, texts))

    return licence


def _by_texts(name: str, texts: dict[str, str]) -> str:
    """An expression with the names that only this file knows replaced by what their texts are."""
    for known in sorted(texts, key=len, reverse=True):
        if known and not normalise(known) and (found := recognised(texts[known])):
            whole = rf"(?<![\w.+-]){re.escape(known)}(?![\w.+-])"
            name = re.sub(whole, f"({found})", name)
    return name


def _glob(word: str) -> str:
    """A glob of debian/copyright as an expression: `*` and `?` match slashes too."""
    word = word.removeprefix("./")
    escaped = re.sub(r"\\([*?\\])|([*?])|(.)", _piece, word, flags=re.DOTALL)
    return f"(?:{escaped})"


def _piece(found: re.Match[str]) -> str:
    if found[1]:
        return re.escape(found[1])
    if found[2]:
        return ".*" if found[2] == "*" else "."
    return re.escape(found[3])
