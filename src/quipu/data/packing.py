"""A packed row of tokens, and random numbers that are keyed."""

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

NO_TARGET = -1
Ids = npt.NDArray[np.int64]


def generator(*key: object) -> np.random.Generator:
    """Random numbers that depend on the key alone."""
    digest = hashlib.sha256(repr(key).encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "big")))


@dataclass(frozen=True, kw_only=True)
class Row:
    """One packed row: inputs, what each must predict, position and document number, each [T]."""

    tokens_T: Ids
    targets_T: Ids  # NO_TARGET where nothing is trained
    positions_T: Ids
    document_T: Ids
