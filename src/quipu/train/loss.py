"""Cross-entropy of a large vocabulary without the logits of all tokens at once.

The head runs over chunks of tokens; each chunk's gradients are computed beside its loss, while the
logits are there, so nothing is kept and nothing is computed twice. `plain_loss` is the slow twin.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from quipu.data.loading.row import NO_TARGET
from quipu.model.fixed import linear

LOSS_TOKENS = 2_048  # logits of so many tokens exist at a time, at most
PROCESSOR_LOGITS = 1 << 21  # on a processor: more leave its cache, and memory is asked for anew
PROCESSOR_TOKENS = 256  # but no fewer: products would be too flat


def plain_loss(hidden_ND: Tensor, head_VD: Tensor, targets_N: Tensor) -> Tensor:
    """Summed cross-entropy in nats, by autograd."""
    logits_NV = F.linear(hidden_ND, head_VD).float()
    return F.cross_entropy(logits_NV, targets_N, ignore_index=NO_TARGET, reduction="sum")


def _chunk(
    hidden_ND: Tensor, head_VD: Tensor, targets_N: Tensor, fixed: bool
) -> tuple[Tensor, Tensor]:
    """Losses [N], 0 without a target, and their gradient by the logits, fp32 and [N, V]."""
    logits_NV = (linear if fixed else F.linear)(hidden_ND, head_VD).float()
    counted_N = targets_N != NO_TARGET
    index_N1 = targets_N.clamp(min=0)[:, None]
    normaliser_N1 = logits_NV.logsumexp(-1, keepdim=True)
    losses_N = (normaliser_N1 - logits_NV.gather(1, index_N1))[:, 0] * counted_N
    by_logits_NV = (logits_NV - normaliser_N1).exp()
    by_logits_NV = by_logits_NV.scatter_add(
        1, index_N1, -torch.ones_like(index_N1, dtype=torch.float32)
    )
    return losses_N, (by_logits_NV * counted_N[:, None]).to(hidden_ND.dtype)


_compiled_chunk = torch.compile(_chunk, dynamic=False)


def _tokens_at_once(head_VD: Tensor) -> int:
    if head_VD.is_cuda:
        return LOSS_TOKENS
    return min(LOSS_TOKENS, max(PROCESSOR_TOKENS, PROCESSOR_LOGITS // head_VD.shape[0]))


class _ChunkedLoss(torch.autograd.Function):
    """Forward computes the gradients that are wanted; backward only scales them."""

    @staticmethod
    def forward(
        ctx: Any, hidden_ND: Tensor, head_VD: Tensor, targets_N: Tensor, compiled: bool, fixed: bool
    ) -> Tensor:
        chunk = _compiled_chunk if compiled else _chunk
        hidden_wanted, head_wanted, *_ = ctx.needs_input_grad  # a frozen head's is not
        by_hidden_ND = torch.empty_like(hidden_ND) if hidden_wanted else None
        by_head_VD = torch.zeros_like(head_VD, dtype=torch.float32) if head_wanted else None
        total = hidden_ND.new_zeros((), dtype=torch.float32)
        size = _tokens_at_once(head_VD)
        for start in range(0, targets_N.numel(), size):
            part = slice(start, start + size)
            losses_N, by_logits_NV = chunk(hidden_ND[part], head_VD, targets_N[part], fixed)
            total += losses_N.sum()
            if by_hidden_ND is not None:
                torch.mm(by_logits_NV, head_VD, out=by_hidden_ND[part])
            if by_head_VD is not None:
                by_head_VD += torch.mm(by_logits_NV.T, hidden_ND[part])
        ctx.save_for_backward(by_hidden_ND, by_head_VD)
        ctx.head_dtype = head_VD.dtype
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        by_hidden_ND, by_head_VD = ctx.saved_tensors
        (scale,) = grads
        if by_hidden_ND is not None:
            by_hidden_ND = by_hidden_ND * scale.to(by_hidden_ND.dtype)
        if by_head_VD is not None:
            by_head_VD = (by_head_VD * scale).to(ctx.head_dtype)
        return by_hidden_ND, by_head_VD, None, None, None


def chunked_loss(
    hidden_ND: Tensor,
    head_VD: Tensor,
    targets_N: Tensor,
    *,
    compiled: bool = False,
    fixed: bool = False,
) -> Tensor:
    """Summed cross-entropy in nats over the tokens that have a target; the same as `plain_loss`.

    `fixed`: logits by a product in fixed point. Gradients are not: rounded beside the 1 of the
    target, the many small probabilities of a row would be 0, and nothing would push them down.
    """
    if not torch.is_grad_enabled():
        hidden_ND, head_VD = hidden_ND.detach(), head_VD.detach()
    loss: Tensor = _ChunkedLoss.apply(hidden_ND, head_VD, targets_N, compiled, fixed)  # type: ignore[no-untyped-call]
    return loss
