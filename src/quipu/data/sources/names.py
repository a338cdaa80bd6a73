"""Names of archive members: which are safe to carry on, and what may be shown of the others."""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

LONGEST_PATH, LONGEST_PART = 1024, 255  # bytes, as file systems have it
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
SHOWN = 200  # characters of a name that is not fit to be a path


def cleaned(name: str) -> str:
    """The name without what says nothing: `./` and doubled slashes."""
    start = "/" if name.startswith("/") else ""
    return start + "/".join(part for part in name.split("/") if part not in ("", "."))


def trouble(name: str) -> str | None:
    """Why a cleaned name cannot be a document's path; None when it can."""
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        return "name: not UTF-8"
    if not name:
        return "name: empty"
    if _CONTROL.search(name):
        return "name: control character"
    if name.startswith("/") or name[1:3] in (":/", ":\\"):
        return "name: absolute path"
    parts = name.split("/")
    if ".." in parts:
        return "name: leaves the archive"
    if "\\" in name:
        return "name: backslash"
    if len(encoded) > LONGEST_PATH or max(len(part.encode()) for part in parts) > LONGEST_PART:
        return "name: too long"
    return None


def shown(name: str) -> str:
    """A name as it may stand in a report: valid Unicode, printable, not too long."""
    valid = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    printable = _CONTROL.sub(lambda c: c[0].encode("unicode_escape").decode(), valid)
    return printable if len(printable) <= SHOWN else f"{printable[:SHOWN]}…"


def taken(path: str, take: Sequence[str]) -> bool:
    """Whether a path lies below one of these folders or matches one of these globs."""
    return not take or any(
        path == wanted or path.startswith(f"{wanted.rstrip('/')}/") or fnmatchcase(path, wanted)
        for wanted in take
    )


def without_top(path: str) -> str:
    """The path below its first folder; a file that is in none stays."""
    return path.partition("/")[2] or path
