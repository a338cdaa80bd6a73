"""One optimiser step: bf16 arithmetic, fp32 master weights, loss over the global token count."""

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quipu.data.packing import NO_TARGET, Row
from quipu.model.attend import PackedCausal
from quipu.model.transformer import Transformer
from quipu.train.recipe import TrainRecipe

MICRO_TOKENS = 8_192  # per forward and backward; bounds memory, changes nothing else
LOSS_TOKENS = 2_048  # logits of so many tokens exist at a time
FLOOR = 0.02  # of the peak learning rate


def learning_rate_factor(step: int, recipe: TrainRecipe) -> float:
    """Warm-up, hold, linear decay: a function of the step alone, so resuming cannot restart it."""
    warmup = max(1, round(recipe.steps * recipe.warmup))
    decay = max(1, round(recipe.steps * recipe.decay))
    rise = (step + 1) / warmup
    fall = FLOOR + (1 - FLOOR) * (recipe.steps - step) / decay
    return min(1.0, rise, fall)


def _summed_loss(hidden_ND: Tensor, head_VD: Tensor, targets_N: Tensor) -> Tensor:
    logits_NV = F.linear(hidden_ND, head_VD).float()
    return F.cross_entropy(logits_NV, targets_N, ignore_index=NO_TARGET, reduction="sum")


@dataclass(frozen=True)
class StepMetrics:
    """What one step reports: mean loss in nats per trained token, norm of the whole gradient."""

    loss: float
    gradient_norm: float


class Learner:
    """Master weights, their bf16 copy for arithmetic, and the two optimisers."""

    def __init__(self, master: Transformer, recipe: TrainRecipe, *, compiled: bool) -> None:
        self.recipe = recipe
        self.master = master
        self.compute = Transformer(master.config).to(torch.bfloat16)
        self._pairs = list(zip(master.parameters(), self.compute.parameters(), strict=True))
        self._loss = torch.compile(_summed_loss) if compiled else _summed_loss
        if compiled:
            for block in self.compute.layers:
                block.compile()
        matrices = [
            p for n, p in master.named_parameters() if n.startswith("layers.") and p.dim() == 2
        ]
        inside = {id(p) for p in matrices}
        others = [p for p in master.parameters() if id(p) not in inside]
        self.optimisers: list[torch.optim.Optimizer] = [
            torch.optim.Muon(
                matrices,
                lr=recipe.matrix_lr,
                weight_decay=recipe.weight_decay,
                adjust_lr_fn="match_rms_adamw",
            ),
            torch.optim.AdamW(others, lr=recipe.other_lr, betas=(0.9, 0.95), weight_decay=0.0),
        ]
        self.publish()

    def publish(self) -> None:
        """Copy the master weights into the bf16 model."""
        with torch.no_grad():
            for wide, narrow in self._pairs:
                narrow.copy_(wide)

    def step(self, batch: Row, number: int) -> StepMetrics:
        """Train on one batch. The loss of each token weighs 1 / (trained tokens of the batch)."""
        trained = int((batch.targets_T != NO_TARGET).sum())
        total = 0.0
        for wide, _ in self._pairs:
            wide.grad = torch.zeros_like(wide)
        for start in range(0, batch.tokens_T.size, MICRO_TOKENS):
            total += self._backward(batch, slice(start, start + MICRO_TOKENS), trained)
        norm = nn.utils.clip_grad_norm_(self.master.parameters(), self.recipe.clip)
        factor = learning_rate_factor(number, self.recipe)
        for optimiser, peak in zip(
            self.optimisers, (self.recipe.matrix_lr, self.recipe.other_lr), strict=True
        ):
            optimiser.param_groups[0]["lr"] = peak * factor
            optimiser.step()
        self.publish()
        return StepMetrics(loss=total, gradient_norm=float(norm))

    def _backward(self, batch: Row, part: slice, trained: int) -> float:
        """Add the gradient of one micro-batch to the master weights; its share of the mean loss."""
        hidden_TD = self._hidden(batch, part)
        targets_T = torch.from_numpy(batch.targets_T[part])
        # The head runs chunk by chunk on a detached copy: logits of all tokens never exist at once.
        cut_TD = hidden_TD.detach().requires_grad_(True)
        total = 0.0
        for start in range(0, targets_T.numel(), LOSS_TOKENS):
            chunk = slice(start, start + LOSS_TOKENS)
            loss = self._loss(cut_TD[chunk], self._head(), targets_T[chunk]) / trained
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.item()
        hidden_TD.backward(cut_TD.grad)  # type: ignore[no-untyped-call]
        for wide, narrow in self._pairs:
            assert wide.grad is not None
            assert narrow.grad is not None
            wide.grad += narrow.grad.float()
            narrow.grad = None
        return total

    def _hidden(self, batch: Row, part: slice) -> Tensor:
        def tensor(values: npt.NDArray[Any]) -> Tensor:
            return torch.from_numpy(values[part])

        attend = PackedCausal(tensor(batch.document_T), self.recipe.model.context)
        return self.compute.hidden(tensor(batch.tokens_T), tensor(batch.positions_T), attend)

    def _head(self) -> Tensor:
        output = self.compute.output
        return self.compute.tok_embeddings.weight if output is None else output.weight

    @torch.no_grad()
    def loss(self, batch: Row) -> tuple[float, int]:
        """Summed loss in nats and number of tokens it is over; trains nothing."""
        total = 0.0
        for start in range(0, batch.tokens_T.size, MICRO_TOKENS):
            part = slice(start, start + MICRO_TOKENS)
            targets_T = torch.from_numpy(batch.targets_T[part])
            hidden_TD = self._hidden(batch, part)
            for at in range(0, targets_T.numel(), LOSS_TOKENS):
                chunk = slice(at, at + LOSS_TOKENS)
                total += self._loss(hidden_TD[chunk], self._head(), targets_T[chunk]).item()
        return total, int((batch.targets_T != NO_TARGET).sum())
