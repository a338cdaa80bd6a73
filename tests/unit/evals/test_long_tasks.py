"""Docstrings, lines in long files, key retrieval and perplexity by hand-made rows."""

import json
import math
from types import SimpleNamespace

import pytest

from quipu.errors import AbilityError, DataError
from quipu.evals.data import Source
from quipu.evals.task import Complete, Infill, Score
from quipu.evals.tasks.docstring import SOURCE, Docstring
from quipu.evals.tasks.key_retrieval import FILLER, QUESTION, KeyRetrieval, cell, correct
from quipu.evals.tasks.lcc import NARROW, Lcc, held_out
from quipu.evals.tasks.perplexity import Perplexity

DOCUMENTS = Source(path="perplexity/documents.jsonl", sha256="")


def lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


class Bytes:
    """A tokenizer: one token for each byte."""

    bos_id = 256
    token_bytes = (*(bytes([value]) for value in range(256)), b"")

    def encode(self, text):
        return list(text.encode())


def model(context, **more):
    return SimpleNamespace(
        tokenizer=Bytes(), info=SimpleNamespace(context=context, name="small"), **more
    )


def quiet(_done, _of):
    pass


def test_a_docstring_is_asked_for_between_its_quotes():
    code = 'def f():\n    """Say\n    hello."""\n    return 1\n'
    rows = [{"code": code, "docstring_tokens": ["Say", "hello", "."]},
            {"code": "def g(): pass", "docstring_tokens": ["x"]}]  # fmt: skip
    (problem,) = Docstring().problems({SOURCE.name: lines(*rows)})
    assert Docstring().prompt(problem) == Infill(
        prefix='def f():\n    """ ', suffix="\n    return 1\n", order="psm"
    )
    for answer, value in (('\n Say hello.\n more"""', 1), ('say hello ."""\n', 1)):
        score = Docstring().grade(problem, answer)
        assert isinstance(score, Score)
        assert score.value == value
    wrong = Docstring().grade(problem, Docstring().mutant(problem))
    assert isinstance(wrong, Score)
    assert wrong.value < 1e-6


def test_the_next_line_is_matched_and_likeness_measured():
    task = Lcc(language="python")
    (problem,) = task.problems({"python.jsonl": lines({"context": "a\n", "gt": "    b = a"})})
    assert task.prompt(problem) == Complete(text="a\n", cut=True)
    score = task.grade(problem, "\n    b = a\nc")
    assert isinstance(score, Score)
    assert (score.value, score.measures["BLEU"], score.measures["similarity"]) == (1, 1, 1)
    score = task.grade(problem, "    b = c")
    assert isinstance(score, Score)
    assert score.value == 0
    assert 0 < score.measures["BLEU"] < 1


def test_a_narrow_task_shows_the_end_from_the_beginning_of_a_line():
    task = Lcc(language="java", narrow=True)
    text = "".join(f"line {number}\n" for number in range(5000))
    (problem,) = task.problems({"java.jsonl": lines({"context": text, "gt": "x"})})
    prompt = task.prompt(problem)
    assert isinstance(prompt, Complete)
    assert NARROW - 20 < len(prompt.text) <= NARROW
    assert prompt.text.startswith("line ")
    assert text.endswith(prompt.text)


def test_rows_are_made_of_documents_the_same_each_time():
    text = "".join(f"value_{number} = {number}\n" for number in range(100))
    (row,) = held_out([text, "short\n"])
    assert [row] == list(held_out([text]))
    assert text.startswith(f"{row['context']}{row['gt']}\n")
    assert row["context"].count("\n") >= 50


@pytest.mark.parametrize("own", [False, True])
def test_the_key_stands_where_it_should_and_is_looked_for(own):
    asked = []

    def complete(text, **options):
        asked.append(text)
        assert options == {"heal": False, "temperature": 0.0, "max_tokens": 8}
        key = text.partition("def my_function()")[2].partition("return ")[2].partition("\n")[0]
        return SimpleNamespace(text=f" {key}\n" if len(asked) % 2 else "none")

    filler = FILLER if own else None
    files = {FILLER.name: lines({"text": "x = 1"}, {"text": "y = 2\nz = 3"})} if own else {}
    task = KeyRetrieval(lengths=(1000, 9000), examples=4, filler=filler)
    found = task.measure(model(2000, complete=complete), files, quiet)
    assert found == {cell(1000, place): 50 for place in task.places}
    assert len(set(asked)) == 12
    for number, text in enumerate(asked):
        assert 800 < len(text) <= 1000
        assert text.endswith(QUESTION)
        place = text.index("def my_function()") / len(text)
        assert place == pytest.approx(task.places[number // 4], abs=0.15)


def test_a_context_too_short_for_any_length_is_refused():
    with pytest.raises(AbilityError, match="at least 1009 tokens"):
        KeyRetrieval().measure(model(512), {}, quiet)


def test_lengths_beyond_the_context_are_left_out_and_said_to_be():
    task = KeyRetrieval()
    assert task.left_out(1024).startswith("lengths of 2,000, 4,000, 8,000, 16,000, 24,000 tokens")
    assert "24,000 tokens: the model's context has 16,384" in task.left_out(16_384)
    assert task.left_out(100_000) == ""


def test_filler_without_text_is_refused():
    with pytest.raises(DataError, match="no text"):
        KeyRetrieval(filler=FILLER).measure(model(2000), {FILLER.name: b""}, quiet)


@pytest.mark.parametrize(
    ("answer", "right"), [("42", True), (" 42\n", True), ("421", False), ("'42'", False)]
)
def test_the_answer_is_its_first_number(answer, right):
    assert correct(answer, 42) is right


def test_perplexity_is_told_by_ranges_of_positions():
    def score(ids):
        assert ids[0] == 256
        return [-1.0 if place < 128 else -2.0 for place in range(len(ids) - 1)]

    told = []
    rows = [{"text": "a" * 1000}, {"text": "b" * 100}, {"text": ""}]
    found = Perplexity().measure(
        model(257, score=score), {DOCUMENTS.name: lines(*rows)}, lambda *n: told.append(n)
    )
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert found["perplexity 0-128"] == pytest.approx(math.e)
    assert found["perplexity 128-256"] == pytest.approx(math.e**2)
    assert (found["tokens 0-128"], found["tokens 128-256"], found["tokens"]) == (228, 128, 356)
    assert found["bits per byte"] == pytest.approx((228 + 256) / 356 / math.log(2))
    assert "perplexity 256-512" not in found


def test_documents_of_nothing_are_refused():
    with pytest.raises(DataError, match="no text of two tokens"):
        Perplexity().measure(model(10), {DOCUMENTS.name: lines({"text": ""})}, quiet)
