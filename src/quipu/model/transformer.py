"""The Llama transformer, one definition for training and for inference in PyTorch.

Shape legend, used as suffixes everywhere in the project:

    T packed tokens    N selected tokens    D model width     L layers        V vocabulary
    H query heads      K key/value heads    E head size       F feed-forward  P pages    R rows

Tokens of any number of sequences are packed end to end; there is no batch axis and no padding.
Positions are explicit, and `attend` says how tokens see each other, so chunked prefill, prefix
reuse and document masking need nothing from this file. Source of the arithmetic: arXiv 2307.09288
section 2 and the weights' own reference; tests hold it to transformers' LlamaForCausalLM.
"""

import hashlib

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quipu.config import ModelConfig
from quipu.model.attend import Attend, AttendLayer
from quipu.model.rope import angles, frequencies, rotate


class RMSNorm(nn.Module):
    """Scale to unit root mean square; computed in fp32, returned in the dtype of x."""

    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x_TD: Tensor) -> Tensor:
        wide = x_TD.float()
        scaled = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)
        return scaled.to(x_TD.dtype) * self.weight


class Attention(nn.Module):
    """Projections around `attend`; counts no heads, so a tensor-parallel share works unchanged."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.head_size = config.head_size
        query, key = config.heads * config.head_size, config.kv_heads * config.head_size
        self.wq = nn.Linear(config.dim, query, bias=False)
        self.wk = nn.Linear(config.dim, key, bias=False)
        self.wv = nn.Linear(config.dim, key, bias=False)
        self.wo = nn.Linear(query, config.dim, bias=False)

    def forward(self, x_TD: Tensor, cos: Tensor, sin: Tensor, attend: AttendLayer) -> Tensor:
        heads = (-1, self.head_size)
        q_THE = rotate(self.wq(x_TD).unflatten(-1, heads), cos, sin)
        k_TKE = rotate(self.wk(x_TD).unflatten(-1, heads), cos, sin)
        v_TKE = self.wv(x_TD).unflatten(-1, heads)
        out: Tensor = self.wo(attend(q_THE, k_TKE, v_TKE).flatten(-2))
        return out


class FeedForward(nn.Module):
    """SwiGLU: w2(silu(w1 x) * w3 x)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.w1 = nn.Linear(config.dim, config.ffn, bias=False)
        self.w2 = nn.Linear(config.ffn, config.dim, bias=False)
        self.w3 = nn.Linear(config.dim, config.ffn, bias=False)

    def forward(self, x_TD: Tensor) -> Tensor:
        out: Tensor = self.w2(F.silu(self.w1(x_TD)) * self.w3(x_TD))
        return out


class Block(nn.Module):
    """One layer: attention and feed-forward, each normalised first and added to the stream."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(config.dim, config.norm_eps)
        self.attention = Attention(config)
        self.ffn_norm = RMSNorm(config.dim, config.norm_eps)
        self.feed_forward = FeedForward(config)

    def forward(self, x_TD: Tensor, cos: Tensor, sin: Tensor, attend: AttendLayer) -> Tensor:
        x_TD = x_TD + self.attention(self.attention_norm(x_TD), cos, sin, attend)
        out: Tensor = x_TD + self.feed_forward(self.ffn_norm(x_TD))
        return out


class Transformer(nn.Module):
    """Every size of the family. Parameter names are those of `checkpoint/names.py`."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.tok_embeddings = nn.Embedding(config.vocab, config.dim)
        self.layers = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = RMSNorm(config.dim, config.norm_eps)
        self.output = None if config.tied else nn.Linear(config.dim, config.vocab, bias=False)
        # A plain attribute, not a buffer: `model.to(bfloat16)` must not reach it.
        self.rope_frequency, self.rope_factor = frequencies(config)

    def hidden(self, tokens_T: Tensor, positions_T: Tensor, attend: Attend) -> Tensor:
        """Normalised output of the last layer, [T, D]."""
        frequency = self.rope_frequency.to(tokens_T.device)
        cos, sin = angles(frequency, self.rope_factor, positions_T)
        x_TD = self.tok_embeddings(tokens_T)
        for number, block in enumerate(self.layers):
            x_TD = block(x_TD, cos, sin, attend.at(number))
        out: Tensor = self.norm(x_TD)
        return out

    def head(self, x_ND: Tensor) -> Tensor:
        """Logits of the next token, fp32 [N, V]."""
        if self.output is None:
            return F.linear(x_ND, self.tok_embeddings.weight).float()
        logits_NV: Tensor = self.output(x_ND)
        return logits_NV.float()

    def forward(
        self,
        tokens_T: Tensor,
        positions_T: Tensor,
        attend: Attend,
        select_N: Tensor | None = None,
    ) -> Tensor:
        """Logits fp32 [N, V] of the selected tokens, of all T when `select_N` is None."""
        x_TD = self.hidden(tokens_T, positions_T, attend)
        return self.head(x_TD if select_N is None else x_TD[select_N])


def initial_value(config: ModelConfig, name: str, shape: tuple[int, ...], seed: int) -> Tensor:
    """A fresh weight, fp32: a function of its name and the seed, so that any process can make it.

    Norms begin with ones; the rest is normal with 0.02, projections into the stream scaled by
    1 / sqrt(2 L) (GPT-2).
    """
    if len(shape) == 1:
        return torch.ones(shape)
    into_stream = name.endswith(("wo.weight", "w2.weight"))
    std = 0.02 / (2 * config.layers) ** 0.5 if into_stream else 0.02
    return drawn(shape, std, f"{seed} {name}")


def drawn(shape: tuple[int, ...], std: float, key: str) -> Tensor:
    """Normal numbers, fp32, that depend on the key alone."""
    digest = hashlib.sha256(key.encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
    return torch.empty(shape).normal_(0.0, std, generator=generator)


@torch.no_grad()
def initialise(model: Transformer, seed: int) -> None:
    """Fresh weights for a whole model."""
    for name, parameter in model.named_parameters():
        parameter.copy_(initial_value(model.config, name, tuple(parameter.shape), seed))
