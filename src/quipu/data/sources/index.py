"""A local index: a folder of wheels and sdists, flat or with a page per project (PEP 503)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from quipu.errors import UsageError

_SDIST = re.compile(r"(?P<name>.+?)-(?P<version>\d[^-]*)\.(?:tar\.gz|tar\.bz2|tar\.xz|tgz|zip)")
_WHEEL = re.compile(
    r"(?P<name>[^-]+)-(?P<version>[^-]+)(?:-\d[^-]*)?-[^-]+-(?P<abi>[^-]+)-[^-]+\.whl"
)
_HASH = re.compile(r"sha256=([0-9a-f]{64})", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A file of an index that holds some version of a package."""

    path: Path
    version: str
    sha256: str | None  # as the index publishes it

    @property
    def preference(self) -> tuple[int, str]:
        """An sdist has tests and documents too; a wheel for any machine beats one for some."""
        kind = 0 if self.path.suffix != ".whl" else 1 if "-none-any.whl" in self.path.name else 2
        return kind, self.path.name


def canonical(name: str) -> str:
    """The name as indexes file it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def folder_of(index: str | Path) -> Path:
    """The folder an index lies in; UsageError for one that is no folder here."""
    parts = urlsplit(str(index))
    path = Path(unquote(parts.path)) if parts.scheme == "file" else Path(index)
    if not path.is_dir():
        raise UsageError("index", got=index, allowed="a folder of this machine, file:///FOLDER")
    return path


def find(index: Path, name: str, version: str) -> Candidate | None:
    """The preferred file of that version; the newest one's when it is ""."""
    found = list(_candidates(index, canonical(name)))
    wanted = canonical_version(version) if version else None
    if wanted is None and found:
        wanted = max((canonical_version(c.version) for c in found), key=_order)
    fitting = [c for c in found if canonical_version(c.version) == wanted]
    return min(fitting, key=lambda c: c.preference, default=None)


def canonical_version(version: str) -> str:
    """The version without what does not tell versions apart: case, `v`, trailing `.0`."""
    plain = version.strip().lower().removeprefix("v").replace("_", "-")
    release, *rest = re.split(r"(?<=\d)(?=[^\d.])", plain, maxsplit=1)
    return re.sub(r"(\.0)+$", "", release) + "".join(rest)


def _order(version: str) -> tuple[bool, list[int], str]:
    """Releases before what is no release yet; by number."""
    release = re.match(r"[\d.]*", version)
    numbers = [int(n) for n in (release[0] if release else "").split(".") if n]
    final = not re.search(r"\d[-_.]?(a|b|c|rc|alpha|beta|pre|preview|dev)[-_.]?\d*", version)
    return final, numbers, version


def _candidates(index: Path, name: str) -> Iterator[Candidate]:
    for root in (index, index / "simple"):
        page = root / name / "index.html"
        if page.is_file():
            yield from _linked(page, name)
    for path in sorted(index.iterdir()):
        if path.is_file() and (version := _version_of(path.name, name)):
            yield Candidate(path=path, version=version, sha256=None)


def _linked(page: Path, name: str) -> Iterator[Candidate]:
    links = _Links()
    links.feed(page.read_text(encoding="utf-8", errors="replace"))
    for link in links.found:
        parts = urlsplit(link)
        if parts.scheme not in ("", "file"):
            continue
        path = Path(unquote(parts.path))
        path = path if parts.scheme else page.parent / path
        published = _HASH.search(parts.fragment)
        if version := _version_of(path.name, name):
            yield Candidate(
                path=path, version=version, sha256=published[1].lower() if published else None
            )


def _version_of(file: str, name: str) -> str | None:
    """The version in a file's name, when it is one of this project's; None for all others."""
    found = _WHEEL.fullmatch(file) or _SDIST.fullmatch(file)
    return found["version"] if found and canonical(found["name"]) == name else None


def version_in(file: str) -> str:
    """The version in the name of a wheel or sdist; "" when it is neither."""
    found = _WHEEL.fullmatch(file) or _SDIST.fullmatch(file)
    return found["version"] if found else ""


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember where anchors lead."""
        self.found += [value for key, value in attrs if tag == "a" and key == "href" and value]
