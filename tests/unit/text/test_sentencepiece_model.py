"""Files that are no SentencePiece model, or none that keeps text."""

import pytest
import sentencepiece

from quipu.errors import TokenizerError
from quipu.text.sentencepiece_model import SentencePieceModel, with_dummy_prefix
from quipu.text.tokenizer import Tokenizer
from quipu.wire import BYTES, VARINT, Field, read_fields, write_fields
from unit.text.vocabularies import handmade_model, piece_field


def _load(data: bytes) -> Tokenizer:
    return Tokenizer.from_files({"tokenizer.model": data})


@pytest.mark.parametrize("data", [b"", b"{}", b"\0" * 100, b"\xff" * 9, b"<!DOCTYPE html>"])
def test_a_foreign_file_is_refused_on_one_line(data: bytes) -> None:
    with pytest.raises(TokenizerError, match=r"^tokenizer.model .*") as caught:
        _load(data)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(tiny_model: bytes, share: float) -> None:
    with pytest.raises(TokenizerError):
        _load(tiny_model[: int(len(tiny_model) * share)])


def test_a_piece_that_is_not_utf8_is_refused() -> None:
    broken = Field(1, BYTES, write_fields([Field(1, BYTES, b"\xff\xfe")]))
    with pytest.raises(TokenizerError, match="cannot be read"):
        _load(write_fields([broken]) + handmade_model())


def test_a_model_without_all_bytes_is_refused() -> None:
    fields = [field for field in read_fields(handmade_model()) if b"<0x" not in field.raw()]
    no_fallback = Field(2, BYTES, write_fields([Field(35, VARINT, 0)]))
    with pytest.raises(TokenizerError, match="256 of 256 byte pieces missing"):
        _load(write_fields([*fields, no_fallback]))


def test_a_model_that_drops_spaces_is_refused() -> None:
    drops = Field(3, BYTES, write_fields([Field(4, VARINT, 1)]))
    with pytest.raises(TokenizerError, match="does not keep text byte for byte"):
        _load(write_fields([*read_fields(handmade_model()), drops]))


def test_a_model_without_settings_for_text_has_the_defaults_of_the_format() -> None:
    fields = [field for field in read_fields(handmade_model()) if field.number != 3]
    with pytest.raises(TokenizerError, match="does not keep text"):  # extra spaces are removed
        _load(write_fields(fields))


def test_dummy_space_is_the_models_choice() -> None:
    without = _load(with_dummy_prefix(handmade_model(), False))
    assert not without.adds_space
    assert without.encode("print") == without.encode("print", dummy_prefix=False)
    assert without.decode(without.encode(" print")) == " print"


@pytest.mark.parametrize("on", [False, True])
def test_dummy_prefix_can_be_switched_for_the_library(on: bool) -> None:
    model = with_dummy_prefix(with_dummy_prefix(handmade_model(), not on), on)
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    assert processor.EncodeAsPieces("print") == (["▁print"] if on else ["print"])


def test_the_self_test_of_a_file_does_not_stop_us() -> None:
    sample = write_fields([Field(1, BYTES, b"print"), Field(2, BYTES, "▁print".encode())])
    self_test = Field(4, BYTES, write_fields([Field(1, BYTES, sample)]))
    model = write_fields([*read_fields(handmade_model()), self_test])
    assert _load(model).encode("print") == _load(handmade_model()).encode("print")


def test_ends_may_be_absent() -> None:
    trainer = write_fields([Field(3, VARINT, 2), Field(35, VARINT, 1), Field(46, BYTES, b"<none>")])
    fields = [*read_fields(handmade_model()), Field(2, BYTES, trainer)]
    model = SentencePieceModel(write_fields(fields))
    assert (model.bos_id, model.eos_id) == (None, 2)


def test_a_learned_piece_that_looks_like_a_tag_stays_text() -> None:
    fields = list(read_fields(handmade_model()))
    model = SentencePieceModel(write_fields([*fields[:300], piece_field("<b>"), *fields[300:]]))
    assert model.token_bytes[300] == b"<b>"
    assert "<b>" not in model.specials
