"""A training run as one frozen value. Recipes are functions that return it (`quipu_recipes`)."""

from dataclasses import dataclass

from quipu.config import ModelConfig
from quipu.data.documents import Folder
from quipu.data.packing import Infilling
from quipu.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class TrainRecipe:
    """Everything that a run depends on; what only concerns a machine is not in it."""

    name: str
    model: ModelConfig
    sources: tuple[Folder, ...]
    tokens: int  # in all, padding included
    batch_tokens: int = 16_384  # per optimiser step
    held_out: float = 0.02  # share of documents kept for validation
    part_characters: int = 2_600  # longest part of a document, before packing
    infilling: Infilling = Infilling()
    matrix_lr: float = 5e-3  # Muon, update scaled to the size of AdamW's
    other_lr: float = 3e-3  # AdamW: embedding, head, norms
    weight_decay: float = 0.1  # matrices only
    clip: float = 1.0  # norm of the whole gradient
    warmup: float = 0.03  # share of steps
    decay: float = 0.6  # share of steps, linear, to a floor of 2 % (warm-up, hold, decay)
    seed: int = 1

    def __post_init__(self) -> None:
        if self.batch_tokens % self.model.context:
            raise UsageError(
                "batch_tokens",
                got=self.batch_tokens,
                allowed=f"a multiple of the row length, {self.model.context}",
            )
        if self.tokens < self.batch_tokens:
            raise UsageError("tokens", got=self.tokens, allowed=f"{self.batch_tokens} or more")

    @property
    def steps(self) -> int:
        """Optimiser steps of the whole run."""
        return self.tokens // self.batch_tokens
