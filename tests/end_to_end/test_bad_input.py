"""Wrong input gives one line that says what, got, allowed and remedy, and leaves nothing behind."""

import hashlib
import json
import shutil

import pytest

PROMPT = ("complete", "x = ", "--max-tokens", "2")


@pytest.fixture
def copy(model, tmp_path):
    """A copy of the small model, to be broken."""
    return shutil.copytree(model, tmp_path / "copy")


def _edit(path, **values):
    settings = json.loads(path.read_text())
    settings.update(values)
    path.write_text(json.dumps({k: v for k, v in settings.items() if v is not None}))


def test_a_truncated_checkpoint(refused, copy):
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    assert "model.safetensors" in refused(*PROMPT, "--model", copy)


def test_a_foreign_file(refused, tmp_path):
    (tmp_path / "model.gguf").write_bytes(b"not a model at all")
    assert "model.gguf" in refused(*PROMPT, "--model", tmp_path / "model.gguf")


def test_a_folder_that_holds_no_model(refused, tmp_path):
    assert str(tmp_path) in refused(*PROMPT, "--model", tmp_path)


def test_a_model_that_is_nowhere(refused):
    assert "quipu-6m" in refused(*PROMPT, "--model", "no-such-model", code=2)


def test_a_missing_shard(refused, quipu, model, tmp_path):
    assert quipu("convert", model, tmp_path / "m", "--to", "hf", "--shards", 2).code == 0
    (tmp_path / "m" / "model-00002-of-00002.safetensors").unlink()
    assert "model-00002-of-00002" in refused(*PROMPT, "--model", tmp_path / "m")


def test_a_missing_model_parallel_shard(refused, quipu, model, tmp_path):
    # One key/value head cannot be split in two; the small model's heads can be in one shard only.
    assert quipu("convert", model, tmp_path / "m", "--to", "meta").code == 0
    (tmp_path / "m" / "consolidated.00.pth").unlink()
    assert "consolidated" in refused("info", tmp_path / "m")


def test_a_weight_of_the_wrong_shape(refused, copy):
    _edit(copy / "config.json", intermediate_size=256)
    assert "wrong shape" in refused(*PROMPT, "--model", copy)


def test_an_unknown_architecture(refused, copy):
    _edit(copy / "config.json", architectures=["GPT2LMHeadModel"], model_type="gpt2")
    assert "LlamaForCausalLM" in refused(*PROMPT, "--model", copy)


def test_a_missing_theta(refused, copy, tmp_path):
    _edit(copy / "config.json", rope_theta=None, rope_parameters=None)
    assert "--rope-theta" in refused("convert", copy, tmp_path / "out", "--to", "hf")
    assert not (tmp_path / "out").exists()


def test_a_tokenizer_that_does_not_fit(refused, copy):
    from quipu.text.vocabulary import train_tokenizer

    words = (f"{hashlib.sha256(bytes([i])).hexdigest()} = x\n" for i in range(200))
    (copy / "tokenizer.model").write_bytes(train_tokenizer(words, 600))
    assert "600" in refused(*PROMPT, "--model", copy)


def test_a_model_without_a_tokenizer(refused, copy):
    for file in copy.glob("tokenizer*"):
        file.unlink()
    assert "tokenizer" in refused(*PROMPT, "--model", copy)


def test_a_prompt_longer_than_the_context(refused, model):
    assert "64" in refused("complete", "x = 1\n" * 100, "--model", model, code=2)


def test_infilling_with_a_model_that_cannot(refused, copy, tmp_path):
    _edit(copy / "config.json", quipu={"infill": False, "chat": None})
    (tmp_path / "f.py").write_text("x = <FILL_ME>\n")
    assert "not trained to infill" in refused("infill", tmp_path / "f.py", "--model", copy)


def test_stdin_that_is_not_utf8(refused, model):
    line = refused("complete", "-", "--model", model, code=2, stdin=b"x = 1\ny = \xff\n")
    assert "0xff" in line
    assert "line 2" in line


def test_a_cursor_outside_the_file(refused, model, tmp_path):
    (tmp_path / "f.py").write_text("x = 1\n")
    line = refused("infill", tmp_path / "f.py", "--at", "9:1", "--model", model, code=2)
    assert "allowed: 1 to 2" in line


def test_a_file_that_is_not_there(refused, model, tmp_path):
    refused("infill", tmp_path / "none.py", "--at", "1:1", "--model", model, code=2)


@pytest.mark.parametrize(
    "option",
    [
        ("--temperature", "-1"),
        ("--top-p", "0"),
        ("--max-tokens", "0"),
        ("--n", "0"),
        ("--stop", ""),
        ("--seed", "-1"),
    ],
)
def test_options_out_of_range(refused, model, option):
    assert "allowed" in refused(*PROMPT, "--model", model, *option, code=2)


def test_an_unknown_backend_and_a_server_that_is_not_there(refused, model):
    assert "torch" in refused(*PROMPT, "--model", model, "--backend", "magic", code=2)
    address = ("--backend", "http://127.0.0.1:9/v1", "--model", "m", "--tokenizer", model)
    assert "127.0.0.1:9" in refused(*PROMPT, *address)


def test_a_disk_that_fills_up_while_converting(refused, model, tmp_path, monkeypatch):
    from quipu.checkpoint import safetensors_file

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(safetensors_file.SafetensorsWriter, "write", full)
    line = refused("convert", model, tmp_path / "out", "--to", "hf")
    assert "No space left" in line
    assert [path.name for path in tmp_path.iterdir()] == []


def test_a_target_that_exists_is_not_overwritten(refused, model, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious").write_text("kept")
    assert "--force" in refused("convert", model, tmp_path / "out", "--to", "hf")
    assert (tmp_path / "out" / "precious").read_text() == "kept"


@pytest.mark.parametrize(
    ("recipe", "word"),
    [
        ("no_colon", "MODULE:FUNCTION"),
        ("no_such_module:f", "no_such_module"),
        ("json:dumps", "TrainRecipe"),
        ("json:nothing", "TrainRecipe"),
    ],
)
def test_a_recipe_that_is_none(refused, recipe, word):
    assert word in refused("train", recipe, code=2)


@pytest.mark.parametrize("option", ["--prompt-tokens", "--new-tokens", "--batch", "--rounds"])
def test_a_measurement_of_nothing(refused, model, option):
    assert f"{option}; got 0" in refused("bench", "--model", model, option, "0", code=2)


def test_a_measurement_longer_than_the_context(refused, model):
    assert "64" in refused("bench", "--model", model, "--prompt-tokens", "64", code=2)


def test_a_measurement_of_no_model(refused):
    assert "quipu-6m" in refused("bench", "--model", "no-such-model", code=2)
