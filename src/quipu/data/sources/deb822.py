"""Debian's paragraphs of fields: .dsc, debian/copyright, .sources."""

from collections.abc import Iterator


def paragraphs(text: str) -> Iterator[dict[str, str]]:
    """Paragraphs as fields by lower-case name; continuation lines keep their line breaks.

    Signatures, comments and lines that are no field are passed over.
    """
    fields: dict[str, str] = {}
    name = ""
    for line in _unsigned(text):
        if not line.strip():
            if fields:
                yield fields
            fields, name = {}, ""
        elif line[0] in " \t":
            if name:
                fields[name] += "\n" + line[1:].rstrip()
        elif line[0] != "#":
            key, colon, value = line.partition(":")
            name = key.strip().lower() if colon else ""
            if name:
                fields[name] = value.strip()
    if fields:
        yield fields


def _unsigned(text: str) -> Iterator[str]:
    """Lines of the text inside its OpenPGP signature, if it has one."""
    lines = text.splitlines()
    if lines and lines[0].startswith("-----BEGIN PGP SIGNED MESSAGE"):
        start = lines.index("") + 1 if "" in lines else 1
        lines = lines[start:]
        end = next((i for i, x in enumerate(lines) if x.startswith("-----BEGIN PGP SIG")), None)
        lines = [line.removeprefix("- ") for line in lines[:end]]
    yield from lines
