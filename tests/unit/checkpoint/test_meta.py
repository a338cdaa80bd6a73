import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from quipu.checkpoint import as_float32, convert, open_checkpoint
from quipu.checkpoint.meta import feed_forward_size, params_values
from quipu.config import SIZES, Abilities, ModelConfig, RopeScaling
from quipu.errors import CheckpointError, UsageError
from unit.checkpoint.conftest import MakeHf
from unit.checkpoint.models import TINY, Weights, cut, random_weights

WIDE = replace(TINY, heads=8, kv_heads=8, head_size=8, ffn=128)  # divides by 8


def interleaved(rows: np.ndarray, heads: int) -> np.ndarray:
    """Our rotary order -> Meta's, row by row: a table of its own, apart from rotary.py."""
    size = len(rows) // heads
    order = [
        h * size + half * (size // 2) + p
        for h in range(heads)
        for p in range(size // 2)
        for half in (0, 1)
    ]
    return rows[order]


def write_meta(folder: Path, config: ModelConfig, weights: Weights, shards: int) -> Path:
    """As Meta's own code would have saved it, with torch."""
    folder.mkdir()
    columns = ("wo.weight", "w2.weight", "tok_embeddings.weight")
    for shard in range(shards):
        state: dict[str, torch.Tensor] = {"rope.freqs": torch.ones(config.head_size // 2)}
        for name, array in weights.items():
            if name.endswith("wq.weight"):
                array = interleaved(array, config.heads)
            if name.endswith("wk.weight"):
                array = interleaved(array, config.kv_heads)
            axis = 1 if name.endswith(columns) else 0
            share = array if array.ndim == 1 else np.split(array, shards, axis)[shard]
            state[name] = torch.from_numpy(np.ascontiguousarray(share)).bfloat16()
        torch.save(state, folder / f"consolidated.{shard:02}.pth")
    params = {
        "dim": config.dim,
        "n_layers": config.layers,
        "n_heads": config.heads,
        "multiple_of": 32,
        "norm_eps": config.norm_eps,
        "rope_theta": config.rope_theta,
        "vocab_size": -1,
    }
    if config.kv_heads != config.heads:
        params["n_kv_heads"] = config.kv_heads
    (folder / "params.json").write_text(json.dumps(params))
    return folder


def edit_params(folder: Path, **changes: object) -> None:
    values = json.loads((folder / "params.json").read_text()) | changes
    (folder / "params.json").write_text(
        json.dumps({key: value for key, value in values.items() if value is not None})
    )


@pytest.fixture
def two_shards(tmp_path: Path) -> Path:
    return write_meta(tmp_path / "CodeLlama-tiny", WIDE, random_weights(WIDE), 2)


@pytest.mark.parametrize("shards", [1, 2, 4, 8])
@pytest.mark.parametrize("config", [WIDE, replace(WIDE, heads=16, head_size=4)])
def test_shards_are_merged(tmp_path: Path, config: ModelConfig, shards: int) -> None:
    weights = random_weights(config)
    checkpoint = open_checkpoint(write_meta(tmp_path / "m", config, weights, shards))
    assert checkpoint.layout == "meta"
    assert checkpoint.config == replace(config, context=16384)
    assert list(checkpoint.names()) == list(weights)
    for name, expected in weights.items():
        tensor = checkpoint.read(name)
        assert tensor.dtype == "bf16"
        assert tensor.spec == checkpoint.spec(name)
        assert np.array_equal(as_float32(tensor), expected)


@pytest.mark.parametrize("shards", [1, 2, 8])
def test_what_we_write_torch_loads_as_meta_would_have_saved_it(
    make_hf: MakeHf, tmp_path: Path, shards: int
) -> None:
    convert(make_hf(WIDE, dtype="bf16"), tmp_path / "ours", to="meta", shards=shards)
    write_meta(tmp_path / "theirs", WIDE, random_weights(WIDE), shards)
    for shard in range(shards):
        name = f"consolidated.{shard:02}.pth"
        ours = torch.load(tmp_path / "ours" / name, weights_only=True)
        theirs = torch.load(tmp_path / "theirs" / name, weights_only=True)
        del theirs["rope.freqs"]
        assert list(ours) == list(theirs)
        for key, tensor in theirs.items():
            assert torch.equal(ours[key], tensor), key


@pytest.mark.parametrize("place", ["inside", "beside"])
def test_the_tokenizer_may_lie_in_the_folder_or_beside_it(
    two_shards: Path, tokenizer_model: bytes, place: str
) -> None:
    folder = two_shards if place == "inside" else two_shards.parent
    (folder / "tokenizer.model").write_bytes(tokenizer_model)
    checkpoint = open_checkpoint(two_shards)
    assert checkpoint.tokenizer_files() == {"tokenizer.model": tokenizer_model}
    assert checkpoint.abilities == Abilities(infill=True)


@pytest.mark.parametrize(("theta", "context"), [(1e6, 16384), (1e4, 4096)])
def test_the_context_follows_theta_where_nothing_says_it(
    two_shards: Path, theta: float, context: int
) -> None:
    edit_params(two_shards, rope_theta=theta)
    assert open_checkpoint(two_shards).config.context == context


def test_a_source_without_theta_is_refused_unless_it_is_given(two_shards: Path) -> None:
    edit_params(two_shards, rope_theta=None)
    with pytest.raises(CheckpointError, match=r"params\.json: rope theta is missing; .*--rope-th"):
        open_checkpoint(two_shards)
    assert open_checkpoint(two_shards, rope_theta=1e4).config.rope_theta == 1e4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dim": 128}, "dim does not fit the weights; got 128; allowed: 64"),
        ({"n_layers": 3}, "n_layers does not fit the weights; got 3; allowed: 2"),
        ({"n_kv_heads": 4}, "n_kv_heads does not fit the weights; got 4; allowed: 8"),
        ({"n_heads": None}, "n_heads is missing"),
        ({"use_scaled_rope": True}, "use_scaled_rope is not supported"),
    ],
)
def test_parameters_that_deny_the_weights_are_refused(
    two_shards: Path, changes: dict[str, object], message: str
) -> None:
    edit_params(two_shards, **changes)
    with pytest.raises(CheckpointError, match=message):
        open_checkpoint(two_shards)


@pytest.mark.parametrize("missing", [0, 1])
def test_a_missing_shard_is_named(two_shards: Path, missing: int) -> None:
    (two_shards / f"consolidated.{missing:02}.pth").unlink()
    with pytest.raises(CheckpointError, match=f"shard is missing; got .*consolidated.{missing:02}"):
        open_checkpoint(two_shards)


def test_a_truncated_shard_is_refused(two_shards: Path) -> None:
    cut(two_shards / "consolidated.01.pth", -100)
    with pytest.raises(CheckpointError, match=r"consolidated\.01\.pth: .*truncated"):
        open_checkpoint(two_shards)


def test_a_shard_with_a_wrong_shape_is_refused(two_shards: Path) -> None:
    path = two_shards / "consolidated.01.pth"
    state = torch.load(path, weights_only=True)
    state["layers.1.attention.wo.weight"] = torch.ones(64, 31).bfloat16()
    torch.save(state, path)
    with pytest.raises(
        CheckpointError, match=r"01\.pth: layers\.1\.attention\.wo\.weight has the wrong shape"
    ):
        open_checkpoint(two_shards)


def test_shards_with_different_weights_are_refused(two_shards: Path) -> None:
    path = two_shards / "consolidated.01.pth"
    state = torch.load(path, weights_only=True)
    del state["layers.1.attention.wo.weight"]
    torch.save(state, path)
    with pytest.raises(CheckpointError, match=r"other weights than in consolidated\.00\.pth"):
        open_checkpoint(two_shards)


def test_a_folder_without_weights_is_refused(two_shards: Path) -> None:
    for path in two_shards.glob("*.pth"):
        path.unlink()
    with pytest.raises(CheckpointError, match=r"no weights; allowed: consolidated\.00\.pth"):
        open_checkpoint(two_shards)


@pytest.mark.parametrize("shards", [1, 2])
def test_tied_weights_context_and_abilities_survive_the_trip(
    make_hf: MakeHf, tmp_path: Path, tied: ModelConfig, shards: int
) -> None:
    source = make_hf(tied, quipu={"infill": True, "chat": "source"})
    convert(source, tmp_path / "m", to="meta", shards=shards)
    checkpoint = open_checkpoint(tmp_path / "m")
    assert checkpoint.config == tied
    assert checkpoint.abilities == Abilities(infill=True, chat="source")
    parts = [torch.load(path, weights_only=True) for path in sorted((tmp_path / "m").glob("*.pth"))]
    head = torch.cat([part["output.weight"] for part in parts])
    embedding = torch.cat([part["tok_embeddings.weight"] for part in parts], 1)
    assert torch.equal(head, embedding)


@pytest.mark.parametrize("shards", [3, 16])
def test_shards_that_do_not_divide_the_weights_are_refused(
    make_hf: MakeHf, tmp_path: Path, shards: int
) -> None:
    with pytest.raises(UsageError, match=f"cannot be divided into {shards} shards"):
        convert(make_hf(), tmp_path / "m", to="meta", shards=shards)
    assert not (tmp_path / "m").exists()


def test_what_the_layout_cannot_say_is_refused(make_hf: MakeHf, tmp_path: Path) -> None:
    scaled = make_hf(name="scaled", rope_scaling={"rope_type": "linear", "factor": 2.0})
    with pytest.raises(CheckpointError, match="cannot say how rotary angles are scaled"):
        convert(scaled, tmp_path / "m", to="meta")
    wide = replace(TINY, head_size=32)
    with pytest.raises(CheckpointError, match="cannot say the size of a head; got 32"):
        convert(make_hf(wide, name="wide", head_dim=32), tmp_path / "m", to="meta")
    assert RopeScaling(kind="linear", factor=2.0) == open_checkpoint(scaled).config.rope_scaling


@pytest.mark.parametrize("config", [*SIZES.values(), TINY, WIDE, replace(TINY, ffn=101)])
def test_written_parameters_lead_metas_code_to_the_same_feed_forward(config: ModelConfig) -> None:
    values = params_values(config)
    assert (
        feed_forward_size(values["dim"], values["multiple_of"], values["ffn_dim_multiplier"])
        == config.ffn
    )


def test_code_llamas_own_rule_is_found_again() -> None:
    assert params_values(SIZES["34b"])["multiple_of"] == 256
    assert params_values(SIZES["70b"])["ffn_dim_multiplier"] == 1.3
