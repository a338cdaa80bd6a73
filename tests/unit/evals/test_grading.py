"""Grades without programs."""

import math

import pytest

from quipu.evals.grading.bleu import lines, smoothed
from quipu.evals.grading.match import first_line, similarity


def test_a_text_equals_itself():
    # The benchmark's lengths plus one leave an equal text at exactly 1.
    assert smoothed("Return the sum of two numbers.", "return the sum of two numbers .") == 1
    assert lines("x = a[i]", "x  =  a[i]") == 1


def test_smoothed_bleu_is_the_formula_of_the_benchmark():
    # Words: 3 of 4 right, bigrams (2 + 1) / (3 + 1), trigrams (1 + 1) / (2 + 1), none of one 1 / 2.
    logs = [math.log(x) for x in (3 / 4, 3 / 4, 2 / 3, 1 / 2)]
    assert smoothed("a b c x", "a b c d") == pytest.approx(math.exp(sum(logs) / 4))
    # Shorter by two words: exp(1 - 5 / 3) for lengths plus one.
    short = math.exp(1 - 5 / 3)
    assert smoothed("a b", "a b c d") == pytest.approx(short)


def test_nothing_in_common_is_next_to_nothing():
    assert lines("", "a b") == 0
    assert smoothed("", "a b") == pytest.approx(math.exp(-2))  # as the benchmark has it
    assert smoothed("x y", "a b") < 1e-50
    assert lines("Foo()", "foo()") < 1


@pytest.mark.parametrize(
    ("found", "wanted", "value"),
    [("", "", 1), ("abc", "abc", 1), ("", "ab", 0), ("kitten", "sitting", 1 - 3 / 7)],
)
def test_similarity_is_edit_distance_in_parts_of_the_longer(found, wanted, value):
    assert similarity(found, wanted) == pytest.approx(value)


def test_the_first_line_is_the_first_with_text():
    assert first_line("\n  \n  a b \nc") == "a b"
    assert first_line("") == ""
