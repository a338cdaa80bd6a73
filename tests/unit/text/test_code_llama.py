"""Code Llama's own vocabulary and the test vectors that others made; needs ../shared."""

import json
from typing import TypedDict

import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

from quipu.text import infill
from quipu.text.infill import Order
from quipu.text.tokenizer import InfillIds, Tokenizer
from unit.text.vocabularies import SHARED, from_json, llama2_model, llama_json

pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data/tokenizer")

CONTROL_IDS = set(range(32007, 32016))


class _Vector(TypedDict):
    text: str
    ids: list[int]


def _vectors() -> list[_Vector]:
    names = "llama-spm-vectors.json", "hf-code-llama-vectors.json"
    return [
        vector
        for name in names
        if (SHARED / name).is_file()
        for vector in json.loads((SHARED / name).read_text(encoding="utf-8"))
    ]


@pytest.fixture(scope="module")
def llama2() -> Tokenizer:
    return Tokenizer.from_files({"tokenizer.model": llama2_model()})


@pytest.fixture(scope="module")
def as_json(code_llama_model: bytes) -> Tokenizer:
    return from_json(llama_json(code_llama_model))


@pytest.fixture(scope="module")
def untouched(code_llama_model: bytes) -> sentencepiece.SentencePieceProcessor:
    return sentencepiece.SentencePieceProcessor(model_proto=code_llama_model)


@pytest.mark.parametrize("vector", _vectors(), ids=lambda vector: repr(vector["text"][:20]))
def test_vectors_of_others(
    llama2: Tokenizer, code_llama: Tokenizer, as_json: Tokenizer, vector: _Vector
) -> None:
    for tokenizer in (llama2, code_llama, as_json):
        assert tokenizer.encode(vector["text"]) == vector["ids"]
        assert tokenizer.decode(vector["ids"]) == vector["text"]


def test_sizes_and_specials(
    llama2: Tokenizer, code_llama: Tokenizer, code_llama_70b: Tokenizer, as_json: Tokenizer
) -> None:
    assert (llama2.vocab, code_llama.vocab, code_llama_70b.vocab) == (32000, 32016, 32016)
    assert llama2.infill is None
    for tokenizer in (code_llama, as_json, code_llama_70b):
        assert tokenizer.infill == InfillIds(pre=32007, suf=32008, mid=32009, eot=32010)
        assert (tokenizer.bos_id, tokenizer.eos_id) == (1, 2)
    assert (code_llama.step_id, as_json.step_id, code_llama_70b.step_id) == (None, None, 32015)


def test_control_ids_never_come_from_text(
    code_llama: Tokenizer,
    code_llama_70b: Tokenizer,
    as_json: Tokenizer,
    untouched: sentencepiece.SentencePieceProcessor,
) -> None:
    text = "x <PRE> <SUF> <MID> <EOT> <EOT><EOT><EOT>\n▁<PRE> <step><step> <FILL_ME>"
    assert CONTROL_IDS & set(untouched.EncodeAsIds(text))
    for tokenizer in (code_llama, code_llama_70b, as_json):
        for dummy_prefix in (False, True):
            ids = tokenizer.encode(text, dummy_prefix=dummy_prefix)
            assert not CONTROL_IDS & set(ids)
            assert tokenizer.decode(ids, dummy_prefix=dummy_prefix) == text


hard = st.sampled_from(
    [" ", "  ", "\n", "\t", "\r\n", " <", "PRE>", "<EOT>", "def", "é", "🦙", "☺"]
)
texts = st.lists(hard | st.text(max_size=4), max_size=10).map("".join)


@given(text=texts)
@settings(deadline=None)
def test_plain_text_has_the_ids_of_the_untouched_library(
    code_llama: Tokenizer, untouched: sentencepiece.SentencePieceProcessor, text: str
) -> None:
    plain = text.replace("▁", "")
    expected = untouched.EncodeAsIds(plain)
    if not CONTROL_IDS & set(expected):
        assert code_llama.encode(plain) == expected
    assert code_llama.decode(code_llama.encode(text)) == text


class _Meta:
    """The twin: infilling prompts as Meta makes them, by a character that never merges."""

    def __init__(self, processor: sentencepiece.SentencePieceProcessor) -> None:
        self._processor = processor

    def continuation(self, text: str) -> list[int]:
        ids: list[int] = self._processor.EncodeAsIds("☺" + text)
        return ids[2:]

    def prompt(self, prefix: str, suffix: str, order: Order) -> list[int]:
        before, after = self._processor.EncodeAsIds(prefix), self.continuation(suffix)
        if order == "psm":
            return [1, 32007, *before, 32008, *after, 32009]
        return [1, 32007, 32008, *after, 32009, *before]


@pytest.mark.parametrize("order", ["psm", "spm"])
@given(prefix=texts, suffix=texts)
@settings(deadline=None)
def test_infilling_prompts_equal_those_of_metas_trick(
    code_llama: Tokenizer,
    untouched: sentencepiece.SentencePieceProcessor,
    order: Order,
    prefix: str,
    suffix: str,
) -> None:
    expected = _Meta(untouched).prompt(prefix, suffix, order)
    control = [token_id for token_id in expected if token_id in CONTROL_IDS]
    if "▁" not in prefix + suffix and len(control) == 3:  # else the trick mistakes text for control
        assert infill.prompt(code_llama, prefix, suffix, order) == expected


def test_a_json_of_the_same_vocabulary_gives_the_same_ids(
    code_llama: Tokenizer, as_json: Tokenizer
) -> None:
    text = "def f(x):\n\treturn 'é🦙' + x  # <PRE>\n" + " " * 100
    assert as_json.encode(text) == code_llama.encode(text)


def test_ten_thousand_spaces(code_llama: Tokenizer, as_json: Tokenizer) -> None:
    for tokenizer in (code_llama, as_json):
        ids = tokenizer.encode(" " * 10_000)
        assert len(ids) < 1_000
        assert tokenizer.decode(ids) == " " * 10_000
