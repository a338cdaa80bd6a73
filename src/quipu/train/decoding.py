"""Greedy answers of the training model, several side by side; keys and values are remembered."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from quipu.model.attend import AttendLayer
from quipu.model.transformer import Transformer
from quipu.text.healing import PrefixConstraint

Ended = Callable[[Sequence[int]], bool]  # whether an answer is whole


class Memory:
    """Keys and values of B sequences of up to T tokens in all layers, [B, K, T, E] each."""

    def __init__(self, model: Transformer, sequences: int, tokens: int) -> None:
        config, weight = model.config, model.tok_embeddings.weight
        shape = (2, sequences, config.kv_heads, tokens, config.head_size)
        # Zeros, not what lay there before: what is masked out must still be numbers.
        self.layers = [
            torch.zeros(shape, dtype=weight.dtype, device=weight.device)
            for _ in range(config.layers)
        ]
        self.group = config.heads != config.kv_heads


class _Prompt:
    """Attention of one whole prompt, which is remembered as sequence `number`."""

    def __init__(self, memory: Memory, number: int) -> None:
        self._memory, self._number = memory, number

    def at(self, layer: int) -> AttendLayer:
        return partial(self._attend, self._memory.layers[layer][:, self._number])

    def _attend(self, memory: Tensor, q_THE: Tensor, k_TKE: Tensor, v_TKE: Tensor) -> Tensor:
        k, v = k_TKE.transpose(0, 1), v_TKE.transpose(0, 1)
        memory[0, :, : k.shape[1]], memory[1, :, : k.shape[1]] = k, v
        q = q_THE.transpose(0, 1)[None]
        out = F.scaled_dot_product_attention(
            q, k[None], v[None], is_causal=True, enable_gqa=self._memory.group
        )
        return out[0].transpose(0, 1)


class _Next:
    """Attention of one more token of every sequence."""

    def __init__(self, memory: Memory, positions_B: Tensor) -> None:
        self._memory, self._positions_B = memory, positions_B
        self._number_B = torch.arange(len(positions_B), device=positions_B.device)
        places = torch.arange(memory.layers[0].shape[3], device=positions_B.device)
        self._mask = (places <= positions_B[:, None])[:, None, None]  # [B, 1, 1, T]

    def at(self, layer: int) -> AttendLayer:
        return partial(self._attend, self._memory.layers[layer])

    def _attend(self, memory: Tensor, q_BHE: Tensor, k_BKE: Tensor, v_BKE: Tensor) -> Tensor:
        memory[0][self._number_B, :, self._positions_B] = k_BKE
        memory[1][self._number_B, :, self._positions_B] = v_BKE
        out = F.scaled_dot_product_attention(
            q_BHE[:, :, None],
            memory[0],
            memory[1],
            attn_mask=self._mask,
            enable_gqa=self._memory.group,
        )
        return out[:, :, 0]


@torch.no_grad()
def greedy(
    model: Transformer,
    prompts: Sequence[Sequence[int]],
    ended: Sequence[Ended],
    *,
    limit: int,
    constraints: Sequence[PrefixConstraint | None],
) -> list[list[int]]:
    """The likeliest next token of each prompt, again and again, up to `limit` or until `ended`.

    The token that ends an answer is part of it.
    """
    device = model.tok_embeddings.weight.device
    lengths = [len(prompt) for prompt in prompts]
    memory = Memory(model, len(prompts), max(lengths) + limit)
    first = []
    for number, prompt in enumerate(prompts):
        tokens = torch.tensor(prompt, device=device)
        positions = torch.arange(len(prompt), device=device)
        last = positions[-1:]
        first.append(model(tokens, positions, _Prompt(memory, number), last))
    logits_BV = torch.cat(first)
    answers: list[list[int]] = [[] for _ in prompts]
    going = [True] * len(prompts)
    for done in range(limit):
        chosen = _choices(logits_BV, answers, constraints)
        for number, token in enumerate(chosen):
            if going[number]:
                answers[number].append(token)
                going[number] = not ended[number](answers[number])
        if done == limit - 1 or not any(going):
            break
        positions_B = torch.tensor(lengths, device=device) + done
        tokens_B = torch.tensor(chosen, device=device)
        logits_BV = model(tokens_B, positions_B, _Next(memory, positions_B))
    return answers


def _choices(
    logits_BV: Tensor,
    answers: Sequence[Sequence[int]],
    constraints: Sequence[PrefixConstraint | None],
) -> list[int]:
    chosen: list[int] = logits_BV.argmax(-1).tolist()
    for number, constraint in enumerate(constraints):
        allowed = constraint.allowed(answers[number]) if constraint else None
        if allowed is not None:
            best = logits_BV[number, torch.from_numpy(allowed).to(logits_BV.device)].argmax()
            chosen[number] = int(allowed[int(best)])
    return chosen
