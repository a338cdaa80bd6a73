"""Attention of packed documents on a CUDA device: a kernel that skips what is not seen."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention.varlen import varlen_attn

from quipu.model.attend import AttendLayer

BOUNDARIES = 256  # sequence boundaries are padded to a multiple of it


class Varlen:
    """As `PackedCausal`, by a kernel that skips what is not seen; CUDA, half precision."""

    def __init__(self, document_T: Tensor, row_tokens: int) -> None:
        tokens = document_T.numel()
        place_T = torch.arange(tokens, device=document_T.device)
        begins = torch.ones(tokens, dtype=torch.bool, device=document_T.device)
        begins[1:] = document_T[1:] != document_T[:-1]
        begins |= place_T % row_tokens == 0
        starts = place_T[begins]
        # Padded by empty sequences, so that few different shapes reach the compiler.
        room = -(-(starts.numel() + 1) // BOUNDARIES) * BOUNDARIES
        self._bounds = F.pad(starts, (0, room - starts.numel()), value=tokens).int()
        self._longest = row_tokens

    def at(self, layer: int) -> AttendLayer:  # noqa: ARG002 - every layer sees alike
        return self

    def __call__(self, q_THE: Tensor, k_TKE: Tensor, v_TKE: Tensor) -> Tensor:
        out = varlen_attn(
            q_THE,
            k_TKE,
            v_TKE,
            self._bounds,
            self._bounds,
            self._longest,
            self._longest,
            window_size=(-1, 0),
            enable_gqa=q_THE.shape[1] != k_TKE.shape[1],
        )
        assert isinstance(out, Tensor)
        return out
