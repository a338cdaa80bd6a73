"""A limit on what one package may contribute, so that none dominates."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Sized:
    """What a cap needs to know of a document."""

    id: str
    package: str
    quality: float
    bytes: int


def over_cap(documents: Iterable[Sized], bytes_per_package: int) -> set[str]:
    """Ids of the documents that their package has no room for.

    A package is filled best quality first, then by id. A document that does not fit is left out
    and smaller ones may still follow, so every package stays within its bytes. The order in which
    documents come does not matter.
    """
    used: dict[str, int] = {}
    over = set()
    for document in sorted(documents, key=lambda d: (d.package, -d.quality, d.id)):
        total = used.get(document.package, 0) + document.bytes
        if total > bytes_per_package:
            over.add(document.id)
        else:
            used[document.package] = total
    return over
