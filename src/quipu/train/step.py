"""One optimiser step, whatever the mesh: loss over the global token count, clip, skip, update."""

import math
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from quipu.data.loading.row import NO_TARGET, Row
from quipu.errors import TrainingError
from quipu.model.attend import Attend
from quipu.model.fastest import packed_attention
from quipu.train.context import SharedContext, local_places
from quipu.train.crew import CACHED_TOKENS, Crew, members, rows_at_once
from quipu.train.heap import keep_freed
from quipu.train.muon import Muon, local
from quipu.train.placing import Weights
from quipu.train.ranks import Ranks
from quipu.train.recipe import TrainRecipe

OUTLIER_WINDOW = 128  # steps that the next one is compared with
OUTLIER_LEAST = 32  # fewer tell nothing


@dataclass(frozen=True, kw_only=True)
class StepMetrics:
    """What one step reports."""

    loss: float  # nats per trained token, mean over all of the step
    gradient_norm: float  # of the whole gradient, before clipping
    learning_rate_factor: float
    trained_tokens: int  # with a target
    skipped: bool  # an outlier: weights are as before


class Outliers:
    """Whether a loss or gradient norm is far above those of the last steps (OLMo's SkipStep)."""

    def __init__(self, sigmas: float, seen: list[list[float]] | None = None) -> None:
        self.sigmas = sigmas
        self._seen = deque((tuple(pair) for pair in seen or ()), maxlen=OUTLIER_WINDOW)

    @property
    def seen(self) -> list[list[float]]:
        """Losses and norms of the last steps: the state that a checkpoint keeps."""
        return [list(pair) for pair in self._seen]

    def beyond(self, *values: float) -> bool:
        """Judge the values of a step, then remember them."""
        far = False
        if self.sigmas and len(self._seen) >= OUTLIER_LEAST:
            for place, value in enumerate(values):
                known = [pair[place] for pair in self._seen]
                mean = sum(known) / len(known)
                spread = math.sqrt(sum((x - mean) ** 2 for x in known) / (len(known) - 1))
                far = far or value > mean + self.sigmas * spread
        self._seen.append(values)
        return far


class Learner:
    """Weights of a run and their optimisers."""

    def __init__(
        self,
        weights: Weights,
        recipe: TrainRecipe,
        ranks: Ranks,
        *,
        micro_tokens: int,
        outliers: Outliers | None = None,
    ) -> None:
        """`micro_tokens` per forward and backward bound memory, and change nothing else."""
        self.weights, self.recipe, self.ranks = weights, recipe, ranks
        self.outliers = outliers or Outliers(recipe.optimisation.outlier_sigmas)
        self._device = ranks.device
        if self._device.type == "cpu":
            keep_freed()
        self._crew, self._rows_at_once = self._shared_out(micro_tokens)
        how = recipe.optimisation
        groups: dict[bool, list[torch.nn.Parameter]] = {True: [], False: []}
        for name, parameter in weights.masters.items():
            groups[name.startswith("layers.") and parameter.dim() == 2].append(parameter)
        self.optimisers: list[tuple[torch.optim.Optimizer, float]] = []
        if groups[True]:
            self.optimisers.append((self._for_matrices(groups[True]), how.matrix_lr))
        if groups[False]:
            self.optimisers.append((self._adamw(groups[False], decay=0.0), how.other_lr))
        weights.publish()

    def _shared_out(self, micro_tokens: int) -> tuple[Crew, int]:
        """Who computes micro-batches, and rows of each; all together within `micro_tokens`."""
        row, rows = self.recipe.data.row_tokens, self.recipe.batch_rows // self.ranks.shape.data
        most = max(1, micro_tokens // row)
        if self._device.type != "cpu":
            return Crew(1), most
        values = sum(master.numel() for master in self.weights.masters.values())
        count = min(torch.get_num_threads(), members(values, most)) if self.ranks.alone else 1
        cached = max(1, CACHED_TOKENS // row)
        return Crew(count), rows_at_once(rows, min(most // count, cached), count)

    def _for_matrices(self, parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
        how = self.recipe.optimisation
        # Adapters are so flat that making their directions equal would only add noise.
        if how.matrices == "adamw" or self.recipe.lora is not None:
            return self._adamw(parameters, decay=how.weight_decay)
        return Muon(
            parameters,
            lr=how.matrix_lr,
            momentum=how.momentum,
            weight_decay=how.weight_decay,
            dtype=getattr(torch, self.recipe.dtype),
        )

    def _adamw(
        self, parameters: list[torch.nn.Parameter], *, decay: float
    ) -> torch.optim.Optimizer:
        how = self.recipe.optimisation
        betas = (how.beta1, how.beta2)
        return torch.optim.AdamW(
            parameters, lr=0.0, betas=betas, eps=how.eps, weight_decay=decay, fused=True
        )

    def step(self, batch: Row, number: int) -> StepMetrics:
        """Train on this process' rows of step `number`, from 0.

        The loss of each token weighs 1 / (trained tokens of all processes). Raises TrainingError,
        with weights as they were, if loss or gradient is no number.
        """
        micros = list(self._micros(batch))
        counts = torch.stack([(targets != NO_TARGET).sum() for *_, targets in micros])
        trained = int(self.ranks.total(counts.sum()))
        total = self.weights.learn(micros, max(trained, 1), self._crew)
        norm = self._gradient_norm()
        loss_value = float(self.ranks.total(total))
        return self._update(number, loss_value, norm, trained)

    def _update(self, number: int, loss: float, norm: float, trained: int) -> StepMetrics:
        if not math.isfinite(loss) or not math.isfinite(norm):
            raise TrainingError(
                f"step {number}",
                got=f"loss {loss}, gradient norm {norm}",
                remedy="the last checkpoint is intact: lower optimisation.matrix_lr and other_lr",
            )
        factor = self.recipe.learning_rate.factor(number, self.recipe.steps)
        skipped = self.outliers.beyond(loss, norm)
        if not skipped:
            self._clip(norm)
            for optimiser, peak in self.optimisers:
                for group in optimiser.param_groups:
                    group["lr"] = peak * factor
                optimiser.step()
            self.weights.publish()
        return StepMetrics(
            loss=loss,
            gradient_norm=norm,
            learning_rate_factor=factor,
            trained_tokens=trained,
            skipped=skipped,
        )

    def _gradient_norm(self) -> float:
        """Of the whole gradient: each part counts once, however many processes hold it."""
        squares = torch.zeros((), device=self._device)
        for master in self.weights.masters.values():
            assert master.grad is not None
            holders = self.ranks.shape.world / _parts(master)
            squares += local(master.grad).float().square().sum() / holders
        return float(self.ranks.everywhere(squares).sqrt())

    def _clip(self, norm: float) -> None:
        factor = min(1.0, self.recipe.optimisation.clip / (norm + 1e-6))
        if factor < 1.0:
            grads = [local(m.grad) for m in self.weights.masters.values() if m.grad is not None]
            torch._foreach_mul_(grads, factor)

    def _micros(self, batch: Row) -> Iterator[tuple[Tensor, Tensor, Attend, Tensor]]:
        """Tokens, positions, attention and targets of a few rows at a time."""
        row = self.recipe.data.row_tokens
        size = self._rows_at_once * row
        for start in range(0, batch.tokens_T.size, size):
            part = slice(start, start + size)

            def tensor(values: npt.NDArray[Any], part: slice = part) -> Tensor:
                return torch.from_numpy(values[part]).to(self._device, non_blocking=True)

            document_T = tensor(batch.document_T)
            columns = tuple(map(tensor, (batch.tokens_T, batch.positions_T, batch.targets_T)))
            group = self.ranks.context_group
            if group is None:
                tokens, positions, targets = columns
                dtype = getattr(torch, self.recipe.dtype)
                yield tokens, positions, packed_attention(document_T, row, dtype), targets
                continue
            rank, world = self.ranks.context_rank, self.ranks.shape.context
            places = local_places(row, rank, world).to(self._device)
            tokens, positions, targets = (
                column.view(-1, row)[:, places].flatten() for column in columns
            )
            yield tokens, positions, SharedContext(document_T, row, group, rank), targets

    @torch.no_grad()
    def loss(self, batch: Row) -> tuple[float, int]:
        """Summed loss in nats over all processes' rows, and tokens it is over; trains nothing."""
        found = torch.zeros(2, device=self._device, dtype=torch.float64)
        for tokens, positions, attend, targets in self._micros(batch):
            found[0] += self.weights.objective(tokens, positions, attend, targets)
            found[1] += (targets != NO_TARGET).sum()
        nats, count = self.ranks.total(found).tolist()
        return nats, int(count)

    def state(self) -> dict[str, Tensor]:
        """Everything a checkpoint keeps of this run's tensors, by name; whole or shared out."""
        found: dict[str, Tensor] = {
            f"model.{name}": master.detach() for name, master in self.weights.masters.items()
        }
        names = {id(master): name for name, master in self.weights.masters.items()}
        for optimiser, _ in self.optimisers:
            for group in optimiser.param_groups:
                for parameter in group["params"]:
                    for key, value in optimiser.state[parameter].items():
                        found[f"optimiser.{names[id(parameter)]}.{key}"] = value
        return found

    @torch.no_grad()
    def make_state(self) -> None:
        """Make the optimisers' state as it is before the first step, so that it can be loaded."""
        for optimiser, _ in self.optimisers:
            for group in optimiser.param_groups:
                for parameter in group["params"]:
                    if not optimiser.state[parameter]:
                        optimiser.state[parameter].update(_fresh(optimiser, parameter))


def _fresh(optimiser: torch.optim.Optimizer, parameter: Tensor) -> Mapping[str, Tensor]:
    if isinstance(optimiser, Muon):
        return {"momentum": torch.zeros_like(parameter)}
    return {
        "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
        "exp_avg": torch.zeros_like(parameter),
        "exp_avg_sq": torch.zeros_like(parameter),
    }


def _parts(parameter: Tensor) -> float:
    """Into how many different parts a tensor is shared out."""
    if not isinstance(parameter, DTensor):
        return 1.0
    mesh = parameter.device_mesh
    places = enumerate(parameter.placements)
    return float(math.prod(mesh.size(axis) for axis, p in places if not p.is_replicate()))
