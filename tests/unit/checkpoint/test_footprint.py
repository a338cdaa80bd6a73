import math
from dataclasses import replace

import pytest
import torch

from quipu.checkpoint import describe, open_checkpoint
from quipu.checkpoint.footprint import footprint
from quipu.config import SIZES, ModelConfig
from quipu.counts import flops_per_token, kv_bytes_per_token, parameters
from quipu.errors import UsageError
from quipu.model.transformer import Transformer
from unit.checkpoint.conftest import MakeHf
from unit.checkpoint.models import TINY


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        # What transformers' LlamaForCausalLM counts for the published configurations.
        ("7b", 6_738_546_688),
        ("13b", 13_016_028_160),
        ("34b", 33_743_970_304),
        ("70b", 68_976_910_336),
    ],
)
def test_code_llamas_parameters_are_counted(size: str, expected: int) -> None:
    assert parameters(SIZES[size]) == expected


@pytest.mark.parametrize("config", [TINY, replace(TINY, tied=True), replace(TINY, head_size=32)])
def test_parameters_are_those_of_the_transformer(config: ModelConfig) -> None:
    with torch.device("meta"):
        model = Transformer(config)
    assert parameters(config) == sum(weight.numel() for weight in model.parameters())


def test_keys_and_values_of_7b_take_half_a_megabyte_a_token() -> None:
    assert kv_bytes_per_token(SIZES["7b"]) == 524_288
    assert kv_bytes_per_token(SIZES["70b"]) == 80 * 2 * 8 * 128 * 2


def test_flops_are_two_per_weight_of_each_product_and_grow_with_the_context() -> None:
    """Counted the slow way: matrix by matrix, head by head."""
    config, context, slow = TINY, 10, 0
    for _ in range(config.layers):
        query, key = config.heads * config.head_size, config.kv_heads * config.head_size
        for rows, columns in (
            (query, config.dim),
            (key, config.dim),
            (key, config.dim),
            (config.dim, query),
            (config.ffn, config.dim),
            (config.ffn, config.dim),
            (config.dim, config.ffn),
        ):
            slow += 2 * rows * columns
        for _ in range(config.heads):
            slow += 2 * context * config.head_size  # scores
            slow += 2 * context * config.head_size  # weighted sum
    slow += 2 * config.vocab * config.dim
    assert flops_per_token(config, context) == slow
    assert flops_per_token(replace(config, tied=True), context) == slow


def test_memory_is_weights_plus_keys_and_values_of_all_users() -> None:
    needs = footprint(SIZES["34b"], 1000, context=16384, users=3)
    assert needs.kv_bytes == 3 * 16384 * kv_bytes_per_token(SIZES["34b"])
    assert needs.total_bytes == 1000 + needs.kv_bytes


@pytest.mark.parametrize(("context", "users"), [(0, 1), (1, 0), (-5, 1)])
def test_senseless_numbers_are_refused(context: int, users: int) -> None:
    with pytest.raises(UsageError, match="allowed: 1 or more"):
        footprint(TINY, 1, context=context, users=users)


def test_a_description_says_what_lies_on_the_disk(make_hf: MakeHf) -> None:
    path = make_hf(dtype="bf16")
    found = describe(open_checkpoint(path), users=2)
    weights = path / "model.safetensors"
    assert found.footprint.weight_bytes == 2 * parameters(TINY)
    assert math.isclose(found.footprint.weight_bytes, weights.stat().st_size, rel_tol=0.1)
    assert found.formats == {"bf16": 21}
    assert found.footprint.context == TINY.context
    assert found.tokenizer is not None
    assert found.tokenizer.vocab == 316
