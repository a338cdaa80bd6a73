"""Archives as documents with their provenance; nothing is written to disk."""

import hashlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from quipu.data import languages
from quipu.data.documents import Document
from quipu.data.sources import licensing, notebooks, prose
from quipu.data.sources.contents import DEBIAN_COPYRIGHT, Contents, Reading, collect, has_readme
from quipu.data.sources.debian import copyright_in_diff, debian_parts
from quipu.data.sources.limits import Limits
from quipu.data.sources.names import taken
from quipu.data.sources.packages import Archive, Package, Skipped

LIMITS = Limits()
_TOPS = {"npm": "drop", "pypi": "drop if it holds all", "debian": "drop if it holds all"}


def read(archive: Archive, folder: Path, limits: Limits = LIMITS) -> Iterator[Document | Skipped]:
    """Everything in a fetched archive, sorted by path: documents, and what is none with a reason.

    Total: whatever the archive holds, nothing is raised for it. Line ends are `\\n` in all texts;
    the hash is that of the file's bytes.
    """
    if archive.package.ecosystem in ("jsonl", "exercises"):
        yield from _lines(archive, folder, limits)
        return
    contents = Contents()
    parts = list(_parts(archive, folder, limits))
    if not parts:
        contents.skip(Path(archive.file).name, "archive: broken, lists no tarballs")
    for file, label, reading in parts:
        collect(file, label, reading, contents)
    if archive.file.endswith(".dsc") and DEBIAN_COPYRIGHT not in contents.facts:
        found = copyright_in_diff(folder / archive.file, limits.licence_bytes)
        if found is not None:
            contents.facts[DEBIAN_COPYRIGHT] = found
    licence_of = licensing.licences_of(archive.package.ecosystem, contents.facts)
    skipped = sorted(contents.skipped, key=lambda s: (s.path, s.reason, s.bytes), reverse=True)
    for path in sorted(contents.texts):
        while skipped and skipped[-1].path <= path:
            yield skipped.pop()
        content = contents.shelf.take(contents.texts[path])
        yield _document(archive.package, path, content, licence_of)
    yield from reversed(skipped)


def _parts(archive: Archive, folder: Path, limits: Limits) -> Iterator[tuple[Path, str, Reading]]:
    """The files that make up an archive, each with its name in reports."""
    path = folder / archive.file
    package = archive.package
    asked = Reading(take=package.take, prose=package.prose, others=package.others, limits=limits)
    if path.suffix == ".dsc":
        for part in debian_parts(path):
            yield (
                path.parent / part.file,
                part.file,
                replace(asked, top=part.top, below=part.below),
            )
        return
    top = "keep" if path.suffix == ".whl" else _TOPS.get(package.ecosystem, "keep")
    yield path, path.name, replace(asked, top=top)


def _document(
    package: Package, path: str, content: bytes, licence_of: licensing.LicenceOf
) -> Document | Skipped:
    """The file as a document, or why it is none."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return Skipped(path=path, reason="encoding: not UTF-8", bytes=len(content))
    if "\0" in text:
        return Skipped(path=path, reason="encoding: NUL", bytes=len(content))
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    language = "text" if package.prose else languages.language_of(path, text)
    if package.prose:
        text = prose.laid_out(text)
    elif has_readme(path):
        text, language = licensing.readme(text)
    if not language and package.others:
        language = languages.other_by_name(path)
    if not language:
        return Skipped(path=path, reason="language: none of ours", bytes=len(content))
    if language == "python" and path.lower().endswith(".ipynb"):
        try:
            text = notebooks.script(text)
        except notebooks.NotANotebook as error:
            return Skipped(path=path, reason=f"notebook: {error}", bytes=len(content))
    if not text.strip():
        return Skipped(path=path, reason="empty", bytes=len(content))
    return Document(
        id=f"{package.full_name}/{package.version}/{path}",
        text=text,
        path=path,
        package=package.full_name,
        version=package.version,
        licence=licence_of(path, text),
        language=language,
        group="prose" if package.prose else languages.group_of(language),
        sha256=hashlib.sha256(content).hexdigest(),
    )


def _lines(archive: Archive, folder: Path, limits: Limits) -> Iterator[Document | Skipped]:
    """Documents of a JSONL file: `id` and `text`, other fields of Document as they are given."""
    longest = 2 * limits.file_bytes  # JSON may need two bytes for one
    seen: set[str] = set()
    try:
        file = (folder / archive.file).open("rb")
    except OSError as error:
        yield Skipped(path=Path(archive.file).name, reason=f"archive: broken, {error.strerror}")
        return
    with file:
        for number in itertools.count(1):
            rest = line = file.readline(longest)
            if not line:
                return
            size = len(line)
            while not rest.endswith(b"\n") and (rest := file.readline(longest)):
                size += len(rest)
            found: Document | str = "size: the line is too long"
            if size == len(line):
                found = _line(line, archive.package)
            if isinstance(found, Document) and not taken(found.path, archive.package.take):
                found = "take: not asked for"
            if isinstance(found, Document) and found.id in seen:
                found = "name: twice"
            if isinstance(found, str):
                yield Skipped(path=f"line {number}", reason=found, bytes=size)
            else:
                seen.add(found.id)
                yield found


def _line(line: bytes, package: Package) -> Document | str:
    """The document in one line, or why there is none."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return "line: bad JSON"
    if not isinstance(found, dict):
        return "line: not an object"
    fields = {key: found.get(key, "") for key in ("id", "text", "path", "version", "licence")}
    fields |= {key: found.get(key, "") for key in ("language", "group", "sha256", "package")}
    if not all(isinstance(value, str) for value in fields.values()) or not fields["id"]:
        return "line: id and text must be strings"
    try:
        content = fields["text"].encode()
    except UnicodeEncodeError:
        return "encoding: not Unicode"
    if not fields["text"].strip():
        return "empty"
    language = fields["language"] or languages.language_of(fields["path"], fields["text"])
    fields["group"] = fields["group"] or languages.group_of(language) or "prose"
    fields["language"] = language or "text"
    fields["package"] = fields["package"] or package.full_name
    fields["version"] = fields["version"] or package.version
    fields["sha256"] = fields["sha256"] or hashlib.sha256(content).hexdigest()
    return Document(**fields)
