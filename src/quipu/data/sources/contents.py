"""What of an archive is worth reading: texts on a shelf, facts about licences, all else skipped.

An archive is read once, from its beginning to its end. Only then is it known what the top folder
is and which licence applies where, so texts wait on a shelf until all has been seen.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

from quipu.data import languages
from quipu.data.sources import names
from quipu.data.sources.limits import Limits, TooMuch
from quipu.data.sources.members import Broken, Member, members_of
from quipu.data.sources.packages import Skipped
from quipu.data.sources.shelf import Shelf

METADATA = ("PKG-INFO", "METADATA", "package.json", "pyproject.toml", "composer.json")
METADATA_DEPTH = 2  # folders: in the top one of an archive, or in a wheel's .dist-info
DEBIAN_COPYRIGHT = "debian/copyright"
_LICENCE_TEXT = re.compile(
    r"(?:un)?licen[sc]es?(?:[-_.].*)?|copying(?:[-_.].*)?|.*[-_.]licen[sc]e|copyright",
    re.IGNORECASE,
)
_CODE = set(languages.LANGUAGES) - {"markdown", "rst", "text"}


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How one archive is read."""

    take: tuple[str, ...] = ()
    prose: bool = False  # every file that is taken, whatever its name
    others: bool = False  # files in languages beside ours too
    top: str = "keep"  # the first folder of each path: "keep", "drop", or "drop if it holds all"
    below: str = ""  # the folder that the archive unpacks into
    limits: Limits = field(default_factory=Limits)

    def path_of(self, name: str, one_top: bool) -> str:
        """Path of a member inside its package."""
        drop = self.top == "drop" or (self.top == "drop if it holds all" and one_top)
        path = names.without_top(name) if drop else name
        return f"{self.below}/{path}" if self.below else path

    def may_take(self, name: str) -> bool:
        """Whether the recipe may want a member, before it is known what the top folder is."""
        return any(names.taken(self.path_of(name, one_top), self.take) for one_top in (True, False))


@dataclass(kw_only=True)
class Contents:
    """Texts and facts by path, and what was skipped."""

    shelf: Shelf = field(default_factory=Shelf)
    texts: dict[str, str] = field(default_factory=dict)  # path -> name on the shelf
    facts: dict[str, bytes] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)

    def skip(self, path: str, reason: str, size: int = 0) -> None:
        """Record a file that is no document."""
        self.skipped.append(Skipped(path=names.shown(path), reason=reason, bytes=size))


def is_licence_text(path: str) -> bool:
    """Whether the file's name says that it is a licence; `license.py` is code about licences."""
    name = path.rpartition("/")[2]
    stem, dot, extension = name.rpartition(".")
    plain = stem if dot and extension.lower() in ("txt", "md", "rst") else name
    return _LICENCE_TEXT.fullmatch(plain) is not None and languages.by_name(name) not in _CODE


def has_readme(name: str) -> bool:
    """Whether this is a wheel's metadata, where its README is: wheels have none as a file."""
    return name.endswith(".dist-info/METADATA") and name.count("/") == 1


def _is_fact(name: str) -> bool:
    last = name.rpartition("/")[2]
    known = last in METADATA and name.count("/") < METADATA_DEPTH
    return known or is_licence_text(name) or name.endswith(DEBIAN_COPYRIGHT)


def collect(archive: Path, label: str, reading: Reading, into: Contents) -> None:
    """Read an archive into `into`; trouble with the archive as a whole is skipped under `label`."""
    found = Contents(shelf=into.shelf)
    tops: set[str] = set()
    seen: dict[str, str] = {}
    try:
        for member in members_of(archive, reading.limits):
            name = names.cleaned(member.name)
            if (reason := names.trouble(name)) is not None:
                into.skip(name, reason, member.size)  # no path, so it has no top folder either
                continue
            tops.add(name.partition("/")[0] if "/" in name else "")
            reason = _unfit(name, member, seen) or _put(name, label, member, reading, found)
            if reason is not None:
                found.skip(name, reason, member.size)
    except TooMuch as error:
        into.skip(label, f"archive: {error}")
    except Broken as error:
        into.skip(label, f"archive: broken, {error}")
    _merge(found, into, reading, len(tops) == 1 and "" not in tops)


def _unfit(name: str, member: Member, seen: dict[str, str]) -> str | None:
    if member.kind != "file":
        return member.kind
    # Two names that differ in case only are one file on some systems: an id must mean one.
    earlier = seen.get(name.casefold())
    if earlier is None:
        seen[name.casefold()] = name
        return None
    return "name: twice" if earlier == name else "name: differs from another in case only"


def _put(name: str, label: str, member: Member, reading: Reading, found: Contents) -> str | None:
    """Keep a member as a text or a fact, or say why not."""
    limits = reading.limits
    fact = _is_fact(name)
    script = languages.may_have_shebang(name) and not fact
    text = reading.prose or bool(languages.by_name(name)) or script or has_readme(name)
    text |= reading.others and bool(languages.other_by_name(name))
    wanted = text and reading.may_take(name) and not is_licence_text(name)
    if not wanted and not fact:
        return "language: none of ours" if not text else "take: not asked for"
    if member.size > (limits.licence_bytes if fact else limits.file_bytes):
        return f"size: over {limits.file_bytes // 1000} kB"
    if found.shelf.bytes + member.size > limits.kept_bytes:
        return "archive: too much text"
    try:
        content = member.read()
    except Broken as error:
        return f"archive: broken member, {error}"
    if script and not reading.prose and not content.startswith(b"#!"):
        return "language: none of ours"
    if fact:
        found.facts[name] = content
    if not wanted:
        return "licence text" if is_licence_text(name) else "metadata"
    found.texts[name] = f"{label}\0{name}"
    found.shelf.put(found.texts[name], content)
    return None


def _merge(found: Contents, into: Contents, reading: Reading, one_top: bool) -> None:
    """Add one archive's contents under their final paths; the first of two equal paths stays."""
    for name, key in found.texts.items():
        path = reading.path_of(name, one_top)
        reason = None if names.taken(path, reading.take) else "take: not asked for"
        if path in into.texts:
            reason = "name: twice"
        if reason is None:
            into.texts[path] = key
        else:
            into.skip(path, reason, len(into.shelf.take(key)))
    for name, content in found.facts.items():
        into.facts.setdefault(reading.path_of(name, one_top), content)
    for skipped in found.skipped:
        into.skip(reading.path_of(skipped.path, one_top), skipped.reason, skipped.bytes)
