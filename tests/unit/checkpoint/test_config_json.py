import dataclasses
import json
from pathlib import Path

import pytest

from quipu.checkpoint.config_json import read_config, write_config
from quipu.checkpoint.settings import Settings
from quipu.config import SIZES, Abilities, ModelConfig, RopeScaling
from quipu.errors import CheckpointError
from unit.checkpoint.models import TINY, config_values


def settings(**changes: object) -> Settings:
    return Settings("config.json", config_values(TINY, **changes))


def test_the_old_spelling_is_read() -> None:
    assert read_config(settings(), TINY.vocab) == TINY


def test_the_new_spelling_is_read() -> None:
    found = settings(
        rope_theta=None, rope_parameters={"rope_type": "default", "rope_theta": TINY.rope_theta}
    )
    assert read_config(found, TINY.vocab) == TINY


def test_the_vocabulary_is_what_the_embedding_says() -> None:
    assert read_config(settings(vocab_size=32000), 32016).vocab == 32016


LINEAR = RopeScaling(kind="linear", factor=4.0)
YARN = RopeScaling(kind="yarn", factor=8.0, original_context=128, beta_fast=16.0)


@pytest.mark.parametrize(
    ("rope", "scaling"),
    [
        ({"type": "linear", "factor": 4.0}, LINEAR),
        ({"rope_type": "linear", "factor": 4}, LINEAR),
        (
            {
                "rope_type": "yarn",
                "factor": 8.0,
                "original_max_position_embeddings": 128,
                "beta_fast": 16,
            },
            YARN,
        ),
        ({"rope_type": "default"}, None),
        ({"rope_type": "yarn", "factor": 2.0}, RopeScaling(kind="yarn", factor=2.0)),
    ],
)
@pytest.mark.parametrize("key", ["rope_scaling", "rope_parameters"])
def test_scaling_is_read_in_both_spellings(
    key: str, rope: dict[str, object], scaling: RopeScaling | None
) -> None:
    assert read_config(settings(**{key: rope}), TINY.vocab).rope_scaling == scaling


def test_a_missing_theta_is_refused_with_a_remedy() -> None:
    with pytest.raises(CheckpointError, match=r"rope theta is missing; .* pass --rope-theta"):
        read_config(settings(rope_theta=None), TINY.vocab)


def test_a_given_theta_overrules() -> None:
    assert read_config(settings(rope_theta=None), TINY.vocab, 5e5).rope_theta == 5e5
    assert read_config(settings(), TINY.vocab, 5e5).rope_theta == 5e5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "mistral"}, "unknown architecture; got LlamaForCausalLM, model_type mist"),
        ({"architectures": ["LlamaForSequenceClassification"]}, "unknown architecture"),
        ({"attention_bias": True}, "attention_bias is not supported; got True; allowed: False"),
        ({"mlp_bias": True}, "mlp_bias is not supported"),
        ({"hidden_act": "gelu"}, "hidden_act is not supported; got gelu"),
        ({"quantization_config": {"bits": 4}}, "quantised in a way of transformers"),
        (
            {"rope_scaling": {"rope_type": "llama3", "factor": 8.0}},
            "allowed: default, linear, yarn",
        ),
        ({"rope_scaling": {"type": "dynamic", "factor": 2.0}}, "unknown kind of scaling; got dyn"),
        ({"rope_scaling": {"type": "yarn", "factor": 2.0, "mscale": 1.0}}, "got mscale; allowed"),
        ({"rope_scaling": {"type": "linear"}}, "factor is missing"),
        ({"rope_scaling": [1]}, r"rope_scaling; got \[1\]; allowed: an object"),
        ({"rope_parameters": {"rope_theta": 1e4}}, "two values of rope theta; got 10000 and 1e"),
        ({"hidden_size": None}, "hidden_size is missing"),
        ({"hidden_size": "64"}, "hidden_size; got 64; allowed: whole number above 0"),
        ({"num_hidden_layers": 0}, "num_hidden_layers; got 0"),
        ({"rms_norm_eps": -1.0}, "rms_norm_eps; got -1.0; allowed: number above 0"),
        ({"rope_theta": float("inf")}, "rope_theta; got inf"),
        ({"tie_word_embeddings": "no"}, "tie_word_embeddings; got no; allowed: true or false"),
        ({"num_key_value_heads": 3}, "heads must be a multiple of kv_heads"),
    ],
)
def test_what_is_no_plain_llama_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        read_config(settings(**changes), TINY.vocab)


CONFIGS = [
    *SIZES.values(),
    dataclasses.replace(TINY, rope_scaling=LINEAR),
    dataclasses.replace(TINY, rope_scaling=YARN),
    dataclasses.replace(TINY, rope_scaling=RopeScaling(kind="yarn", factor=2.0), head_size=32),
]


@pytest.mark.parametrize("config", CONFIGS)
def test_what_is_written_is_read_back(config: ModelConfig, tmp_path: Path) -> None:
    values = write_config(config, Abilities(infill=True), "bf16", 1, 2)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(values))
    assert read_config(Settings(str(path), json.loads(path.read_text())), config.vocab) == config
