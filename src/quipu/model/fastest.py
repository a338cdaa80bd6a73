"""Which attention of packed documents is the fastest on a device."""

import torch
from torch import Tensor

from quipu.model.attend import Attend, PackedCausal
from quipu.model.documents import Documents
from quipu.model.varlen import Varlen


def packed_attention(document_T: Tensor, row_tokens: int, dtype: torch.dtype) -> Attend:
    """As `PackedCausal`, by whatever skips what is not seen; `dtype` is that of queries."""
    if not document_T.is_cuda:
        return Documents(document_T, row_tokens)
    if dtype is torch.bfloat16:
        return Varlen(document_T, row_tokens)
    return PackedCausal(document_T, row_tokens)
