"""The seam between scheduling (Python) and computing (PyTorch, native C++)."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from quipu.engine.batch import Batch


@dataclass(frozen=True, kw_only=True, eq=False)
class StepResult:
    """Logits of the rows that the batch selected. Valid until the runner's next step.

    A runner that can do it cheaply also tells `best_N`: for each row the first of the largest
    logits among the ids that the engine may choose. With it the runner vouches that it has looked
    at the numbers: -1 stands for a row with one that is not finite. None: it has not looked.
    """

    logits_NV: npt.NDArray[np.float32]
    best_N: npt.NDArray[np.int32] | None = None


class Runner(Protocol):
    """Holds weights and key/value pages, and computes one scheduled step per call."""

    @property
    def num_pages(self) -> int: ...

    @property
    def page_size(self) -> int:
        """Tokens per page."""

    @property
    def batch_invariant(self) -> bool:
        """Whether a row's logits are the same, bit for bit, whatever else the step computes.

        Then drafted tokens can be verified without changing an answer.
        """

    def step(self, batch: Batch) -> StepResult:
        """Store keys and values of the batch's tokens and return the selected logits."""
