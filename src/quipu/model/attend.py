"""How tokens see each other: the one thing in which training and inference differ.

A layer of the model hands over rotated queries and keys and gets back what its heads saw. The layer
number stays outside the blocks (`attend.at(i)`), because integers on modules make torch.compile
specialise every block anew. The attention over paged keys and values lives with the engine.
"""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

BOUNDARIES = 256  # of documents: padded, so that few different shapes reach the compiler


class AttendLayer(Protocol):
    """Attention of one layer. May store keys and values; never sees weights."""

    def __call__(self, q_THE: Tensor, k_TKE: Tensor, v_TKE: Tensor) -> Tensor:
        """What each query saw, [T, H, E]. Heads may be a tensor-parallel share."""


class Attend(Protocol):
    """Attention of all layers for one call of the model."""

    def at(self, layer: int) -> AttendLayer: ...


def boundaries(document_T: Tensor, row_tokens: int) -> Tensor:
    """Where documents begin, in rows of `row_tokens`; then T, up to a multiple of BOUNDARIES."""
    tokens = document_T.numel()
    place_T = torch.arange(tokens, device=document_T.device)
    begins = torch.ones(tokens, dtype=torch.bool, device=document_T.device)
    begins[1:] = document_T[1:] != document_T[:-1]
    begins |= place_T % row_tokens == 0
    starts = place_T[begins]
    room = -(-(starts.numel() + 1) // BOUNDARIES) * BOUNDARIES
    return F.pad(starts, (0, room - starts.numel()), value=tokens)


class PackedCausal:
    """A token sees itself and the earlier tokens of its own document in its own row.

    `document_T` numbers the document of each token; tokens of a document are contiguous. T is a
    whole number of rows of `row_tokens`, which bounds the attention matrix to row by row.
    """

    def __init__(self, document_T: Tensor, row_tokens: int | None = None) -> None:
        self.row_tokens = row_tokens or document_T.numel()
        document_RT = document_T.view(-1, self.row_tokens)
        same = document_RT[:, :, None] == document_RT[:, None, :]
        self.mask = same.tril()[:, None]  # [R, 1, T, T]

    def at(self, layer: int) -> AttendLayer:  # noqa: ARG002 - every layer sees alike
        return self

    def __call__(self, q_THE: Tensor, k_TKE: Tensor, v_TKE: Tensor) -> Tensor:
        def rows(x_THE: Tensor) -> Tensor:
            return x_THE.view(-1, self.row_tokens, *x_THE.shape[1:]).transpose(1, 2)

        group = q_THE.shape[1] != k_TKE.shape[1]
        out = F.scaled_dot_product_attention(
            rows(q_THE), rows(k_TKE), rows(v_TKE), attn_mask=self.mask, enable_gqa=group
        )
        return out.transpose(1, 2).flatten(0, 1)


def single_document(tokens: int, device: torch.device | None = None) -> PackedCausal:
    """Plain causal attention over one sequence."""
    return PackedCausal(torch.zeros(tokens, dtype=torch.int64, device=device))
