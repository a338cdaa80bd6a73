"""Where the weights of a run are: fp32 masters that are optimised, and what computes with them.

Alone, one process keeps masters beside a copy in the dtype of arithmetic. Several share weights,
gradients and optimiser state out (FSDP2), which casts them as it gathers them; what the optimiser
sees are fp32 parameters either way. The model itself knows nothing of all this.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.utils.checkpoint import checkpoint as recomputed

from quipu.config import ModelConfig
from quipu.errors import UsageError
from quipu.model.attend import Attend
from quipu.model.fixed import FixedLinear, linear, pays
from quipu.model.plan import tensor_parallel
from quipu.model.rope import frequencies
from quipu.model.transformer import Transformer
from quipu.train.crew import Crew
from quipu.train.lora import LoraLinear
from quipu.train.loss import chunked_loss
from quipu.train.muon import local, local_slices
from quipu.train.ranks import Ranks

PREFIX = "model."  # of parameter names inside an Objective
KEPT = 100_000_000  # values of a model that stays gathered from a step's first micro-batch on

Micro = tuple[Tensor, Tensor, Attend, Tensor]  # tokens, positions, attention, targets


class Objective(nn.Module):
    """The model and its loss as one module, so that shared-out weights are there for both."""

    def __init__(self, model: Transformer, *, compiled: bool, fixed: bool) -> None:
        super().__init__()
        self.model = model
        self._how = {"compiled": compiled, "fixed": fixed}

    def forward(
        self, tokens_T: Tensor, positions_T: Tensor, attend: Attend, targets_T: Tensor
    ) -> Tensor:
        """Summed loss in nats."""
        output = self.model.output
        head = self.model.tok_embeddings.weight if output is None else output.weight
        hidden_TD = self.model.hidden(tokens_T, positions_T, attend)
        return chunked_loss(hidden_TD, head, targets_T, **self._how)


class Weights(Protocol):
    """Trained weights of one process and what computes with them."""

    objective: Objective
    masters: dict[str, nn.Parameter]  # fp32, or this process' share of it; trained ones only

    def fill(self, name: str, whole: Tensor) -> None:
        """Set a weight, trained or frozen, to a whole tensor that all processes give alike."""

    def learn(self, micros: Sequence[Micro], trained: int, crew: Crew) -> Tensor:
        """Gradients of the loss per trained token are set on the masters; the loss, summed."""

    def publish(self) -> None:
        """After the masters changed: what computes follows."""


class Alone:
    """All weights in one process."""

    def __init__(self, objective: Objective, dtype: torch.dtype, device: torch.device) -> None:
        self.objective = objective.to_empty(device=device)
        trained = {n: p for n, p in _named(objective) if p.requires_grad}
        self._copies: dict[str, nn.Parameter] = {}
        if dtype is torch.float32:
            self.masters = trained
            return
        self.objective.to(dtype)
        self._copies = {n: p for n, p in _named(objective) if p.requires_grad}
        self.masters = {
            name: nn.Parameter(torch.empty_like(copy, dtype=torch.float32))
            for name, copy in self._copies.items()
        }

    @torch.no_grad()
    def fill(self, name: str, whole: Tensor) -> None:
        """See `Weights`."""
        for of in (self.masters, dict(_named(self.objective))):
            if name in of:
                of[name].copy_(whole)

    def learn(self, micros: Sequence[Micro], trained: int, crew: Crew) -> Tensor:
        """See `Weights`."""
        (loss, grads), *others = crew.each(partial(self._summed, trained=trained), micros)
        for other_loss, other_grads in others:
            loss += other_loss
            torch._foreach_add_(grads, other_grads)
        for master, grad in zip(self.masters.values(), grads, strict=True):
            master.grad = grad
        return loss

    def _summed(self, micros: Sequence[Micro], trained: int) -> tuple[Tensor, list[Tensor]]:
        """Loss and fp32 gradients of some micro-batches."""
        computing = list((self._copies or self.masters).values())
        total, sums = torch.zeros((), device=computing[0].device), None
        for micro in micros:
            loss = self.objective(*micro) / trained
            grads = torch.autograd.grad(loss, computing)
            total += loss.detach()
            if sums is None:
                sums = [grad.float() for grad in grads]
            else:
                torch._foreach_add_(sums, grads)
        assert sums is not None
        return total, sums

    @torch.no_grad()
    def publish(self) -> None:
        """See `Weights`."""
        if self._copies:
            torch._foreach_copy_(
                list(self._copies.values()), [self.masters[name] for name in self._copies]
            )


class Shared:
    """Weights shared out over processes."""

    def __init__(self, objective: Objective, dtype: torch.dtype, ranks: Ranks) -> None:
        assert ranks.weights is not None
        mesh = ranks.weights["shard"]
        # Rotary angles are fp32 inputs of every block: FSDP would cast them.
        policy = MixedPrecisionPolicy(
            param_dtype=dtype, reduce_dtype=torch.float32, cast_forward_inputs=False
        )
        # Gathering a small model for every micro-batch takes longer than it saves memory.
        self._kept = sum(p.numel() for p in objective.parameters()) <= KEPT
        for block in objective.model.layers:
            fully_shard(block, mesh=mesh, mp_policy=policy, reshard_after_forward=not self._kept)
        root = fully_shard(objective, mesh=mesh, mp_policy=policy)
        for module in (root, *objective.model.layers):
            # Losses are divided by the tokens of all processes, so gradients are sums.
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)
        self._root = root
        self.objective = objective.to_empty(device=ranks.device)
        self.masters = {n: p for n, p in _named(objective) if p.requires_grad}

    @torch.no_grad()
    def fill(self, name: str, whole: Tensor) -> None:
        """See `Weights`."""
        parameter = dict(_named(self.objective))[name]
        local(parameter).copy_(whole[local_slices(parameter)])

    def learn(self, micros: Sequence[Micro], trained: int, crew: Crew) -> Tensor:
        """See `Weights`. Gradients are summed over processes once a step, by one thread."""
        assert crew.members == 1
        total: Tensor | float = 0.0
        for master in self.masters.values():
            master.grad = None
        for place, micro in enumerate(micros):
            last = place + 1 == len(micros)
            self._root.set_requires_gradient_sync(last)
            self._root.set_reshard_after_backward(last or not self._kept)
            loss = self.objective(*micro) / trained
            loss.backward()
            total = total + loss.detach()
        assert isinstance(total, Tensor)
        return total

    def publish(self) -> None:
        """See `Weights`."""


def _named(objective: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    for name, parameter in objective.named_parameters():
        yield name.removeprefix(PREFIX), parameter


def place(
    config: ModelConfig,
    ranks: Ranks,
    dtype: torch.dtype,
    *,
    compiled: bool,
    recompute: bool,
    fixed: bool = False,
    adapt: Callable[[Transformer], None] | None = None,
) -> Weights:
    """An unfilled model in its place. `adapt` may change it first (LoRA).

    `recompute` keeps the inputs of blocks only and computes the rest again in the backward pass.
    `fixed`: products are in fixed point where that pays.
    """
    fixed = fixed and pays(ranks.device)
    if fixed and ranks.shape.tensor > 1:
        raise UsageError(
            "products in fixed point of matrices that are split",
            got=f"tensor={ranks.shape.tensor}",
            allowed="tensor=1",
            remedy="give products=plain, or share out rows instead: --mesh data=N",
        )
    if adapt is not None and ranks.shape.tensor > 1:
        raise UsageError(
            "adapters on matrices that are split",
            got=f"tensor={ranks.shape.tensor}",
            allowed="tensor=1",
            remedy="share out rows instead: --mesh data=N",
        )
    with torch.device("meta"):
        model = Transformer(config)
        if adapt is not None:
            adapt(model)
        if fixed:
            fix(model)
    model.rope_frequency, model.rope_factor = frequencies(config)
    model.rope_frequency = model.rope_frequency.to(ranks.device)
    if ranks.shape.tensor > 1:
        assert ranks.weights is not None
        tensor_parallel(model, ranks.weights["tensor"], head=False)
    for block in model.layers:
        if recompute:
            block.forward = partial(recomputed, block.forward, use_reentrant=False)
        if compiled:
            block.compile()
    objective = Objective(model, compiled=compiled, fixed=fixed)
    return Alone(objective, dtype, ranks.device) if ranks.alone else Shared(objective, dtype, ranks)


def fix(model: Transformer) -> None:
    """Let the matrices of all blocks multiply in fixed point. What they are called stays."""
    for module in model.layers.modules():
        if isinstance(module, LoraLinear):
            module.linear = linear
        elif isinstance(module, nn.Linear):
            module.__class__ = FixedLinear
