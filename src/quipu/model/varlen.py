"""Attention of packed documents on a CUDA device: a kernel that skips what is not seen."""

from torch import Tensor
from torch.nn.attention.varlen import varlen_attn

from quipu.model.attend import AttendLayer, boundaries


class Varlen:
    """As `PackedCausal`, by a kernel that skips what is not seen; CUDA, half precision."""

    def __init__(self, document_T: Tensor, row_tokens: int) -> None:
        self._bounds = boundaries(document_T, row_tokens).int()
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
