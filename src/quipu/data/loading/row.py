"""A packed row of tokens."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

NO_TARGET = -1
Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One packed row: inputs, what each must predict, position and document number, each [T]."""

    tokens_T: Ids
    targets_T: Ids  # NO_TARGET where nothing is trained
    positions_T: Ids
    document_T: Ids
