"""Parameters, FLOPs and bytes that follow from a model's shape. Pure arithmetic."""

import math
from collections.abc import Iterator

from quipu.config import ModelConfig


def weight_shapes(config: ModelConfig) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and shape of every weight, in the order of computation."""
    query, key = config.heads * config.head_size, config.kv_heads * config.head_size
    yield "tok_embeddings.weight", (config.vocab, config.dim)
    for layer in range(config.layers):
        block = f"layers.{layer}"
        yield f"{block}.attention_norm.weight", (config.dim,)
        yield f"{block}.attention.wq.weight", (query, config.dim)
        yield f"{block}.attention.wk.weight", (key, config.dim)
        yield f"{block}.attention.wv.weight", (key, config.dim)
        yield f"{block}.attention.wo.weight", (config.dim, query)
        yield f"{block}.ffn_norm.weight", (config.dim,)
        yield f"{block}.feed_forward.w1.weight", (config.ffn, config.dim)
        yield f"{block}.feed_forward.w2.weight", (config.dim, config.ffn)
        yield f"{block}.feed_forward.w3.weight", (config.ffn, config.dim)
    yield "norm.weight", (config.dim,)
    if not config.tied:
        yield "output.weight", (config.vocab, config.dim)


def parameters(config: ModelConfig) -> int:
    """Number of weights; a tied head counts once."""
    return sum(math.prod(shape) for _, shape in weight_shapes(config))


def kv_bytes_per_token(config: ModelConfig, bytes_per_value: int = 2) -> int:
    """Bytes of keys and values that one token of one user occupies, all layers together."""
    return 2 * config.layers * config.kv_heads * config.head_size * bytes_per_value


def flops_per_token(config: ModelConfig, context: int) -> int:
    """Floating-point operations of the forward pass for one token that sees `context` tokens.

    Two per weight of every matrix product (the embedding is a look-up, the head is not), and
    four per layer, query feature and visible token for attention. Training costs three times this.
    """
    head = config.vocab * config.dim
    shapes = weight_shapes(config)
    products = sum(math.prod(shape) for name, shape in shapes if name.startswith("layers."))
    norms = 2 * config.layers * config.dim
    attention = 4 * config.layers * config.heads * config.head_size * context
    return 2 * (products - norms + head) + attention
