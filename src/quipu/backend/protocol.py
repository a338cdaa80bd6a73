"""The seam between everything above the engine and whatever runs the model."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from quipu.config import Abilities
from quipu.request import Piece, Request
from quipu.text.tokenizer import Tokenizer


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """What a loaded model is and can do."""

    name: str
    context: int  # tokens, prompt and answer together
    abilities: Abilities
    heals: bool = True  # whether the backend honours Request.forced


class Stream(Protocol):
    """Answers on their way. Iterate, once, for pieces; they end when every answer has finished.

    Iterating raises BackendError if the backend fails meanwhile.
    """

    def __iter__(self) -> Iterator[Piece]: ...

    def cancel(self) -> None:
        """Stop generating; unfinished answers end with finish_reason `cancelled`. Idempotent."""


class Backend(Protocol):
    """Runs requests. Thread-safe: any thread may submit, several at once."""

    @property
    def tokenizer(self) -> Tokenizer: ...

    @property
    def info(self) -> ModelInfo: ...

    def submit(self, request: Request) -> Stream:
        """Start a request and return at once.

        Raises PromptTooLong if prompt and one token do not fit the context (max_tokens is cut to
        what fits), UsageError for an id outside the vocabulary or an empty prompt, and BackendError
        if the backend is closed or has failed.
        """

    def score(self, token_ids: Sequence[int]) -> npt.NDArray[np.float32]:
        """Teacher-forced log-probabilities [T - 1]: entry t is that of token t + 1 given 0..t."""

    def logits(self, token_ids: Sequence[int]) -> npt.NDArray[np.float32]:
        """Teacher-forced logits [T, V]: row t predicts token t + 1.

        Raises BackendError where only text or log-probabilities can be had.
        """

    def close(self) -> None:
        """Stop all work and free the model; open streams end as `cancelled`. Idempotent."""
