"""Low-rank adapters (arXiv 2106.09685) around the matrices of every block, from outside the model.

A matrix W is frozen and W x becomes W x + alpha / rank * B (A x). B begins as zeros, so training
begins with the model as it was. `merged` adds B A to W again: what comes out is a plain model.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quipu.model.plan import BLOCK_PLAN
from quipu.model.transformer import Transformer, drawn
from quipu.train.recipe import Lora

A, B = "lora_a", "lora_b"


class LoraLinear(nn.Module):
    """A frozen matrix with its adapter; its name in the model stays `weight`."""

    def __init__(self, inside: nn.Linear, how: Lora) -> None:
        super().__init__()
        rows, columns = inside.weight.shape
        self.weight = inside.weight.requires_grad_(False)
        self.lora_a = nn.Parameter(torch.empty(how.rank, columns))
        self.lora_b = nn.Parameter(torch.empty(rows, how.rank))
        self.linear: Callable[[Tensor, Tensor], Tensor] = F.linear  # of the frozen matrix
        self._scale = how.alpha / how.rank

    def forward(self, x_TD: Tensor) -> Tensor:
        low = F.linear(F.linear(x_TD, self.lora_a), self.lora_b)
        return self.linear(x_TD, self.weight) + self._scale * low


def adapt(model: Transformer, how: Lora) -> None:
    """Freeze a model, and put adapters around the matrices of its blocks."""
    model.requires_grad_(False)
    for block in model.layers:
        assert isinstance(block, nn.Module)
        for name in BLOCK_PLAN:
            parent, _, last = name.rpartition(".")
            holder = block.get_submodule(parent)
            inside = holder.get_submodule(last)
            assert isinstance(inside, nn.Linear)
            setattr(holder, last, LoraLinear(inside, how))


def initial_adapter(name: str, shape: tuple[int, ...], seed: int) -> Tensor:
    """What an adapter begins with: A normal with variance 1 / columns, B zero."""
    if name.endswith(B):
        return torch.zeros(shape)
    return drawn(shape, shape[1] ** -0.5, f"{seed} {name}")


def merged(
    base: Iterable[tuple[str, Tensor]], trained: Mapping[str, Tensor], how: Lora
) -> Iterator[tuple[str, Tensor]]:
    """Weights of a base with trained adapters added to them, fp32."""
    for name, weight in base:
        stem = name.removesuffix("weight")
        if f"{stem}{A}" in trained:
            weight = weight + how.alpha / how.rank * trained[f"{stem}{B}"] @ trained[f"{stem}{A}"]
        yield name, weight
