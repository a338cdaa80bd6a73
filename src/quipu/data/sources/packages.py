"""What a corpus names, what was fetched of it, and what could not be."""

from dataclasses import dataclass
from pathlib import Path

from quipu.errors import UsageError

ECOSYSTEMS = ("pypi", "npm", "debian", "folder", "git", "jsonl", "exercises")
LOCAL = ("folder", "git", "jsonl", "exercises")  # ecosystems without a registry: `place` says where


@dataclass(frozen=True, kw_only=True)
class Package:
    """One release of one package, or something that lies on this machine.

    An empty version means whatever is newest, or the contents' own (a commit, a hash); the archive
    that was fetched knows it. `take` holds globs or folders: only files below these are read. In a
    glob `*` matches any characters, slashes too. All that is read of a package of `prose` is plain
    prose, which no name of a file tells. Of one with `others`, files in languages beside ours are
    read too, as one group. `place` is the path of something local and no part of its identity.
    """

    ecosystem: str
    name: str
    version: str = ""
    take: tuple[str, ...] = ()
    prose: bool = False
    others: bool = False
    place: str | Path = ""

    def __post_init__(self) -> None:
        if self.ecosystem not in ECOSYSTEMS:
            raise UsageError(
                "ecosystem of a package", got=self.ecosystem, allowed=", ".join(ECOSYSTEMS)
            )
        parts = self.name.split("/")
        scoped = len(parts) == 2 and parts[0].startswith("@") and self.ecosystem == "npm"
        if not all(parts) or parts[-1] in (".", "..") or (len(parts) > 1 and not scoped):
            raise UsageError("name of a package", got=repr(self.name), allowed="NAME, @SCOPE/NAME")
        # Names and versions are arguments of other programs, and must not look like their options.
        if self.name.startswith("-") or not str(self).isprintable() or " " in str(self):
            raise UsageError("package", got=repr(str(self)), allowed="ECOSYSTEM:NAME==VERSION")
        if "/" in self.version or self.version.startswith("-"):
            raise UsageError("version of a package", got=self.version, allowed="no slashes")

    @property
    def full_name(self) -> str:
        """What documents carry: `pypi/numpy`."""
        return f"{self.ecosystem}/{self.name}"

    def __str__(self) -> str:
        return f"{self.ecosystem}:{self.name}" + (f"=={self.version}" if self.version else "")


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A fetched package: a file below the folder of archives, and its hash.

    A Debian source package is several files; `file` is its .dsc, which holds the others' hashes,
    and `bytes` counts them all.
    """

    package: Package
    file: str
    sha256: str
    bytes: int
    origin: str  # "local index", "pypi", "npm", "debian", "local"


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A package that is not there, and why."""

    package: Package
    reason: str


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """A file of an archive that is no document, and why.

    When the archive itself is the trouble, the path is the archive's.
    """

    path: str
    reason: str
    bytes: int = 0


def parsed(text: str) -> Package:
    """`ECOSYSTEM:NAME==VERSION`, or `folder:PATH`, `git:PATH`, `jsonl:PATH`; UsageError."""
    ecosystem, colon, rest = text.partition(":")
    if not colon or not rest:
        raise UsageError("package", got=text, allowed="ECOSYSTEM:NAME==VERSION, folder:PATH")
    if ecosystem in LOCAL:
        return Package(ecosystem=ecosystem, name=Path(rest).resolve().name, place=rest)
    name, _, version = rest.partition("==")
    return Package(ecosystem=ecosystem, name=name, version=version)
