"""Text to ids and back, over every kind of vocabulary."""

import json
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import sentencepiece
import tokenizers
from hypothesis import example, given, settings
from hypothesis import strategies as st

import small
from quipu.errors import TextError, TokenizerError, UsageError
from quipu.text.tokenizer import InfillIds, Tokenizer
from unit.text.vocabularies import (
    CONTROL,
    INFILL,
    USER_DEFINED,
    byte_level_json,
    from_json,
    handmade_model,
    llama_json,
    source_texts,
)

# Anything that UTF-8 can hold, and more often what tokenizers stumble over.
hard = st.sampled_from(
    [
        *("\t", "\r\n", "\n", "\0", " ", "    ", "        ", "\x7f", "\u00a0", "\u3000", "\ufeff"),
        *("▁", "🦙", "👩\u200d👩\u200d👧", "\u00e9", "e\u0301", "\ufb01", "½", "\u200d", "\ufffd"),
        *("<PRE>", " <PRE>", "▁<PRE>", "<EOT><EOT>", "<step>", "<|endoftext|>"),
        *("<s>", "</s>", "<unk>", "<0x0A>", "def ", "return"),
    ]
)
texts = st.lists(st.one_of(hard, st.text(max_size=5)), max_size=12).map("".join)


class TestRoundTrip:
    @given(text=texts)
    @example(text="")
    @example(text=" ")
    @example(text=" " * 10_000)
    @example(text="▁")
    @example(text="▁ ▁▁  x▁")
    @example(text="\0\t\r\n\r\n\n\r")
    @settings(deadline=None, max_examples=300)
    def test_decoding_gives_back_any_text(self, any_tokenizer: Tokenizer, text: str) -> None:
        assert any_tokenizer.decode(any_tokenizer.encode(text)) == text
        ids = any_tokenizer.encode(text, dummy_prefix=False)
        assert any_tokenizer.decode(ids, dummy_prefix=False) == text

    @given(text=texts)
    @settings(deadline=None, max_examples=200)
    def test_plain_text_never_becomes_a_special(self, any_tokenizer: Tokenizer, text: str) -> None:
        assert not set(any_tokenizer.specials.values()) & set(any_tokenizer.encode(text))

    @given(data=st.data())
    @settings(deadline=None, max_examples=50)
    def test_decoding_is_that_of_the_bytes_of_the_tokens(
        self, any_tokenizer: Tokenizer, data: st.DataObject
    ) -> None:
        ids = data.draw(st.lists(st.integers(0, any_tokenizer.vocab - 1), max_size=20))
        joined = b"".join(any_tokenizer.token_bytes[token_id] for token_id in ids)
        assert any_tokenizer.decode(ids, dummy_prefix=False) == joined.decode(errors="replace")

    def test_ten_thousand_spaces_take_few_tokens(self, tiny: Tokenizer) -> None:
        assert len(tiny.encode(" " * 10_000)) < 2_000

    def test_a_text_that_begins_with_spaces_keeps_all_of_them(self, tiny: Tokenizer) -> None:
        assert [tiny.decode(tiny.encode(" " * n + "x")) for n in range(4)] == [
            " " * n + "x" for n in range(4)
        ]

    def test_a_literal_u2581_becomes_its_three_bytes(self, handmade: Tokenizer) -> None:
        spelled = [3 + byte for byte in "▁".encode()]
        assert handmade.encode("▁", dummy_prefix=False) == spelled
        assert handmade.encode("a▁b", dummy_prefix=False) == [
            *handmade.encode("a", dummy_prefix=False),
            *spelled,
            *handmade.encode("b", dummy_prefix=False),
        ]


class TestDecode:
    def test_half_a_character_becomes_a_replacement_character(self, handmade: Tokenizer) -> None:
        llama = handmade.encode("🦙", dummy_prefix=False)
        assert handmade.decode(llama[:-1], dummy_prefix=False) == "\ufffd"

    def test_specials_vanish(self, handmade: Tokenizer) -> None:
        ids = [1, *handmade.encode("a b"), handmade.specials["<EOT>"], 2]
        assert handmade.decode(ids) == "a b"

    def test_a_continuation_keeps_its_leading_space(self, handmade: Tokenizer) -> None:
        ids = handmade.encode("print")
        assert handmade.decode(ids) == "print"
        assert handmade.decode(ids, dummy_prefix=False) == " print"

    @pytest.mark.parametrize("token_id", [-1, 10**9])
    def test_an_id_outside_the_vocabulary_is_refused(
        self, handmade: Tokenizer, token_id: int
    ) -> None:
        with pytest.raises(UsageError, match=f"outside the vocabulary; got {token_id}"):
            handmade.decode([token_id])


class TestEncode:
    @pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "\ude00\ud83d"])
    def test_a_lone_surrogate_is_refused(self, any_tokenizer: Tokenizer, text: str) -> None:
        with pytest.raises(TextError, match="lone surrogate U\\+D"):
            any_tokenizer.encode(text)

    def test_empty_text_has_no_tokens(self, any_tokenizer: Tokenizer) -> None:
        assert any_tokenizer.encode("") == []

    def test_begin_and_end_are_never_added(self, any_tokenizer: Tokenizer) -> None:
        ids = any_tokenizer.encode("x")
        assert any_tokenizer.bos_id not in ids
        assert any_tokenizer.eos_id not in ids

    def test_equals_the_untouched_sentencepiece(self, tiny_model: bytes, tiny: Tokenizer) -> None:
        untouched = sentencepiece.SentencePieceProcessor(model_proto=tiny_model)
        for text in [*source_texts(), " x", "  x\ty\r\n", "é🦙", ""]:
            plain = text.replace("▁", "_")
            assert tiny.encode(plain) == untouched.EncodeAsIds(plain)

    @pytest.mark.parametrize("metaspace", [False, True])
    def test_equals_the_untouched_tokenizers_library(
        self, tiny_model: bytes, metaspace: bool
    ) -> None:
        data = llama_json(tiny_model, metaspace=metaspace)
        untouched = tokenizers.Tokenizer.from_str(data.decode())
        tokenizer = from_json(data)
        for text in [*_ordinary(), "x  y\tz\r\n", "é🦙"]:
            expected = untouched.encode(text, add_special_tokens=False).ids
            assert tokenizer.encode(text) == expected

    def test_equals_the_untouched_byte_level_library(self) -> None:
        data = byte_level_json()
        untouched = tokenizers.Tokenizer.from_str(data.decode())
        tokenizer = from_json(data)
        for text in [*_ordinary(), " x", "a        b", "é🦙\0"]:
            assert tokenizer.encode(text) == untouched.encode(text).ids

    def test_a_model_and_its_json_give_the_same_ids(
        self, tiny_model: bytes, tiny: Tokenizer
    ) -> None:
        other = from_json(llama_json(tiny_model))
        for text in [*source_texts(), "  two spaces first", "▁"]:
            assert other.encode(text) == tiny.encode(text)


def _ordinary() -> Sequence[str]:
    """Our sources without what the untouched library takes for specials or rewrites."""
    return [
        text.replace("<", "(").replace("▁", "_")
        for text in source_texts()
        if not text.startswith(" ")
    ]


class TestSpecials:
    def test_the_untouched_library_falls_for_a_spelled_special(self) -> None:
        untouched = sentencepiece.SentencePieceProcessor(model_proto=handmade_model())
        assert 354 in untouched.EncodeAsIds("a <PRE>")

    @pytest.mark.parametrize("kind", [1, CONTROL, USER_DEFINED])
    def test_stay_text_whatever_type_the_file_gives_them(self, kind: int) -> None:
        tokenizer = Tokenizer.from_files({"tokenizer.model": handmade_model(INFILL, kind)})
        text = "<PRE> a <SUF>▁<MID> <EOT>"
        ids = tokenizer.encode(text)
        assert max(ids) < 354
        assert tokenizer.decode(ids) == text
        assert tokenizer.infill == InfillIds(pre=354, suf=355, mid=356, eot=357)

    def test_become_ids_when_allowed(self, handmade: Tokenizer) -> None:
        ids = handmade.encode("<s>a</s>", allow_specials=True)
        assert ids == [1, *handmade.encode("a", dummy_prefix=False), 2]

    def test_nothing_changes_for_text_without_them(self, any_tokenizer: Tokenizer) -> None:
        text = " def f(x):\n    return x"
        assert any_tokenizer.encode(text, allow_specials=True) == any_tokenizer.encode(text)

    def test_the_longest_spelling_wins(self) -> None:
        pieces = [*INFILL, "▁<EOT><EOT>"]
        tokenizer = Tokenizer.from_files({"tokenizer.model": handmade_model(pieces)})
        assert tokenizer.encode("<EOT><EOT> <EOT>", allow_specials=True) == [358, 357]

    def test_a_vocabulary_without_them_cannot_infill(self) -> None:
        tokenizer = Tokenizer.from_files({"tokenizer.model": handmade_model([])})
        assert (tokenizer.infill, tokenizer.step_id) == (None, None)

    def test_step_is_found(self) -> None:
        tokenizer = Tokenizer.from_files({"tokenizer.model": handmade_model(["<step>"])})
        assert tokenizer.step_id == 354
        assert 354 not in tokenizer.encode("<step>")

    def test_have_no_bytes_and_everything_else_has(self, any_tokenizer: Tokenizer) -> None:
        silent = {token_id for token_id, data in enumerate(any_tokenizer.token_bytes) if not data}
        assert silent == set(any_tokenizer.specials.values())


class TestFiles:
    def test_the_model_is_preferred_to_the_json(self, tiny_model: bytes) -> None:
        files = {"tokenizer.json": b"broken", "tokenizer.model": tiny_model}
        assert Tokenizer.from_files(files).vocab == 700

    @pytest.mark.parametrize("files", [{}, {"vocab.txt": b"x"}])
    def test_no_tokenizer_is_an_error(self, files: Mapping[str, bytes]) -> None:
        with pytest.raises(TokenizerError, match=r"allowed: tokenizer.model or tokenizer.json"):
            Tokenizer.from_files(files)

    def test_loads_a_folder_or_one_file(self, tmp_path: Path, tiny_model: bytes) -> None:
        (tmp_path / "tokenizer.model").write_bytes(tiny_model)
        (tmp_path / "other.json").write_bytes(byte_level_json())
        assert Tokenizer.load(tmp_path).vocab == 700
        assert Tokenizer.load(tmp_path / "tokenizer.model").vocab == 700
        assert Tokenizer.load(tmp_path / "other.json").vocab == 602

    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(TokenizerError, match=r"absent.model cannot be read; got No such file"):
            Tokenizer.load(tmp_path / "absent.model")

    def test_a_folder_without_one_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(TokenizerError, match="no tokenizer; got no files"):
            Tokenizer.load(tmp_path)


def test_can_be_sent_to_another_process(any_tokenizer: Tokenizer) -> None:
    again = pickle.loads(pickle.dumps(any_tokenizer))
    assert again.encode("def f(x):") == any_tokenizer.encode("def f(x):")
    assert again.fingerprint == any_tokenizer.fingerprint


class TestFingerprint:
    def test_is_the_same_for_the_same_file(self, tiny_model: bytes, tiny: Tokenizer) -> None:
        again = Tokenizer.from_files({"tokenizer.model": tiny_model})
        assert again.fingerprint == tiny.fingerprint

    def test_differs_where_ids_differ(self, tiny_model: bytes) -> None:
        made = [
            Tokenizer.from_files({"tokenizer.model": handmade_model()}),
            Tokenizer.from_files({"tokenizer.model": handmade_model([])}),
            Tokenizer.from_files({"tokenizer.model": tiny_model}),
            from_json(llama_json(tiny_model)),
            from_json(byte_level_json()),
            from_json(byte_level_json(add_prefix_space=True)),
        ]
        assert len({tokenizer.fingerprint for tokenizer in made}) == len(made)


def test_a_control_token_beside_the_model_file_is_one():
    data = small.tokenizer_model()
    alone = Tokenizer.from_files({"tokenizer.model": data})
    decoder = {str(alone.vocab): {"content": "<step>"}}
    for name, content in (
        ("added_tokens.json", {"<step>": alone.vocab}),
        ("tokenizer_config.json", {"added_tokens_decoder": decoder}),
    ):
        beside = Tokenizer.from_files({"tokenizer.model": data, name: json.dumps(content).encode()})
        assert beside.step_id == alone.vocab == beside.vocab - 1
        assert beside.token_bytes[beside.step_id] == b""
        assert beside.step_id not in beside.encode("a <step> b")
        assert beside.encode("<step>", allow_specials=True)[-1] == beside.step_id
        assert beside.fingerprint != alone.fingerprint
