"""Script files: what they say, and what is said about wrong ones."""

import json
import time

import pytest

from conformance.vocabulary import model_file, tokenizer
from quipu.backend.open import open_backend
from quipu.backend.script import read_script
from quipu.config import Abilities
from quipu.errors import BackendError, QuipuError, UsageError
from quipu.request import Request, Sampling


@pytest.fixture
def write(tmp_path):
    (tmp_path / "tokenizer.model").write_bytes(model_file())

    def write(*lines):
        path = tmp_path / "answers.jsonl"
        path.write_text(
            "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
        )
        return path

    return write


def opened(path):
    return open_backend(f"script:{path}", tokenizer=path.parent / "tokenizer.model")


def ask(backend, prompt, **options):
    ids = (1, *backend.tokenizer.encode(prompt))
    return backend.submit(Request(prompt=ids, sampling=Sampling(**options)))


def text(stream):
    return "".join(piece.text for piece in stream)


def test_the_first_line_that_fits_answers(write):
    backend = opened(
        write(
            {"prompt_contains": "add", "text": "one"},
            {"match": r"^class \w+", "text": "two"},
            {"text": "three"},
        )
    )
    found = [text(ask(backend, prompt)) for prompt in ("def add(", "class A", "a class A", "")]
    assert found == ["one", "two", "three", "three"]


def test_answers_to_one_prompt_go_by_index(write):
    pieces = list(ask(opened(write({"text": ["a", "b"]})), "x", n=3))
    assert [text(p for p in pieces if p.index == i) for i in range(3)] == ["a", "b", "a"]


def test_an_answer_may_be_empty(write):
    (piece,) = ask(opened(write({"text": ""})), "x")
    assert (piece.text, piece.finish_reason) == ("", "stop")


def test_an_answer_may_be_said_to_be_cut_off(write):
    pieces = list(ask(opened(write({"text": "pass", "finish_reason": "length"})), "x"))
    assert pieces[-1].finish_reason == "length"


def test_an_error_line_fails_while_it_answers(write):
    stream = ask(opened(write({"error": "out of memory"})), "x")
    with pytest.raises(BackendError, match="out of memory"):
        list(stream)


def test_a_delay_can_be_cancelled(write):
    stream = ask(opened(write({"text": "a b c d", "delay_s": 0.02})), "x")
    begun = time.monotonic()
    next(iter(stream))
    assert time.monotonic() - begun >= 0.02
    stream.cancel()
    assert [piece.finish_reason for piece in stream] == ["cancelled"]


def test_a_prompt_without_a_line_is_named(write):
    with pytest.raises(BackendError, match="'something else'"):
        ask(opened(write({"prompt_contains": "add", "text": ""})), "something else")


def test_a_first_object_describes_the_model(write):
    header = {"model": "fake", "context": 99, "infill": True, "chat": "inst"}
    backend = open_backend(
        f"script:{write({**header, 'tokenizer': 'tokenizer.model'}, {'text': 'x'})}"
    )
    assert backend.info.name == "fake"
    assert backend.info.context == 99
    assert backend.info.abilities == Abilities(infill=True, chat="inst")
    assert backend.tokenizer.fingerprint == tokenizer().fingerprint


def test_a_script_has_no_logits(write):
    with pytest.raises(BackendError, match="no logits"):
        opened(write({"text": "x"})).logits([1, 2])


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["{"], "line 1"),
        (["[1]"], "a JSON object"),
        ([], "no answers"),
        ([{"context": 9}], "no answers"),
        ([{"text": "x", "prompt": "y"}], "'prompt'.*allowed: prompt_contains"),
        ([{"text": "x"}, {"text": "x", "error": "y"}], "object 2"),
        ([{"text": "x"}, {"match": "y"}], "object 2.*one of text and error"),
        ([{"text": 3}], "text; got 3"),
        ([{"text": []}], "text"),
        ([{"text": "x", "match": "("}], "regular expression"),
        ([{"text": "x", "finish_reason": "tired"}], "stop, length"),
        ([{"text": "x", "logprob": "low"}], "a number"),
        ([{"error": ""}], "a message"),
        ([{"chat": "chatml"}, {"text": "x"}], "inst, source"),
    ],
)
def test_a_wrong_script_is_refused_where_it_is_wrong(write, lines, message):
    with pytest.raises(QuipuError, match=message):
        read_script(write(*lines))


def test_a_script_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        read_script(tmp_path / "none.jsonl")


def test_a_script_needs_a_tokenizer(write):
    with pytest.raises(UsageError, match="needs a tokenizer"):
        open_backend(f"script:{write({'text': 'x'})}")
