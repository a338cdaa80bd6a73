"""A text as a set of shingles: hashes of runs of code tokens.

Identifiers, numbers and marks are tokens as they stand; only layout is lost. A text with fewer
tokens than a shingle has a single one, all its tokens: such texts are alike only when they are
equal but for layout, and no text is without shingles.
"""

import numpy as np

from quipu.data.hashing import Hashes, mixed, ngrams, tokens


def shingles_of(text: str, size: int = 5) -> Hashes:
    """The shingles of a text, sorted and unique; never empty."""
    hashes = tokens(text).hashes
    found = ngrams(hashes, size) if len(hashes) >= size else _single(hashes)
    return unique(found)


def unique(hashes: Hashes) -> Hashes:
    """The unique numbers, sorted; sorts in place.

    Not `np.unique`: since numpy 2.3 it hashes, and takes twenty times as long on regular numbers.
    """
    hashes.sort()
    first = np.ones(len(hashes), dtype=bool)
    np.not_equal(hashes[1:], hashes[:-1], out=first[1:])
    return hashes[first]


def _single(hashes: Hashes) -> Hashes:
    """One hash of all tokens and of how many they are."""
    folded = np.full(1, len(hashes), dtype=np.uint64)
    for index in range(len(hashes)):
        folded = mixed(folded ^ hashes[index : index + 1])
    return mixed(folded)
