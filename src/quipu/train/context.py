"""Long rows shared out over processes: each holds some tokens of a row, and sees all keys before.

A row is cut into twice as many chunks as there are processes; each takes one from the front and its
mirror image from the back, so that all have as much to see (arXiv 2407.21783 section 3.3.2). Keys
and values are gathered, which works for any pattern of documents.
"""

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor
from torch.distributed._functional_collectives import all_gather_tensor_autograd

from quipu.model.attend import AttendLayer


def local_places(row_tokens: int, rank: int, world: int) -> Tensor:
    """Places within a row of the tokens that a process holds: [row_tokens / world]."""
    assert row_tokens % (2 * world) == 0
    chunks = torch.arange(row_tokens).view(2 * world, -1)
    return torch.cat((chunks[rank], chunks[2 * world - 1 - rank]))


class SharedContext:
    """As `PackedCausal`, for the tokens that this process holds of each row."""

    def __init__(
        self, document_T: Tensor, row_tokens: int, group: dist.ProcessGroup, rank: int
    ) -> None:
        """`document_T` is of whole rows."""
        self._group, self._world = group, dist.get_world_size(group)
        places_S = local_places(row_tokens, rank, self._world).to(document_T.device)
        document_RT = document_T.view(-1, row_tokens)
        same = document_RT[:, places_S, None] == document_RT[:, None, :]
        before = places_S[:, None] >= torch.arange(row_tokens, device=document_T.device)[None, :]
        self._mask = (same & before)[:, None]  # [R, 1, S, T]
        self._rows = document_RT.shape[0]

    def at(self, layer: int) -> AttendLayer:  # noqa: ARG002 - every layer sees alike
        return self

    def __call__(self, q_THE: Tensor, k_TKE: Tensor, v_TKE: Tensor) -> Tensor:
        both = torch.cat((k_TKE, v_TKE), dim=-1)
        k, v = self._whole(both).transpose(1, 2).chunk(2, dim=-1)  # [R, K, T, E] each
        q = q_THE.view(self._rows, -1, *q_THE.shape[1:]).transpose(1, 2)
        group = q_THE.shape[1] != k_TKE.shape[1]
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=self._mask, enable_gqa=group)
        return out.transpose(1, 2).flatten(0, 1)

    def _whole(self, x_SKE: Tensor) -> Tensor:
        """Whole rows in their order, [R, T, K, 2 E], of what each process holds."""
        gathered = all_gather_tensor_autograd(x_SKE.contiguous(), 0, self._group)
        halves = gathered.view(self._world, self._rows, 2, -1, *x_SKE.shape[1:])
        chunks = torch.cat((halves[:, :, 0], halves[:, :, 1].flip(0)))
        return chunks.transpose(0, 1).flatten(1, 2)
