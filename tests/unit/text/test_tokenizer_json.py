"""Shapes of tokenizer.json: what is read, what is refused."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import tokenizers
from tokenizers import models

from quipu.errors import TokenizerError
from quipu.text.tokenizer import Tokenizer
from unit.text.vocabularies import byte_level_json, from_json, handmade_model, llama_json

Edit = Callable[[dict[str, Any]], object]


def _edited(data: bytes, edit: Edit) -> bytes:
    parsed = json.loads(data)
    edit(parsed)
    return json.dumps(parsed).encode()


@pytest.fixture(scope="module")
def handmade_json() -> bytes:
    return llama_json(handmade_model())


@pytest.fixture(scope="module")
def byte_json() -> bytes:
    return byte_level_json()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "tokenizer.json cannot be read"),
        (b"[]", "got a list"),
        (b"\xff\xfe", "cannot be read"),
        (b"{}", "allowed: type BPE"),
        (b'{"model": {"type": "WordPiece", "vocab": {}}}', "a model of type WordPiece"),
        (b'{"model": {"type": "BPE", "merges": []}}', "unexpected shape"),
        (b'{"model": {"type": "BPE", "merges": [], "vocab": []}}', "unexpected shape"),
    ],
)
def test_a_foreign_file_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(TokenizerError, match=words) as caught:
        from_json(data)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda j: j["model"].update(byte_fallback=False), "byte_fallback off"),
        (lambda j: j["model"]["vocab"].pop("<0x41>"), "1 of 256 byte pieces missing"),
        (lambda j: j["model"].update(merges=[["no", "such"]]), "cannot be read"),
        (lambda j: j.update(normalizer={"type": "Lowercase"}), "does not keep text"),
        (lambda j: j.update(normalizer={"type": "Unheard"}), "cannot be read"),
        (lambda j: j.update(added_tokens=[{}]), "unexpected shape"),
        (lambda j: j["model"]["vocab"].update(x=10**12), "token ids 0 to 1000000000000"),
        (lambda j: j["model"]["vocab"].update(x=-1), "token ids -1 to 357"),
        (lambda j: j["model"]["vocab"].update(x="1"), "unexpected shape"),
    ],
)
def test_a_file_that_would_lose_text_or_is_broken_is_refused(
    handmade_json: bytes, edit: Edit, words: str
) -> None:
    with pytest.raises(TokenizerError, match=words):
        from_json(_edited(handmade_json, edit))


def test_specials_and_ends_are_found(handmade_json: bytes) -> None:
    tokenizer = from_json(handmade_json)
    assert tokenizer.specials == {
        "<unk>": 0, "<s>": 1, "</s>": 2, "<PRE>": 354, "<SUF>": 355, "<MID>": 356, "<EOT>": 357,
    }  # fmt: skip
    assert (tokenizer.bos_id, tokenizer.eos_id, tokenizer.vocab) == (1, 2, 358)


def test_the_untouched_library_falls_for_spelled_specials_and_we_do_not(
    handmade_json: bytes,
) -> None:
    untouched = tokenizers.Tokenizer.from_str(handmade_json.decode())
    assert 1 in untouched.encode("a <s>", add_special_tokens=False).ids
    tokenizer = from_json(handmade_json)
    assert not {0, 1, 2, 354} & set(tokenizer.encode("a <s> <PRE> ▁<PRE> <unk>"))


def test_no_merge_makes_a_special_that_is_not_listed_as_added(handmade_json: bytes) -> None:
    data = _edited(handmade_json, lambda j: j.update(added_tokens=[]))
    tokenizer = from_json(data)
    assert 354 in tokenizers.Tokenizer.from_str(data.decode()).encode("<PRE>").ids
    assert 354 not in tokenizer.encode("<PRE>")
    assert tokenizer.infill is not None


def test_merges_may_be_written_as_strings(handmade_json: bytes) -> None:
    data = _edited(
        handmade_json,
        lambda j: j["model"].update(merges=[" ".join(pair) for pair in j["model"]["merges"]]),
    )
    text = "def f(x):\n    return print(x) <PRE>"
    assert from_json(data).encode(text) == from_json(handmade_json).encode(text)


@pytest.mark.parametrize(
    ("splitter", "adds_space"),
    [
        ({"type": "Metaspace", "replacement": "▁", "add_prefix_space": True}, True),
        ({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first"}, True),
        (
            {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never", "split": False},
            False,
        ),
    ],
)
def test_every_way_to_write_the_dummy_space_is_understood(
    handmade_json: bytes, splitter: dict[str, Any], adds_space: bool
) -> None:
    data = _edited(handmade_json, lambda j: j.update(normalizer=None, pre_tokenizer=splitter))
    tokenizer = from_json(data)
    untouched = tokenizers.Tokenizer.from_str(data.decode())
    assert tokenizer.adds_space is adds_space
    for text in ("print(x)", "x  in print", "def f(x):\n    return x"):
        assert tokenizer.encode(text) == untouched.encode(text, add_special_tokens=False).ids
        assert tokenizer.decode(tokenizer.encode(" " + text)) == " " + text


def test_an_old_file_may_switch_the_dummy_space_off(handmade_json: bytes) -> None:
    splitter = {"type": "Metaspace", "replacement": "▁", "add_prefix_space": False}
    data = _edited(handmade_json, lambda j: j.update(normalizer=None, pre_tokenizer=splitter))
    assert not from_json(data).adds_space


def test_dropout_is_switched_off(handmade_json: bytes) -> None:
    tokenizer = from_json(_edited(handmade_json, lambda j: j["model"].update(dropout=0.9)))
    assert tokenizer.encode("print") == from_json(handmade_json).encode("print")


class TestByteLevel:
    def test_an_added_token_that_is_no_special_is_still_used(self, byte_json: bytes) -> None:
        tokenizer = from_json(byte_json)
        assert tokenizer.token_bytes[600] == b"        "
        assert 600 in tokenizer.encode("a         b")

    def test_an_added_token_that_is_a_special_is_not(self, byte_json: bytes) -> None:
        tokenizer = from_json(byte_json)
        assert tokenizer.specials == {"<|endoftext|>": 0, "<|fim|>": 601}
        assert not {0, 601} & set(tokenizer.encode("<|endoftext|><|fim|>"))
        assert tokenizer.encode("<|fim|>", allow_specials=True) == [601]

    def test_an_unlisted_bar_spelling_counts_as_special(self, byte_json: bytes) -> None:
        def unmark(parsed: dict[str, Any]) -> None:
            for token in parsed["added_tokens"]:
                token["special"] = False

        tokenizer = from_json(_edited(byte_json, unmark))
        assert 601 not in tokenizer.encode("<|fim|>")

    def test_composing_normalisation_is_taken_out(self, byte_json: bytes) -> None:
        tokenizer = from_json(_edited(byte_json, lambda j: j.update(normalizer={"type": "NFC"})))
        assert tokenizer.decode(tokenizer.encode("é")) == "é"

    def test_prefix_space_of_the_splitter_becomes_ours(self) -> None:
        tokenizer = from_json(byte_level_json(add_prefix_space=True))
        assert tokenizer.adds_space
        assert tokenizer.encode("def") == tokenizer.encode(" def", dummy_prefix=False)
        assert tokenizer.decode(tokenizer.encode(" def")) == " def"

    def test_a_splitter_that_drops_text_is_refused(self, byte_json: bytes) -> None:
        removed = {"type": "Split", "pattern": {"String": " "}, "behavior": "Removed"}
        byte_level = json.loads(byte_json)["pre_tokenizer"]
        splitter = {
            "type": "Sequence",
            "pretokenizers": [{**removed, "invert": False}, byte_level],
        }
        with pytest.raises(TokenizerError, match="does not keep text"):
            from_json(_edited(byte_json, lambda j: j.update(pre_tokenizer=splitter)))


class TestEnds:
    @pytest.mark.parametrize(
        ("settings", "ends"),
        [
            ({"bos_token": "<s>", "eos_token": {"content": "<EOT>"}}, (1, 357)),
            ({"bos_token": None, "eos_token": "</s>"}, (None, 2)),
            ({"eos_token": "<absent>"}, (1, None)),
            ({}, (1, 2)),
        ],
    )
    def test_settings_beside_the_file_name_them(
        self, handmade_json: bytes, settings: object, ends: object
    ) -> None:
        tokenizer = Tokenizer.from_files(
            {
                "tokenizer.json": handmade_json,
                "tokenizer_config.json": json.dumps(settings).encode(),
            }
        )
        assert (tokenizer.bos_id, tokenizer.eos_id) == ends

    def test_broken_settings_are_refused(self, handmade_json: bytes) -> None:
        files = {"tokenizer.json": handmade_json, "tokenizer_config.json": b"{"}
        with pytest.raises(TokenizerError, match=r"tokenizer_config.json cannot be read"):
            Tokenizer.from_files(files)

    def test_there_may_be_none(self) -> None:
        data = tokenizers.Tokenizer(models.WordLevel({"a": 0}, unk_token="a")).to_str().encode()
        with pytest.raises(TokenizerError, match="WordLevel"):
            from_json(data)
