"""SentencePiece models, read and written, split text as the library does."""

from dataclasses import replace
from pathlib import Path

import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

from quipu.errors import TokenizerError
from quipu.sentencepiece_proto import CONTROL, UNKNOWN, Piece, decode, encode
from unit.checkpoint.models import SHARED, train_sentencepiece


@pytest.fixture(scope="module")
def tokenizer_model() -> bytes:
    return train_sentencepiece()


def load(data: bytes) -> sentencepiece.SentencePieceProcessor:
    processor = sentencepiece.SentencePieceProcessor()
    processor.LoadFromSerializedProto(data)
    return processor


@settings(deadline=None)
@given(text=st.text(max_size=60))
def test_a_rebuilt_model_splits_every_text_alike(tokenizer_model: bytes, text: str) -> None:
    rebuilt = encode(decode(tokenizer_model))
    assert load(rebuilt).encode(text) == load(tokenizer_model).encode(text)


@pytest.mark.parametrize(
    "options",
    [
        {"add_dummy_prefix": False},
        {"remove_extra_whitespaces": True},
        {"normalization_rule_name": "nmt_nfkc"},
        {"unk_id": 3, "bos_id": 0, "eos_id": 1, "bos_piece": "<begin>", "eos_piece": "<end>"},
        {"bos_id": -1, "eos_id": -1},
        {"user_defined_symbols": ["def"]},
    ],
)
def test_settings_survive_the_trip(options: dict[str, object]) -> None:
    source = train_sentencepiece(**options)
    before, after = load(source), load(encode(decode(source)))
    text = "  def ﬁne(x):  return ½  "
    assert after.encode(text) == before.encode(text)
    ends = [(p.unk_id(), p.bos_id(), p.eos_id(), p.pad_id()) for p in (before, after)]
    assert ends[0] == ends[1]
    assert decode(encode(decode(source))) == decode(source)


def test_pieces_scores_and_kinds_are_those_of_the_library(tokenizer_model: bytes) -> None:
    library, proto = load(tokenizer_model), decode(tokenizer_model)
    assert [piece.text for piece in proto.pieces] == [
        library.id_to_piece(token) for token in range(library.vocab_size())
    ]
    assert [piece.score for piece in proto.pieces] == [
        library.get_score(token) for token in range(library.vocab_size())
    ]
    assert [piece.kind == CONTROL for piece in proto.pieces] == [
        library.is_control(token) for token in range(library.vocab_size())
    ]
    assert (proto.unk_id, proto.bos_id, proto.eos_id) == (0, 1, 2)


def test_a_piece_with_any_character_survives(tokenizer_model: bytes) -> None:
    proto = decode(tokenizer_model)
    more = (*proto.pieces, Piece("▁\u00e9\U0001f999\n", -1e9, 4))
    assert decode(encode(replace(proto, pieces=more))).pieces == more


def test_a_unigram_model_is_refused() -> None:
    unigram = train_sentencepiece(model_type="unigram", vocab_size=300)
    with pytest.raises(TokenizerError, match="GGUF cannot carry this kind"):
        decode(unigram)


@pytest.mark.parametrize("data", [b"\x0a\xff", b"{}", b"\x0a\x03\x0a\x01\xff"])
def test_another_file_is_refused(data: bytes) -> None:
    with pytest.raises(TokenizerError):
        decode(data)


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared is absent")
def test_the_tokenizer_of_llama_2_splits_code_alike_after_the_trip() -> None:
    source = (SHARED / "data" / "tokenizer" / "llama2-tokenizer.model").read_bytes()
    proto = decode(source)
    assert len(proto.pieces) == 32000
    assert sum(piece.kind == UNKNOWN for piece in proto.pieces) == 1
    before, after = load(source), load(encode(proto))
    text = Path(__file__).read_text(encoding="utf-8") + "\r\n\t  \u2603 \U0001f999 日本語"
    assert after.encode(text) == before.encode(text)
