"""What a checkpoint is and what it needs: facts for a person, by arithmetic, without loading it."""

from collections import Counter
from dataclasses import dataclass

from quipu.checkpoint.checkpoint import Checkpoint
from quipu.checkpoint.tokenizer_facts import TokenizerFacts, read_facts
from quipu.config import Abilities, ModelConfig
from quipu.counts import flops_per_token, kv_bytes_per_token, parameters
from quipu.errors import UsageError

KV_BYTES_PER_VALUE = 2  # float16 or bfloat16 keys and values


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """Memory and work for `users` who each have `context` tokens; bytes, FLOPs of one token.

    Activations are not counted: they depend on the engine and are small beside the rest.
    """

    context: int
    users: int
    parameters: int
    weight_bytes: int
    kv_bytes_per_token: int
    kv_bytes: int
    total_bytes: int
    flops_per_token: int


@dataclass(frozen=True, kw_only=True)
class Description:
    """Everything that `quipu info` shows."""

    name: str
    layout: str
    config: ModelConfig
    abilities: Abilities
    formats: dict[str, int]  # storage format -> number of weights
    tokenizer: TokenizerFacts | None
    tokenizer_files: tuple[str, ...]
    footprint: Footprint


def footprint(config: ModelConfig, weight_bytes: int, *, context: int, users: int) -> Footprint:
    """Needs of a model whose weights take `weight_bytes`. Raises UsageError below one."""
    for name, value in (("context", context), ("users", users)):
        if value < 1:
            raise UsageError(name, got=value, allowed="1 or more")
    per_token = kv_bytes_per_token(config, KV_BYTES_PER_VALUE)
    kv_bytes = per_token * context * users
    return Footprint(
        context=context,
        users=users,
        parameters=parameters(config),
        weight_bytes=weight_bytes,
        kv_bytes_per_token=per_token,
        kv_bytes=kv_bytes,
        total_bytes=weight_bytes + kv_bytes,
        flops_per_token=flops_per_token(config, context),
    )


def describe(checkpoint: Checkpoint, *, context: int | None = None, users: int = 1) -> Description:
    """Facts of an open checkpoint; `context` None is all that the weights were trained for."""
    config = checkpoint.config
    files = checkpoint.tokenizer_files()
    return Description(
        name=checkpoint.name,
        layout=checkpoint.layout,
        config=config,
        abilities=checkpoint.abilities,
        formats=dict(Counter(checkpoint.spec(name).dtype for name in checkpoint.names())),
        tokenizer=read_facts(files),
        tokenizer_files=tuple(files),
        footprint=footprint(
            config,
            checkpoint.weight_bytes(),
            context=config.context if context is None else context,
            users=users,
        ),
    )
