"""The Python face, over a scripted backend."""

import json

import pytest

import quipu
import small
from quipu.errors import AbilityError, UsageError
from quipu.llm import LLM, load
from quipu.request import Completion


@pytest.fixture
def llm(tmp_path):
    """A model that answers every prompt with the same text."""
    (tmp_path / "tokenizer.model").write_bytes(small.tokenizer_model())
    script = tmp_path / "answers.jsonl"
    script.write_text(json.dumps({"text": "return value"}) + "\n")
    with load(backend=f"script:{script}", tokenizer=tmp_path) as opened:
        yield opened


def test_one_answer_is_a_completion(llm):
    found = llm.complete("def f(value):\n    ")
    assert isinstance(found, Completion)
    assert found.text == "return value"
    assert found.usage.completion_tokens == len(found.token_ids)
    assert found.logprobs is None


def test_several_answers_are_a_list(llm):
    found = llm.complete("x", n=3)
    assert [completion.text for completion in found] == ["return value"] * 3


def test_a_stream_gives_pieces_that_add_up(llm):
    pieces = list(llm.complete("x", stream=True))
    assert "".join(piece.text for piece in pieces) == "return value"
    assert [piece.finish_reason is None for piece in pieces] == [True] * (len(pieces) - 1) + [False]


def test_one_stop_string_needs_no_list(llm):
    assert llm.complete("x", stop="val").text == llm.complete("x", stop=["val"]).text == "return "


def test_wrong_options_are_refused_by_name(llm):
    for options in ({"temperature": -1}, {"top_p": 0}, {"max_tokens": 0}, {"n": 0}, {"stop": ""}):
        with pytest.raises(UsageError, match=next(iter(options))):
            llm.complete("x", **options)
    with pytest.raises(TypeError):
        llm.complete("x", nonsense=1)


def test_chat_needs_a_tuned_model_and_sound_messages(llm):
    with pytest.raises(AbilityError, match="codellama-7b-instruct"):
        llm.chat([{"role": "user", "content": "Hello"}])
    with pytest.raises(UsageError, match="role"):
        llm.chat([{"content": "Hello"}])


def test_the_public_names_are_the_face():
    assert quipu.LLM is LLM
    assert quipu.load is load
    with pytest.raises(AttributeError):
        _ = quipu.nonsense
