import json
from pathlib import Path

import numpy as np
import pytest
import torch

from quipu.checkpoint import as_float32, convert, open_checkpoint
from quipu.config import Abilities, ModelConfig
from quipu.errors import CheckpointError, UsageError
from unit.checkpoint.conftest import MakeHf
from unit.checkpoint.models import TINY, cut, edit_config, hf_name, random_weights


@pytest.mark.parametrize("dtype", ["f32", "f16", "bf16"])
def test_weights_are_read_by_our_names(make_hf: MakeHf, dtype: str) -> None:
    checkpoint = open_checkpoint(make_hf(dtype=dtype))
    weights = random_weights(TINY)
    assert checkpoint.layout == "hf"
    assert checkpoint.config == TINY
    assert list(checkpoint.names()) == list(weights)
    for name, expected in weights.items():
        assert checkpoint.spec(name).dtype == dtype
        assert np.array_equal(as_float32(checkpoint.read(name)), expected)


def test_abilities_and_tokenizer_files_come_along(make_hf: MakeHf, tokenizer_model: bytes) -> None:
    checkpoint = open_checkpoint(make_hf(name="Tiny-Instruct"))
    assert checkpoint.name == "Tiny-Instruct"
    assert checkpoint.abilities == Abilities(infill=True, chat="inst")
    assert checkpoint.tokenizer_files() == {"tokenizer.model": tokenizer_model}


def test_stated_abilities_are_believed(make_hf: MakeHf) -> None:
    folder = make_hf(name="Instruct", quipu={"infill": False, "chat": "source"})
    assert open_checkpoint(folder).abilities == Abilities(chat="source")


def test_a_tied_output_is_not_a_weight_even_if_a_copy_is_stored(
    make_hf: MakeHf, tied: ModelConfig
) -> None:
    weights = random_weights(tied)
    copy = weights | {"output.weight": weights["tok_embeddings.weight"]}
    for name, stored in (("without", weights), ("with", copy)):
        checkpoint = open_checkpoint(make_hf(tied, name=name, weights=stored))
        assert checkpoint.config == tied
        assert list(checkpoint.names()) == list(weights)


def test_rotary_tables_of_old_files_are_passed_over(make_hf: MakeHf) -> None:
    folder = make_hf()
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    tensors = load_file(path) | {
        "model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(8, dtype=torch.float64)
    }
    save_file(tensors, path)
    assert open_checkpoint(folder).config == TINY


def sharded(make_hf: MakeHf, tmp_path: Path) -> Path:
    convert(make_hf(), tmp_path / "sharded", to="hf", shards=3)
    return tmp_path / "sharded"


def test_shards_are_read_through_their_index(make_hf: MakeHf, tmp_path: Path) -> None:
    folder = sharded(make_hf, tmp_path)
    assert len(list(folder.glob("model-0000?-of-00003.safetensors"))) == 3
    checkpoint = open_checkpoint(folder)
    for name, expected in random_weights(TINY).items():
        assert np.array_equal(as_float32(checkpoint.read(name)), expected)


def test_a_missing_shard_is_named(make_hf: MakeHf, tmp_path: Path) -> None:
    folder = sharded(make_hf, tmp_path)
    (folder / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(
        CheckpointError, match=r"a shard is missing; got model-00002-of-00003\.safetensors not fou"
    ):
        open_checkpoint(folder)


def test_a_truncated_shard_is_named(make_hf: MakeHf, tmp_path: Path) -> None:
    folder = sharded(make_hf, tmp_path)
    cut(folder / "model-00003-of-00003.safetensors", -1)
    with pytest.raises(CheckpointError, match=r"model-00003-of-00003\.safetensors: file is trunca"):
        open_checkpoint(folder)


def test_a_swapped_shard_is_noticed(make_hf: MakeHf, tmp_path: Path) -> None:
    folder = sharded(make_hf, tmp_path)
    (folder / "model-00001-of-00003.safetensors").write_bytes(
        (folder / "model-00003-of-00003.safetensors").read_bytes()
    )
    with pytest.raises(CheckpointError, match="is not in it, though the index says so"):
        open_checkpoint(folder)


def test_an_index_may_not_point_outside_its_folder(make_hf: MakeHf, tmp_path: Path) -> None:
    folder = sharded(make_hf, tmp_path)
    path = folder / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    index["weight_map"]["lm_head.weight"] = "../model/model.safetensors"
    path.write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match="a shard is missing"):
        open_checkpoint(folder)


def without(name: str) -> dict[str, np.ndarray]:
    return {key: array for key, array in random_weights(TINY).items() if key != name}


def misshapen(name: str, *shape: int) -> dict[str, np.ndarray]:
    return random_weights(TINY) | {name: np.zeros(shape, np.float32)}


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (without("layers.1.feed_forward.w2.weight"), "missing; got layers.1.feed_forward.w2.weigh"),
        (without("tok_embeddings.weight"), "the embedding is missing"),
        (misshapen("tok_embeddings.weight"), "the embedding has no rows"),
        (without("output.weight"), "weights are missing; got output.weight not found"),
        (
            misshapen("layers.1.attention.wk.weight", 64, 64),
            "wk.weight has the wrong shape; got 64 x 64; allowed: 32 x 64",
        ),
        (misshapen("norm.weight", 63), "norm.weight has the wrong shape; got 63; allowed: 64"),
        (
            misshapen("layers.2.ffn_norm.weight", 64),
            "more weights than the configuration has; got layers.2.ffn_norm.weight; allowed: 2 lay",
        ),
    ],
)
def test_weights_that_do_not_go_with_the_configuration_are_refused(
    make_hf: MakeHf, weights: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        open_checkpoint(make_hf(weights=weights))


def test_biases_are_refused(make_hf: MakeHf) -> None:
    folder = make_hf()
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    save_file(load_file(path) | {"model.layers.0.self_attn.q_proj.bias": torch.ones(64)}, path)
    with pytest.raises(
        CheckpointError, match=r"Llama model does not have; got model.*q_proj\.bias"
    ):
        open_checkpoint(folder)


def test_another_storage_format_is_refused(make_hf: MakeHf) -> None:
    folder = make_hf()
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors[hf_name("norm.weight")] = tensors[hf_name("norm.weight")].double()
    save_file(tensors, path)
    with pytest.raises(CheckpointError, match=r"norm\.weight is stored as f64; allowed: f32, f16"):
        open_checkpoint(folder)


def test_a_source_without_theta_is_refused_unless_it_is_given(make_hf: MakeHf) -> None:
    folder = make_hf()
    edit_config(folder, rope_theta=None)
    with pytest.raises(CheckpointError, match=r"rope theta is missing; .*--rope-theta"):
        open_checkpoint(folder)
    assert open_checkpoint(folder, rope_theta=1e6).config == TINY


@pytest.mark.parametrize("theta", [0.0, -1.0, float("nan"), float("inf")])
def test_a_senseless_theta_is_refused(make_hf: MakeHf, theta: float) -> None:
    with pytest.raises(UsageError, match=r"rope theta; got .*; allowed: a number above 0"):
        open_checkpoint(make_hf(), rope_theta=theta)


def test_another_architecture_is_named_before_its_weights(make_hf: MakeHf) -> None:
    folder = make_hf(weights=without("tok_embeddings.weight"), model_type="gpt2", architectures=[])
    with pytest.raises(CheckpointError, match="unknown architecture; got model_type gpt2"):
        open_checkpoint(folder)


def test_a_folder_of_pickled_weights_gets_a_remedy(make_hf: MakeHf) -> None:
    folder = make_hf()
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"no weights; .*save_pretrained"):
        open_checkpoint(folder)


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_broken_configuration_is_refused(make_hf: MakeHf, text: str) -> None:
    folder = make_hf()
    (folder / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"config\.json: "):
        open_checkpoint(folder)


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "broken.gguf").write_text("")
    for path, message in (
        (tmp_path / "absent", "no such file or folder; allowed: a folder with config.json"),
        (tmp_path, "a folder without a model"),
        (tmp_path / "notes.txt", "not a model; .*name the folder"),
        (tmp_path / "broken.gguf", "not a GGUF file, or truncated"),
    ):
        with pytest.raises(CheckpointError, match=message):
            open_checkpoint(path)
