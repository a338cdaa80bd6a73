"""What a corpus judges for itself: licences read off the files, tests that are worth keeping."""

from dataclasses import dataclass, replace

from quipu.data.documents import Document, Step


@dataclass(frozen=True, kw_only=True)
class Reviewed:
    """Map: the licence of a package whose declaration does not say it, read off its own files.

    It holds below the folders `paths` alone, if there are any; `because` says where it is written.
    """

    package: str
    licence: str
    because: str
    paths: tuple[str, ...] = ()

    def __call__(self, document: Document) -> Document:
        below = not self.paths or document.path.startswith(tuple(f"{p}/" for p in self.paths))
        if document.package != self.package or not below:
            return document
        return replace(document, licence=self.licence)


@dataclass(frozen=True, kw_only=True)
class Unless:
    """Step: another one, but not for documents in this language."""

    language: str
    step: Step

    def __call__(self, document: Document) -> str | None:
        return None if document.language == self.language else self.step(document)
