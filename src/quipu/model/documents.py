"""Attention of packed documents on a processor: document by document, so that nothing unseen costs.

Operators of our own, so that torch.compile keeps each as one node and never looks at the
boundaries, whose number and places change all the time. In fp32 they are kernels of the native
runtime (native/learn.h), else PyTorch's flash attention for processors, which is their twin.
"""

import os
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from quipu.model.attend import AttendLayer, boundaries
from quipu.native import ISA, _runtime

_flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default
_flash_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward.default


def _has_kernels(q_THE: Tensor) -> bool:
    """Whether the native runtime has kernels for these."""
    return q_THE.dtype is torch.float32 and q_THE.shape[-1] % 16 == 0


def _array(tensor: Tensor) -> Any:
    return tensor.detach().contiguous().numpy()


def _how() -> tuple[int, str]:
    """Threads and instruction set."""
    return torch.get_num_threads(), os.environ.get(ISA, "")


def _parts(bounds: Tensor) -> list[slice]:
    """Of each document that is not empty."""
    return [slice(begin, end) for begin, end in pairwise(bounds.tolist()) if begin < end]


def _heads(x_THE: Tensor, part: slice, kv_heads: int) -> Tensor:
    """A document's heads, those of one key/value head together: [K, H / K, t, E]."""
    x_tHE = x_THE[part]
    return x_tHE.view(len(x_tHE), kv_heads, -1, x_tHE.shape[-1]).permute(1, 2, 0, 3)


def _shared(x_TKE: Tensor, part: slice, query: Tensor) -> Tensor:
    """A document's keys or values, each for all its query heads: [K, H / K, t, E], not copied."""
    return x_TKE[part].transpose(0, 1)[:, None].expand(query.shape)


@torch.library.custom_op("quipu::documents", mutates_args=())
def attend_documents(
    q_THE: Tensor, k_TKE: Tensor, v_TKE: Tensor, bounds: Tensor
) -> tuple[Tensor, Tensor]:
    """What each query sees of its document up to itself, [T, H, E], and its normaliser, [T, H]."""
    wide = torch.float64 if q_THE.dtype is torch.float64 else torch.float32
    out_THE = torch.empty(q_THE.shape, dtype=q_THE.dtype)
    normaliser_TH = torch.empty(q_THE.shape[:2], dtype=wide)
    if _has_kernels(q_THE):
        q, k, v, ends = map(_array, (q_THE, k_TKE, v_TKE, bounds.to(torch.int32)))
        threads, isa = _how()
        _runtime.attend_documents(
            q, k, v, ends, out_THE.numpy(), normaliser_TH.numpy(), threads=threads, isa=isa
        )
        return out_THE, normaliser_TH
    for part in _parts(bounds):
        query = _heads(q_THE, part, k_TKE.shape[1])
        key, value = (_shared(x, part, query) for x in (k_TKE, v_TKE))
        out, normaliser = _flash(query, key, value, 0.0, True)
        _heads(out_THE, part, k_TKE.shape[1]).copy_(out)
        _heads(normaliser_TH[..., None], part, k_TKE.shape[1])[..., 0].copy_(normaliser)
    return out_THE, normaliser_TH


@attend_documents.register_fake
def _(q_THE: Tensor, k_TKE: Tensor, v_TKE: Tensor, bounds: Tensor) -> tuple[Tensor, Tensor]:
    del k_TKE, v_TKE, bounds
    wide = torch.float64 if q_THE.dtype is torch.float64 else torch.float32
    return q_THE.new_empty(q_THE.shape), q_THE.new_empty(q_THE.shape[:2], dtype=wide)


@torch.library.custom_op("quipu::documents_backward", mutates_args=())
def _gradients(
    by_out_THE: Tensor,
    q_THE: Tensor,
    k_TKE: Tensor,
    v_TKE: Tensor,
    out_THE: Tensor,
    normaliser_TH: Tensor,
    bounds: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    by_q_THE, by_k_TKE, by_v_TKE = (
        torch.empty(x.shape, dtype=x.dtype) for x in (q_THE, k_TKE, v_TKE)
    )
    if _has_kernels(q_THE):
        given = (by_out_THE, q_THE, k_TKE, v_TKE, out_THE, normaliser_TH, bounds.to(torch.int32))
        by_out, q, k, v, out, normaliser, ends = map(_array, given)
        by_q, by_k, by_v = map(_array, (by_q_THE, by_k_TKE, by_v_TKE))
        threads, isa = _how()
        _runtime.attend_documents_backward(
            by_out, q, k, v, out, normaliser, ends, by_q, by_k, by_v, threads=threads, isa=isa
        )
        return by_q_THE, by_k_TKE, by_v_TKE
    kv_heads = k_TKE.shape[1]
    for part in _parts(bounds):
        query, out, by_out = (_heads(x, part, kv_heads) for x in (q_THE, out_THE, by_out_THE))
        key, value = (_shared(x, part, query) for x in (k_TKE, v_TKE))
        normaliser = _heads(normaliser_TH[..., None], part, kv_heads)[..., 0]
        by_query, by_key, by_value = _flash_backward(
            by_out, query, key, value, out, normaliser, 0.0, True
        )
        _heads(by_q_THE, part, kv_heads).copy_(by_query)
        for by_x_TKE, by_shared in ((by_k_TKE, by_key), (by_v_TKE, by_value)):
            by_x_TKE[part].transpose(0, 1).copy_(by_shared.sum(1))
    return by_q_THE, by_k_TKE, by_v_TKE


@_gradients.register_fake
def _(
    by_out_THE: Tensor,
    q_THE: Tensor,
    k_TKE: Tensor,
    v_TKE: Tensor,
    out_THE: Tensor,
    normaliser_TH: Tensor,
    bounds: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    del by_out_THE, out_THE, normaliser_TH, bounds
    return (
        q_THE.new_empty(q_THE.shape),
        k_TKE.new_empty(k_TKE.shape),
        v_TKE.new_empty(v_TKE.shape),
    )


def _keep(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor]) -> None:
    q_THE, k_TKE, v_TKE, bounds = inputs
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(q_THE, k_TKE, v_TKE, *output, bounds)


def _backward(ctx: Any, by_out_THE: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    return *_gradients(by_out_THE, *ctx.saved_tensors), None


attend_documents.register_autograd(_backward, setup_context=_keep)


class Documents:
    """As `PackedCausal`, document by document, so that nothing unseen costs; on a processor."""

    def __init__(self, document_T: Tensor, row_tokens: int) -> None:
        self._bounds = boundaries(document_T, row_tokens)

    def at(self, layer: int) -> AttendLayer:  # noqa: ARG002 - every layer sees alike
        return self

    def __call__(self, q_THE: Tensor, k_TKE: Tensor, v_TKE: Tensor) -> Tensor:
        out_THE: Tensor = attend_documents(q_THE, k_TKE, v_TKE, self._bounds)[0]
        return out_THE
