from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import pytest

from quipu.checkpoint import as_float32, convert, open_checkpoint
from quipu.checkpoint.names import name_in
from quipu.config import Abilities, ModelConfig, RopeScaling
from quipu.errors import CheckpointError, TokenizerError
from quipu.sentencepiece_proto import decode
from unit.checkpoint.conftest import MakeHf
from unit.checkpoint.models import TINY, cut, random_weights, train_sentencepiece
from unit.checkpoint.test_meta import interleaved

KINDS = gguf.GGMLQuantizationType


def write_gguf(
    path: Path,
    config: ModelConfig = TINY,
    kind: KINDS = KINDS.F16,
    leave_out: str = "",
    **changes: object,
) -> Path:
    """As llama.cpp's converter writes it, with the gguf library."""
    writer = gguf.GGUFWriter(path, str(changes.pop("architecture", "llama")))
    values: dict[str, object] = {
        "llama.context_length": config.context,
        "llama.embedding_length": config.dim,
        "llama.block_count": config.layers,
        "llama.feed_forward_length": config.ffn,
        "llama.attention.head_count": config.heads,
        "llama.attention.head_count_kv": config.kv_heads,
        "llama.rope.dimension_count": config.head_size,
    }
    floats = {
        "llama.rope.freq_base": config.rope_theta,
        "llama.attention.layer_norm_rms_epsilon": config.norm_eps,
    }
    for key, value in (values | floats | changes).items():
        if key == leave_out:
            continue
        if isinstance(value, float):
            writer.add_float32(key, value)
        elif isinstance(value, str):
            writer.add_string(key, value)
        elif isinstance(value, list):
            writer.add_array(key, value)
        else:
            writer.add_uint32(key, value)
    for name, array in random_weights(config).items():
        if name.endswith("wq.weight"):
            array = interleaved(array, config.heads)
        if name.endswith("wk.weight"):
            array = interleaved(array, config.kv_heads)
        theirs = name_in("gguf", name)
        if theirs == leave_out:
            continue
        if array.ndim == 1:
            writer.add_tensor(theirs, array)
        else:
            writer.add_tensor(theirs, gguf.quantize(array, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("kind", [KINDS.F32, KINDS.F16, KINDS.BF16])
def test_plain_weights_are_read_in_our_order(tmp_path: Path, kind: KINDS) -> None:
    checkpoint = open_checkpoint(write_gguf(tmp_path / "x.gguf", kind=kind))
    assert (checkpoint.layout, checkpoint.config) == ("gguf", TINY)
    for name, expected in random_weights(TINY).items():
        assert np.array_equal(as_float32(checkpoint.read(name)), expected)


@pytest.mark.parametrize("kind", [KINDS.Q8_0, KINDS.Q4_0, KINDS.Q5_1])
def test_quantised_rows_are_put_in_order_too(tmp_path: Path, kind: KINDS) -> None:
    checkpoint = open_checkpoint(write_gguf(tmp_path / "x.gguf", kind=kind))
    for name, values in random_weights(TINY).items():
        expected = values
        if values.ndim == 2:
            expected = gguf.dequantize(gguf.quantize(values, kind), kind)
        assert np.array_equal(as_float32(checkpoint.read(name)), expected)


def test_a_file_without_output_is_tied(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "x.gguf", leave_out="output.weight")
    assert open_checkpoint(path).config == replace(TINY, tied=True)


def test_a_source_without_theta_is_refused_unless_it_is_given(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "x.gguf", leave_out="llama.rope.freq_base")
    with pytest.raises(CheckpointError, match=r"x\.gguf: rope theta is missing; .*--rope-theta"):
        open_checkpoint(path)
    assert open_checkpoint(path, rope_theta=1e6).config == TINY


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "qwen2"}, "unknown architecture; got qwen2; allowed: llama"),
        ({"split.count": 3}, "split over several files; got 3 files; .*llama-gguf-split --merge"),
        ({"llama.expert_count": 8}, "llama.expert_count is not supported; got 8"),
        ({"llama.rope.dimension_count": 8}, "dimension_count does not fit the weights; got 8"),
        ({"llama.block_count": 3}, "weights are missing; got layers.2.attention_norm.weight, "),
        ({"llama.block_count": 1}, "more weights than the configuration has"),
        ({"llama.feed_forward_length": 95}, "w1.weight has the wrong shape; got 96 x 64"),
        ({"llama.feed_forward_length": [96, 96]}, "feed_forward_length; got"),
        ({"llama.rope.scaling.type": "longrope", "llama.rope.scaling.factor": 2.0}, "got longrope"),
        ({"leave_out": "token_embd.weight"}, "the embedding is missing"),
        ({"leave_out": "llama.block_count"}, "llama.block_count is missing"),
        ({"kind": KINDS.TQ1_0}, ""),
    ],
)
def test_what_is_no_whole_llama_is_refused(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    config = replace(TINY, dim=256, ffn=256, head_size=64) if "kind" in changes else TINY
    message = message or "stored as tq1_0; allowed: f32, f16, bf16, q4_0"
    with pytest.raises(CheckpointError, match=message):
        open_checkpoint(write_gguf(tmp_path / "x.gguf", config, **changes))


SCALINGS = [
    RopeScaling(kind="linear", factor=4.0),
    RopeScaling(kind="yarn", factor=8.0, original_context=64, beta_fast=16.0, beta_slow=2.0),
    RopeScaling(kind="yarn", factor=8.0, attention_factor=1.25),
    RopeScaling(kind="yarn", factor=2.0),
]


@pytest.mark.parametrize("scaling", SCALINGS)
def test_rotary_scaling_survives_the_trip(
    make_hf: MakeHf, tmp_path: Path, scaling: RopeScaling
) -> None:
    values = {
        "rope_type": scaling.kind,
        "factor": scaling.factor,
        "original_max_position_embeddings": scaling.original_context,
        "beta_fast": scaling.beta_fast,
        "beta_slow": scaling.beta_slow,
        "attention_factor": scaling.attention_factor,
    }
    convert(make_hf(rope_scaling=values), tmp_path / "x.gguf", to="gguf")
    found = open_checkpoint(tmp_path / "x.gguf").config.rope_scaling
    assert found is not None
    assert replace(found, attention_factor=None) == replace(scaling, attention_factor=None)
    meant = scaling.attention_factor
    assert found.attention_factor == (meant and pytest.approx(meant, rel=1e-6))


def test_an_attention_factor_is_written_relative_as_llama_cpp_reads_it(
    make_hf: MakeHf, tmp_path: Path
) -> None:
    rope = {"rope_type": "yarn", "factor": np.e, "attention_factor": 2.2}
    convert(make_hf(rope_scaling=rope), tmp_path / "x.gguf", to="gguf")
    field = gguf.GGUFReader(tmp_path / "x.gguf").fields["llama.rope.scaling.attn_factor"]
    assert field.contents() == pytest.approx(2.0)


def test_the_old_spelling_of_linear_scaling_is_read(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "x.gguf", **{"llama.rope.scale_linear": 2.0})
    scaling = open_checkpoint(path).config.rope_scaling
    assert scaling == RopeScaling(kind="linear", factor=2.0)


def test_the_library_finds_norms_in_f32_and_the_infilling_tokens(
    make_hf: MakeHf, tmp_path: Path
) -> None:
    convert(make_hf(dtype="bf16"), tmp_path / "x.gguf", to="gguf")
    reader = gguf.GGUFReader(tmp_path / "x.gguf")
    kinds = {tensor.name: tensor.tensor_type for tensor in reader.tensors}
    assert kinds["blk.0.attn_q.weight"] == KINDS.BF16
    assert kinds["blk.0.attn_norm.weight"] == KINDS.F32
    for number, names in enumerate(
        (
            ("prefix", "fim_pre"),
            ("suffix", "fim_suf"),
            ("middle", "fim_mid"),
            ("eot",),
        )
    ):
        for name in names:
            assert reader.fields[f"tokenizer.ggml.{name}_token_id"].contents() == 3 + number
    assert reader.fields["llama.rope.freq_base"].contents() == 1e6
    tokens = reader.fields["tokenizer.ggml.tokens"].contents()
    assert len(tokens) == TINY.vocab
    assert tokens[-4:] == ["[PAD316]", "[PAD317]", "[PAD318]", "[PAD319]"]


def test_the_tokenizer_comes_back_without_its_padding(
    make_hf: MakeHf, tmp_path: Path, tokenizer_model: bytes
) -> None:
    convert(make_hf(), tmp_path / "x.gguf", to="gguf")
    files = open_checkpoint(tmp_path / "x.gguf").tokenizer_files()
    assert decode(files["tokenizer.model"]) == decode(tokenizer_model)


def test_added_tokens_become_pieces(make_hf: MakeHf, tmp_path: Path) -> None:
    source = make_hf()
    (source / "added_tokens.json").write_text('{"<step>": 317}')
    convert(source, tmp_path / "x.gguf", to="gguf")
    checkpoint = open_checkpoint(tmp_path / "x.gguf")
    pieces = decode(checkpoint.tokenizer_files()["tokenizer.model"]).pieces
    assert (len(pieces), pieces[317].text, pieces[317].kind) == (318, "<step>", 3)
    assert checkpoint.abilities == Abilities(infill=True, chat="source")


def test_a_tokenizer_json_alone_travels_whole(make_hf: MakeHf, tmp_path: Path) -> None:
    source = make_hf(tokenizer=False)
    content = '{"model": {"type": "BPE", "vocab": {"<s>": 0, "é": 1}, "merges": []}}'
    (source / "tokenizer.json").write_text(content, encoding="utf-8")
    (source / "tokenizer_config.json").write_text('{"bos_token": "<s>"}')
    convert(source, tmp_path / "x.gguf", to="gguf")
    convert(tmp_path / "x.gguf", tmp_path / "back", to="hf")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / "back" / name).read_bytes() == (source / name).read_bytes()


def test_small_files_and_the_chat_template_travel(make_hf: MakeHf, tmp_path: Path) -> None:
    source = make_hf()
    (source / "chat_template.jinja").write_text("[INST] é")
    (source / "generation_config.json").write_text('{"temperature": 0.2}')
    convert(source, tmp_path / "x.gguf", to="gguf")
    fields = gguf.GGUFReader(tmp_path / "x.gguf").fields
    assert fields["tokenizer.chat_template"].contents() == "[INST] é"
    convert(tmp_path / "x.gguf", tmp_path / "back", to="hf")
    for name in ("chat_template.jinja", "generation_config.json"):
        assert (tmp_path / "back" / name).read_bytes() == (source / name).read_bytes()
    assert open_checkpoint(tmp_path / "back").abilities == Abilities(infill=True, chat="inst")


def test_a_foreign_file_with_a_llama_tokenizer_gives_a_tokenizer_model(tmp_path: Path) -> None:
    proto = decode(train_sentencepiece())
    tokens: dict[str, object] = {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": [piece.text for piece in proto.pieces],
        "tokenizer.ggml.scores": [piece.score for piece in proto.pieces],
        "tokenizer.ggml.token_type": [piece.kind for piece in proto.pieces],
    }
    checkpoint = open_checkpoint(write_gguf(tmp_path / "x.gguf", **tokens))
    assert decode(checkpoint.tokenizer_files()["tokenizer.model"]) == proto
    assert checkpoint.abilities == Abilities(infill=True)


def test_code_llamas_ids_written_into_any_llama_are_no_ability(tmp_path: Path) -> None:
    ids = {"tokenizer.ggml.prefix_token_id": 32007, "tokenizer.ggml.suffix_token_id": 32008}
    assert open_checkpoint(write_gguf(tmp_path / "x.gguf", **ids)).abilities == Abilities()


def test_tokenizer_arrays_of_different_lengths_are_refused(tmp_path: Path) -> None:
    arrays: dict[str, object] = {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": ["a", "b"],
        "tokenizer.ggml.scores": [0.0],
    }
    with pytest.raises(TokenizerError, match="got 2 tokens, 1 scores, 2 types"):
        open_checkpoint(write_gguf(tmp_path / "x.gguf", **arrays)).tokenizer_files()


def test_a_unigram_tokenizer_is_refused_and_leaves_nothing(make_hf: MakeHf, tmp_path: Path) -> None:
    source = make_hf()
    unigram = train_sentencepiece(model_type="unigram", vocab_size=300)
    (source / "tokenizer.model").write_bytes(unigram)
    with pytest.raises(TokenizerError, match="GGUF cannot carry"):
        convert(source, tmp_path / "x.gguf", to="gguf")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "x.gguf")
    cut(path, -1000)
    with pytest.raises(CheckpointError, match=r"file is truncated; got .* bytes; allowed"):
        open_checkpoint(path)
