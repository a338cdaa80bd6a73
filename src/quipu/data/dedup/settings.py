"""What counts as a near duplicate, and how hard to look."""

from dataclasses import dataclass

from quipu.errors import DataError

VERSION = 1  # raised when equal settings would give another answer


@dataclass(frozen=True, kw_only=True)
class Near:
    """Two texts are near duplicates when their shingles' Jaccard similarity is `jaccard` or more.

    They become candidates when all `rows` minima of one of `bands` bands agree: a pair of
    similarity s does so with probability 1 - (1 - s^rows)^bands, 0.993 at s = 0.7.
    """

    jaccard: float = 0.7
    shingle: int = 5  # tokens
    bands: int = 40
    rows: int = 6
    all_pairs: int = 1024  # a bucket with more documents pairs each with some, not all
    stars: int = 16  # in such a bucket: with the most preferred so many
    neighbours: int = 16  # and with the next so many

    def __post_init__(self) -> None:
        if not 0 < self.jaccard <= 1:
            raise DataError("near-duplicates: jaccard", got=self.jaccard, allowed="above 0, to 1")
        for name in ("shingle", "bands", "rows", "all_pairs", "stars", "neighbours"):
            if getattr(self, name) < 1:
                raise DataError(f"near-duplicates: {name}", got=getattr(self, name), allowed=">= 1")


def similarity_found(near: Near, jaccard: float) -> float:
    """The probability that a pair of this similarity becomes a candidate."""
    return float(1 - (1 - jaccard**near.rows) ** near.bands)
