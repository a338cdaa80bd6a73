"""The seam between scheduling (Python) and computing (PyTorch, native C++)."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from quipu.engine.batch import Batch


@dataclass(frozen=True, kw_only=True, eq=False)
class StepResult:
    """Logits of the rows that the batch selected. Valid until the runner's next step."""

    logits_NV: npt.NDArray[np.float32]


class Runner(Protocol):
    """Holds weights and key/value pages, and computes one scheduled step per call."""

    @property
    def num_pages(self) -> int: ...

    @property
    def page_size(self) -> int:
        """Tokens per page."""

    def step(self, batch: Batch) -> StepResult:
        """Store keys and values of the batch's tokens and return the selected logits."""
