"""Debian source packages through apt, with a configuration of its own: nothing global changes."""

import getpass
import re
from collections.abc import Iterator
from pathlib import Path

from quipu.data.sources.clients import Unfetched, called
from quipu.data.sources.deb822 import paragraphs
from quipu.data.sources.packages import Package
from quipu.data.sources.registries import Fetched, check_listed

_LINE = re.compile(r"[ \t]*deb(?:-src)?[ \t]+(\S.*)")
_TYPES = re.compile(r"^Types:.*$", re.IGNORECASE | re.MULTILINE)
_VARIABLE = re.compile(r"^(\w+)='([^']*)'$", re.MULTILINE)


class Debian:
    """apt over the machine's own archives, asked for their source packages.

    `private` is the folder for apt's configuration and lists of packages. The lists are brought up
    to date once per run, when the first package is asked for.
    """

    def __init__(self, private: Path) -> None:
        self.private = private.absolute()
        self._ready = False

    def __call__(self, package: Package, into: Path) -> Fetched:
        configuration = self.private / "apt.conf"
        if not self._ready:
            self._configure(configuration)
            called("apt-get", ["-c", str(configuration), "update", *_ALL_OR_FAIL], self.private)
            self._ready = True
        wanted = package.name + (f"={package.version}" if package.version else "")
        options = ["--download-only", "--only-source"]
        called("apt-get", ["-c", str(configuration), "source", *options, wanted], into)
        found = sorted(into.glob("*.dsc"))
        if len(found) != 1:
            raise Unfetched(f"client: apt wrote {len(found)} .dsc files where one was expected")
        check_listed(found[0])
        return Fetched(file=found[0], version=_version(found[0]), origin="debian")

    def _configure(self, configuration: Path) -> None:
        """Write a configuration that keeps all state below the private folder."""
        for name in ("sources", "lists/partial", "cache/archives/partial"):
            (self.private / name).mkdir(parents=True, exist_ok=True)
        said = called("apt-config", ["shell", *_ASKED], self.private)
        places = dict(_VARIABLE.findall(said))
        sources = list(_machine_sources(places.get("LIST", ""), places.get("PARTS", "")))
        if not sources:
            raise Unfetched("client: apt has no archives to ask")
        for number, (suffix, text) in enumerate(sources):
            (self.private / "sources" / f"{number:03}{suffix}").write_text(text, encoding="utf-8")
        configuration.write_text(
            'Dir::Etc::SourceList "/dev/null";\n'
            f'Dir::Etc::SourceParts "{self.private}/sources";\n'
            f'Dir::State::Lists "{self.private}/lists";\n'
            f'Dir::Cache "{self.private}/cache";\n'
            # Without this, apt as root fetches as a user that may not write here.
            f'APT::Sandbox::User "{getpass.getuser()}";\n'
            # What the machine does after an update is about its own lists.
            "#clear APT::Update::Pre-Invoke;\n"
            "#clear APT::Update::Post-Invoke;\n"
            "#clear APT::Update::Post-Invoke-Success;\n",
            encoding="utf-8",
        )


# A list that cannot be had is otherwise a warning, and its packages seem not to exist.
_ALL_OR_FAIL = ("-o", "APT::Update::Error-Mode=any")
_ASKED = ("LIST", "Dir::Etc::sourcelist/f", "PARTS", "Dir::Etc::sourceparts/d")


def _machine_sources(file: str, folder: str) -> Iterator[tuple[str, str]]:
    """The machine's lists of archives, turned to source packages; suffix and text of each."""
    paths = [Path(file)] if file else []
    if folder and Path(folder).is_dir():
        paths += sorted(Path(folder).iterdir())
    for path in paths:
        if path.suffix in (".list", ".sources") and path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace")
            turn = _turned_lines if path.suffix == ".list" else _turned_paragraphs
            if turned := turn(text):
                yield path.suffix, turned


def _turned_lines(text: str) -> str:
    found = (_LINE.fullmatch(line) for line in text.splitlines())
    lines = dict.fromkeys(f"deb-src {line[1]}\n" for line in found if line)
    return "".join(lines)


def _turned_paragraphs(text: str) -> str:
    return _TYPES.sub("Types: deb-src", text) if any(paragraphs(text)) else ""


def _version(dsc: Path) -> str:
    """The version that a .dsc states."""
    text = dsc.read_text(encoding="utf-8", errors="replace")
    for fields in paragraphs(text):
        if version := fields.get("version"):
            return version
    raise Unfetched("client: a .dsc without a version")
