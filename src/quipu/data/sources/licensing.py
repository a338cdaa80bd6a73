"""Which licence each file of a package has, from what the package says about itself.

The nearest word counts: a file's own SPDX lines, then debian/copyright, then a notice of a GNU
licence in the file's first lines, then the licence text of the nearest folder that has one we
recognise, then the package's metadata, then the licence text beside it.
"""

import json
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from email.parser import HeaderParser
from functools import lru_cache

from quipu.data.licences import PROPRIETARY, SOME_APACHE, SOME_BSD, UNKNOWN, normalise
from quipu.data.sources.contents import DEBIAN_COPYRIGHT, is_licence_text
from quipu.data.sources.debian import copyright_licences
from quipu.data.sources.licence_texts import copyleft_notice, recognised

LicenceOf = Callable[[str, str], str]
_TAG = re.compile(
    r"^\W{0,8}SPDX-License-Identifier:[ \t]*([^\n]+?)[ \t]*(?:\*/|-->|#})?[ \t]*$", re.M
)
# Licences of what is linked or packed with the code: they say nothing of the files beside them.
_OTHERS = re.compile(r"(third|3rd)[-_. ]?part|bundled|vendor|dependenc", re.IGNORECASE)
HEADER = 3000  # characters of a file that may say its licence
# What says too little by itself, and what a licence text must be to say more.
_VAGUE = {"": "", SOME_BSD: "BSD-", SOME_APACHE: "Apache-"}


def licences_of(ecosystem: str, facts: Mapping[str, bytes]) -> LicenceOf:
    """(path, text) -> SPDX expression, by the metadata and licence texts of one package."""
    texts = {path: content.decode("utf-8", "replace") for path, content in facts.items()}
    licence_texts = {
        path: text
        for path, text in texts.items()
        if is_licence_text(path) and not _OTHERS.search(path.rpartition("/")[2])
    }
    whole = _of_package(texts, licence_texts)
    nested = _of_folders(licence_texts)
    debian = copyright_licences(texts.get(DEBIAN_COPYRIGHT, ""))

    @lru_cache(maxsize=4096)
    def of_folder(folder: str) -> str:
        if not folder:
            return whole
        return nested.get(folder) or of_folder(folder.rpartition("/")[0])

    def licence(path: str, text: str) -> str:
        header = text[:HEADER]
        if "SPDX" in header and (tags := _TAG.findall(header)):
            return normalise(" AND ".join(f"({tag})" for tag in tags))
        if ecosystem == "debian" and (licence := debian(path)) is not None:
            return licence
        return copyleft_notice(header) or of_folder(path.rpartition("/")[0])

    return licence


def _of_folders(licence_texts: Mapping[str, str]) -> dict[str, str]:
    """Licences of folders below the top that bring a text of their own, such as vendored code."""
    found: dict[str, set[str]] = {}
    for path, text in licence_texts.items():
        folder = path.rpartition("/")[0]
        if folder and not _beside_metadata(folder) and (licence := recognised(text)):
            found.setdefault(folder, set()).add(licence)
    return {
        folder: normalise(" AND ".join(f"({x})" for x in sorted(licences)))
        for folder, licences in found.items()
    }


def _beside_metadata(folder: str) -> bool:
    """Whether licence texts of a folder are the whole package's."""
    first = folder.partition("/")[0].lower()
    return first.endswith((".dist-info", ".egg-info")) or first in ("licenses", "license", "debian")


def _of_package(texts: Mapping[str, str], licence_texts: Mapping[str, str]) -> str:
    """The package's licence: what metadata declare, or else the texts at its top."""
    at_top = [
        recognised(licence_texts[path])
        for path in licence_texts
        if "/" not in path or _beside_metadata(path.rpartition("/")[0])
    ]
    beside = normalise(" AND ".join(sorted({licence for licence in at_top if licence})))
    vague = ""
    for path in sorted(texts):
        declared = _declared(path, texts[path], licence_texts)
        if declared not in _VAGUE:
            return declared
        vague = vague or declared
    return _refined(vague, beside)


def _refined(vague: str, texts: str) -> str:
    """A licence declared without saying which of its family, by the licence texts beside it.

    The texts may also speak of what else is in the archive; what was declared is what counts.
    """
    found = [licence for licence in texts.split(" AND ") if licence.startswith(_VAGUE[vague])]
    return normalise(" AND ".join(found)) or vague


def _declared(path: str, text: str, licence_texts: Mapping[str, str]) -> str:
    """What one file of metadata declares; files below the top speak for others."""
    folder, _, name = path.rpartition("/")
    if name in ("PKG-INFO", "METADATA") and (not folder or _beside_metadata(folder)):
        return _of_python(text)
    if folder:
        return ""
    if name in ("package.json", "composer.json"):
        return _of_json(text, licence_texts)
    return _of_pyproject(text, licence_texts) if name == "pyproject.toml" else ""


def _of_python(text: str) -> str:
    """Core metadata: the expression, or the name in the free field, or the classifiers.

    The free field may also hold the text of the licence, and of others that are bundled.
    """
    fields = HeaderParser().parsestr(text)
    if expression := fields.get("License-Expression"):
        return normalise(str(expression)) or UNKNOWN
    field = str(fields.get("License") or "")
    free = "" if (whole := recognised(field)) else normalise(field)
    classified = normalise([str(value) for value in fields.get_all("Classifier") or []])
    for found in (free, classified):
        if found not in _VAGUE:
            return found
    return _refined(classified or free, whole)


def _of_json(text: str, licence_texts: Mapping[str, str]) -> str:
    """package.json and composer.json: a string, an object with a type, or a list to choose from."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(found, dict):
        return ""
    declared = found.get("license") or found.get("licenses")
    choices = declared if isinstance(declared, list) else [declared]
    names = [choice.get("type") if isinstance(choice, dict) else choice for choice in choices]
    words = [name for name in names if isinstance(name, str) and name.strip()]
    if len(words) != len(names):
        return ""
    return _any_of([_npm_name(word, licence_texts) for word in words])


def _npm_name(word: str, licence_texts: Mapping[str, str]) -> str:
    if word.strip().upper() == "UNLICENSED":  # no licence at all; not the Unlicense
        return PROPRIETARY
    if see := re.match(r"see licen[sc]e in\s+<?(?:\./)?([^\s>]+)", word.strip(), re.IGNORECASE):
        return recognised(licence_texts.get(see[1], "")) or UNKNOWN
    return normalise(word)


def _any_of(licences: Sequence[str]) -> str:
    known = [licence for licence in licences if licence]
    return normalise(" OR ".join(f"({licence})" for licence in known)) if known else ""


def _of_pyproject(text: str, licence_texts: Mapping[str, str]) -> str:
    try:
        found = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return ""
    project = found.get("project")
    if not isinstance(project, dict):
        return ""
    declared = project.get("license")
    if isinstance(declared, dict):
        file = declared.get("file")
        declared = licence_texts.get(file, "") if isinstance(file, str) else declared.get("text")
    if isinstance(declared, str) and (licence := normalise(declared)):
        return licence
    classifiers = project.get("classifiers")
    return normalise([str(c) for c in classifiers]) if isinstance(classifiers, list) else ""


def readme(metadata: str) -> tuple[str, str]:
    """The description in core metadata, which is the package's README, and its language."""
    fields = HeaderParser().parsestr(metadata)
    kind = str(fields.get("Description-Content-Type") or "text/x-rst").partition(";")[0].strip()
    language = {"text/markdown": "markdown", "text/plain": "text"}.get(kind.lower(), "rst")
    body = fields.get_payload()
    return (body if isinstance(body, str) else "").strip("\n") + "\n", language
