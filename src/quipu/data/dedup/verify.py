"""The true Jaccard similarity of candidate pairs."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from quipu.data.dedup.bands import Pairs, unpacked
from quipu.data.hashing import Hashes


def jaccard(left: Hashes, right: Hashes) -> float:
    """Jaccard similarity of two sorted unique arrays that are not both empty."""
    both = np.concatenate((left, right))
    both.sort()
    shared = int(np.count_nonzero(both[1:] == both[:-1]))
    return shared / (len(both) - shared)


def similarities(pairs: Pairs, shingles: Sequence[Hashes], least: float) -> npt.NDArray[np.float64]:
    """The similarity of each pair of indices into `shingles`; 0 where it is below `least`."""
    result = np.zeros(len(pairs))
    sizes = np.fromiter((len(one) for one in shingles), dtype=np.int64, count=len(shingles))
    low, high = unpacked(pairs)
    smaller, larger = np.sort((sizes[low], sizes[high]), axis=0)
    for index in np.flatnonzero(smaller >= least * larger):  # J <= smaller / larger
        result[index] = jaccard(shingles[low[index]], shingles[high[index]])
    return result
