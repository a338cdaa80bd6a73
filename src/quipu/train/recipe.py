"""A training run as one frozen value. Recipes are functions that return it (`quipu_recipes`)."""

import math
from dataclasses import dataclass, replace
from typing import Literal

from quipu.config import ModelConfig
from quipu.data.loading.mixture import DialogueRecipe, LoaderRecipe
from quipu.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Optimisation:
    """How weights follow their gradients.

    `matrices` optimises the weights of all matrix products inside the layers; embedding, head and
    norms always follow AdamW. Muon's update is scaled to the size of AdamW's, so that rates of both
    mean about the same.
    """

    matrices: Literal["muon", "adamw"] = "muon"
    matrix_lr: float = 5e-3
    other_lr: float = 3e-3
    beta1: float = 0.9  # AdamW
    beta2: float = 0.95
    eps: float = 1e-8
    momentum: float = 0.95  # Muon
    weight_decay: float = 0.1  # matrices inside the layers only
    clip: float = 1.0  # norm of the whole gradient
    outlier_sigmas: float = 6.0  # a step further out than this changes nothing; 0: never skip


@dataclass(frozen=True, kw_only=True)
class LearningRate:
    """Factor on both rates, a function of the step alone: resuming cannot restart it.

    `wsd` warms up, holds, and falls linearly over the last `decay` of all steps; `cosine` falls
    along half a cosine from the warm-up's end on. Both end at `floor` of the peak.
    """

    kind: Literal["wsd", "cosine"] = "wsd"
    warmup_steps: int = 50
    decay: float = 0.6  # share of steps; wsd only
    floor: float = 0.02

    def factor(self, step: int, steps: int) -> float:
        """For step number `step`, from 0, of `steps`."""
        rise = (step + 1) / max(1, self.warmup_steps)
        if self.kind == "cosine":
            done = (step - self.warmup_steps) / max(1, steps - self.warmup_steps)
            fall = self.floor + (1 - self.floor) * (1 + math.cos(math.pi * max(0.0, done))) / 2
        else:
            left = (steps - step) / max(1, round(steps * self.decay))
            fall = self.floor + (1 - self.floor) * left
        return min(1.0, rise, fall)


@dataclass(frozen=True, kw_only=True)
class Lora:
    """Low-rank adapters beside frozen matrices (arXiv 2106.09685): W + alpha / rank * B A."""

    rank: int = 16
    alpha: float = 32.0


@dataclass(frozen=True, kw_only=True)
class TrainRecipe:
    """One stage of training: everything it depends on. What only concerns a machine is not in it.

    `start` names the weights to begin with: a run folder, any checkpoint that can be opened, or
    nothing for fresh ones. In a chain every stage but the first begins where the last one ended.
    """

    name: str
    model: ModelConfig
    data: LoaderRecipe | DialogueRecipe
    tokens: int  # in all, padding included
    batch_tokens: int  # per optimiser step
    start: str = ""
    optimisation: Optimisation = Optimisation()
    learning_rate: LearningRate = LearningRate()
    lora: Lora | None = None  # None: all weights are trained
    dtype: Literal["bfloat16", "float32"] = "bfloat16"  # of arithmetic; master weights are fp32
    products: Literal["plain", "fixed"] = "plain"  # fixed: on processors, see model/fixed.py
    milestones: int = 8  # checkpoints that are kept for good, evenly spread, the last one included
    seed: int = 1  # of fresh weights; the data have their own

    def __post_init__(self) -> None:
        row = self.data.row_tokens
        if self.batch_tokens % row or self.batch_tokens < row:
            raise UsageError(
                "batch_tokens",
                got=self.batch_tokens,
                allowed=f"a multiple of the row length, {row}",
            )
        if self.tokens < self.batch_tokens:
            raise UsageError("tokens", got=self.tokens, allowed=f"{self.batch_tokens} or more")
        if row > self.model.context:
            raise UsageError(
                "rows are longer than the model's context",
                got=row,
                allowed=f"up to {self.model.context}",
                remedy="set model.context to what the stage trains for",
            )
        for field, allowed in (
            ("dtype", ("bfloat16", "float32")),
            ("products", ("plain", "fixed")),
            ("optimisation.matrices", ("muon", "adamw")),
            ("learning_rate.kind", ("wsd", "cosine")),
        ):
            found: object = self
            for name in field.split("."):
                found = getattr(found, name)
            if found not in allowed:
                raise UsageError(field, got=found, allowed=" or ".join(allowed))
        if self.products == "fixed" and self.dtype != "float32":
            raise UsageError(
                "products in fixed point",
                got=f"dtype={self.dtype}",
                allowed="dtype=float32",
                remedy="give products=plain, or dtype=float32",
            )

    @property
    def steps(self) -> int:
        """Optimiser steps of the whole run."""
        return self.tokens // self.batch_tokens

    @property
    def batch_rows(self) -> int:
        """Rows of one optimiser step, over all processes."""
        return self.batch_tokens // self.data.row_tokens

    @property
    def milestone_steps(self) -> frozenset[int]:
        """Numbers of done steps after which a checkpoint is kept for good."""
        count = min(self.milestones, self.steps)
        return frozenset(round(self.steps * (i + 1) / count) for i in range(count))


@dataclass(frozen=True, kw_only=True)
class Chain:
    """Stages that follow each other, each beginning with the weights of the one before."""

    name: str
    stages: tuple[TrainRecipe, ...]

    def __post_init__(self) -> None:
        names = [stage.name for stage in self.stages]
        if len(set(names)) < len(names) or not names:
            raise UsageError("stages of a chain", got=names, allowed="some, with different names")

    def from_folder(self, number: int, previous: str) -> TrainRecipe:
        """Stage `number`, beginning with the run of the stage before, which lies in `previous`."""
        stage = self.stages[number]
        return replace(stage, start=previous) if number else stage
