"""Training of a vocabulary."""

import pytest
import sentencepiece

from quipu.errors import TokenizerError
from quipu.text.tokenizer import InfillIds, Tokenizer
from quipu.text.vocabulary import LONGEST_LINE, train_tokenizer
from unit.text.vocabularies import source_texts


def test_ends_and_infilling_specials_come_first(tiny: Tokenizer) -> None:
    assert (tiny.bos_id, tiny.eos_id, tiny.specials["<unk>"]) == (1, 2, 0)
    assert tiny.infill == InfillIds(pre=3, suf=4, mid=5, eot=6)
    assert tiny.step_id is None
    assert tiny.token_bytes[7:263] == [bytes([byte]) for byte in range(256)]


def test_has_the_size_that_was_asked_for(tiny: Tokenizer) -> None:
    assert tiny.vocab == 700


def test_the_same_texts_give_the_same_vocabulary(tiny_model: bytes) -> None:
    assert train_tokenizer(source_texts(), 700) == tiny_model


def test_adds_a_dummy_space_as_llama_does(tiny_model: bytes) -> None:
    processor = sentencepiece.SentencePieceProcessor(model_proto=tiny_model)
    assert processor.EncodeAsPieces("def")[0].startswith("▁")


def test_digits_stand_alone(tiny: Tokenizer) -> None:
    learned = tiny.token_bytes[263:]
    assert not [data for data in learned if len(data) > 1 and any(48 <= b < 58 for b in data)]


def test_no_learned_piece_holds_a_line_end_or_an_inner_space(tiny: Tokenizer) -> None:
    learned = tiny.token_bytes[263:]
    assert not [data for data in learned if b"\n" in data]
    assert not [data for data in learned if b" " in data.lstrip(b" ")]


def test_indentation_has_pieces_of_its_own(tiny: Tokenizer) -> None:
    assert {b" " * size for size in (1, 4, 8)} <= set(tiny.token_bytes)
    assert max(len(data) for data in tiny.token_bytes if not data.strip(b" ")) <= 16


def test_words_at_the_start_of_a_line_are_learned_without_a_space(tiny: Tokenizer) -> None:
    texts = ["import os\n" * 50 + "abc xyz " * 50] * 5
    tokenizer = Tokenizer.from_files({"tokenizer.model": train_tokenizer(texts, 290)})
    assert b"import" in tokenizer.token_bytes
    assert b" import" not in tokenizer.token_bytes
    assert tiny.decode(tiny.encode(texts[0])) == texts[0]


def test_very_long_lines_and_reserved_characters_do_not_stop_it() -> None:
    texts = ["x = 1\n" * 99, "y" * (LONGEST_LINE + 1), "▁ and \0 \u2047\n", "\n\n", ""]
    tokenizer = Tokenizer.from_files({"tokenizer.model": train_tokenizer(texts, 267)})
    assert all(tokenizer.decode(tokenizer.encode(text)) == text for text in texts)


@pytest.mark.parametrize("vocab", [10, 1_000_000])
def test_an_impossible_size_is_refused(vocab: int) -> None:
    with pytest.raises(TokenizerError, match=f"cannot be trained; got {vocab} pieces") as caught:
        train_tokenizer(["a short text"], vocab)
    assert "\n" not in str(caught.value)


def test_no_text_is_refused() -> None:
    with pytest.raises(TokenizerError, match="cannot be trained"):
        train_tokenizer([], 300)
