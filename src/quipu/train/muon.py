"""Muon: momentum whose directions all weigh the same (Jordan 2024), on whole or sharded matrices.

The update is the momentum with its singular values made equal by Newton-Schulz iterations, which
need whole matrices. Where each process holds rows of every matrix, matrices of one shape are dealt
out: each process gathers its share of them, computes once, and gives the rows back. Scaled by
0.2 sqrt(max(rows, columns)) as in arXiv 2502.16982, so that AdamW's learning rates fit. Without
shards it is `torch.optim.Muon(adjust_lr_fn="match_rms_adamw")`.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, Shard
from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

COEFFICIENTS = (3.4445, -4.775, 2.0315)
ITERATIONS = 5
SMALLEST_NORM = 1e-7
FLAT = 2  # times as many columns as rows, and the shorter way pays


def orthogonal(x_BMN: Tensor, dtype: torch.dtype) -> Tensor:
    """About the nearest matrices with equal singular values, computed in `dtype`: [B, M, N]."""
    x = x_BMN.to(dtype)
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=SMALLEST_NORM)
    # Iterating on the small square instead costs its rounding, which half precision cannot afford.
    iterated = _by_gram if dtype is torch.float32 and x.shape[-1] >= FLAT * x.shape[-2] else _plain
    x = iterated(x)
    return x.mT if tall else x


def _plain(x: Tensor) -> Tensor:
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


def _by_gram(x: Tensor) -> Tensor:
    """The same: all factors of x are polynomials of one square, so they are multiplied first."""
    a, b, c = COEFFICIENTS
    gram = x @ x.mT
    product: Tensor | None = None
    for number in range(ITERATIONS):
        factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal(dim1=-2, dim2=-1).add_(a)
        product = factor if product is None else factor @ product
        if number + 1 < ITERATIONS:
            gram = factor @ (gram @ factor)
    assert product is not None
    return product @ x


class Muon(torch.optim.Optimizer):
    """See the module. State per matrix: `momentum`."""

    def __init__(
        self,
        matrices: Iterable[nn.Parameter],
        *,
        lr: float,
        momentum: float,
        weight_decay: float,
        dtype: torch.dtype,
    ) -> None:
        super().__init__(matrices, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self._dtype = dtype

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update all matrices that have a gradient."""
        assert closure is None
        for group in self.param_groups:
            buckets: dict[Any, list[nn.Parameter]] = {}
            for matrix in group["params"]:
                if matrix.grad is not None:
                    placed = matrix.placements if isinstance(matrix, DTensor) else None
                    buckets.setdefault((matrix.shape, placed), []).append(matrix)
            for matrices in buckets.values():
                self._update(group, matrices)

    def _update(self, group: dict[str, Any], matrices: list[nn.Parameter]) -> None:
        momentum = group["momentum"]
        updates = []
        for matrix in matrices:
            assert matrix.grad is not None
            buffer = self.state[matrix].setdefault("momentum", torch.zeros_like(matrix.grad))
            buffer.lerp_(matrix.grad, 1 - momentum)
            updates.append(matrix.grad.lerp(buffer, momentum))
        rows, columns = matrices[0].shape
        size = group["lr"] * 0.2 * max(rows, columns) ** 0.5
        for matrix, update in zip(matrices, self._orthogonal(updates), strict=True):
            matrix.mul_(1 - group["lr"] * group["weight_decay"])
            local(matrix).add_(update.to(matrix.dtype), alpha=-size)

    def _orthogonal(self, updates: list[Tensor]) -> list[Tensor]:
        """This process' rows of the orthogonal updates."""
        first = updates[0]
        if not isinstance(first, DTensor):
            return list(orthogonal(torch.stack(updates), self._dtype))
        places, mesh = first.placements, first.device_mesh
        if places == (Shard(0),) and first.shape[0] % mesh.size() == 0:
            return _dealt(updates, mesh.get_group(), mesh.size(), self._dtype)  # type: ignore[arg-type]
        found = []
        for update in updates:
            assert isinstance(update, DTensor)
            whole = orthogonal(update.full_tensor()[None], self._dtype)[0]
            found.append(whole[local_slices(update)])
        return found


def _dealt(
    updates: list[DTensor], group: dist.ProcessGroup, world: int, dtype: torch.dtype
) -> list[Tensor]:
    """Deal whole matrices out, matrix j to process j % world, compute, and give rows back."""
    each = -(-len(updates) // world)
    shards = [update.to_local() for update in updates]
    rows, columns = shards[0].shape
    mine = shards[0].new_zeros((world, each, rows, columns))  # [owner, its matrix, my rows, N]
    for number, shard in enumerate(shards):
        mine[number % world, number // world] = shard
    theirs = torch.empty_like(mine)  # [whose rows, my matrix, rows, N]
    dist.all_to_all_single(theirs, mine, group=group)
    whole = theirs.transpose(0, 1).reshape(each, world * rows, columns)
    solved = orthogonal(whole, dtype).to(mine.dtype)
    back = solved.view(each, world, rows, columns).transpose(0, 1).contiguous()
    dist.all_to_all_single(mine, back, group=group)
    return [mine[number % world, number // world] for number in range(len(shards))]


def local(tensor: Tensor) -> Tensor:
    """The part of a tensor that this process holds."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def local_slices(tensor: Tensor) -> tuple[slice, ...]:
    """Where the part that this process holds lies in the whole tensor."""
    if not isinstance(tensor, DTensor):
        return tuple(slice(0, size) for size in tensor.shape)
    shape, offset = compute_local_shape_and_global_offset(
        tensor.shape, tensor.device_mesh, tensor.placements
    )
    return tuple(slice(at, at + size) for at, size in zip(offset, shape, strict=True))
