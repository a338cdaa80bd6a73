"""What a step may ask of any document, however little its source knew."""

from quipu.data.documents import Document
from quipu.data.languages import by_name

PROSE = frozenset({"markdown", "rst", "text"})  # languages that are not program code


def path_of(document: Document) -> str:
    """The path inside the package, or the id, which ends with it."""
    return document.path or document.id


def language_of(document: Document) -> str:
    """The language that the source gave, else what the path tells."""
    return document.language or by_name(path_of(document))


def is_python(document: Document) -> bool:
    """Whether the text should be Python."""
    return language_of(document) == "python"


def is_prose(document: Document) -> bool:
    """Whether the text is written for people alone."""
    return language_of(document) in PROSE
