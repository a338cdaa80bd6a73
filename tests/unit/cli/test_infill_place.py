"""Where `quipu infill` cuts a text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quipu.cli.infill import split_at_cursor, split_at_mark
from quipu.errors import TextError, UsageError

TEXT = "def f():\n    return 1\n"


@pytest.mark.parametrize(
    ("at", "before"),
    [
        ("1:1", ""),
        ("1:9", "def f():"),
        ("2:1", "def f():\n"),
        ("2:5", "def f():\n    "),
        ("2:13", "def f():\n    return 1"),
        ("3:1", TEXT),
    ],
)
def test_a_cursor_counts_lines_and_columns_from_one(at, before):
    assert split_at_cursor(TEXT, at) == (before, TEXT[len(before) :])


def test_a_cursor_at_the_end_of_a_dos_line_stands_before_its_return():
    assert split_at_cursor("a\r\nb\r\n", "1:2") == ("a", "\r\nb\r\n")


def test_columns_are_characters_not_bytes():
    assert split_at_cursor("é = '🦙'\n", "1:7") == ("é = '🦙", "'\n")


@pytest.mark.parametrize("at", ["0:1", "4:1", "1:0", "1:10", "3:2"])
def test_a_cursor_outside_the_file_is_refused_with_what_is_allowed(at):
    with pytest.raises(TextError, match="allowed: 1 to"):
        split_at_cursor(TEXT, at)


@pytest.mark.parametrize("at", ["", "3", "a:b", "1:", ":1", "-1:2", "1:2:3"])
def test_what_is_no_cursor_is_refused(at):
    with pytest.raises(UsageError, match="LINE:COL"):
        split_at_cursor(TEXT, at)


@given(st.text(st.sampled_from("ab\n\r\té"), max_size=40), st.data())
def test_every_cursor_inside_splits_without_loss(text, data):
    lines = text.split("\n")
    line = data.draw(st.integers(1, len(lines)))
    column = data.draw(st.integers(1, len(lines[line - 1].removesuffix("\r")) + 1))
    before, after = split_at_cursor(text, f"{line}:{column}")
    assert before + after == text
    assert before.count("\n") == line - 1


def test_a_mark_is_cut_out():
    assert split_at_mark("a <FILL_ME> b") == ("a ", " b")


@pytest.mark.parametrize("text", ["", "no mark", "<FILL_ME> and <FILL_ME>"])
def test_no_mark_or_several_are_refused(text):
    with pytest.raises(TextError, match="exactly one"):
        split_at_mark(text)
