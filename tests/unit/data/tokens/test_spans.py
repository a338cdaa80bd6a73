"""Syntax spans are what they claim to be, wherever they stand."""

import ast
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from quipu.data.tokens.spans import LIMIT, LONGEST, Span, line_spans, python_spans, syntax_spans

SOURCES = sorted(Path(__file__).resolve().parents[4].joinpath("src", "quipu").rglob("*.py"))

CODE = '''\
"""Module."""
import os

@decorator
@ other(1,
    2)
class A(object):
    """Doc."""

    x: int = (1 +
        2)

    def f(self, a, b=3):
        """Doc."""
        if a and (b or
                  a):
            return call(a, *b, key="ü")
        elif b:
            return (a)
        else:
            pass
        for i in range(10): print(i); a += i
        while a < 10:
            a = (yield)
        with open("é") as file, file:
            text = file.read(  # every byte
                100,
            )
        try:
            (self.f)(1, 2)(3, (4))
        except (A, B) as error:
            raise
        finally:
            del a
        match a:
            case [1, 2] if b:
                return f"{a!r} {call(b)}" "x"
        assert isinstance(a, b), "no"

async def g(): await h(1111); return lambda: 5555
'''


def spans_of(text: str) -> list[tuple[str, str]]:
    data = text.encode()
    return [(data[s.start : s.end].decode(), s.kind) for s in python_spans(text, data)]


def check_parses(text: str, span: Span) -> None:
    """The text of a span is a whole thing of its kind."""
    data = text.encode()
    found = data[span.start : span.end].decode()
    if span.kind in ("statement", "body"):
        line = max(data.rfind(end, 0, span.start) for end in (b"\n", b"\r")) + 1
        before = data[line : span.start].decode().removeprefix("\ufeff")
        before = before.rpartition("\f")[2]  # with which a line's indentation begins anew
        indented = before and not before.strip(" \t")
        source = f"if 1:\n{before}{found}\n" if indented else found + "\n"
        body = ast.parse(source).body
        if indented:
            assert isinstance(body[0], ast.If)
            assert len(body) == 1
            body = body[0].body
        assert body if span.kind == "body" else len(body) == 1
    elif span.kind == "value":
        ast.parse(f"(\n{found}\n)", mode="eval")
    else:
        assert span.kind == "arguments"
        call = ast.parse(f"call(\n{found}\n)", mode="eval").body
        assert isinstance(call, ast.Call)


def check_text(text: str) -> int:
    data = text.encode()
    spans = python_spans(text, data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for span in spans:
            check_parses(text, span)
    return len(spans)


WAYS = {
    "as it stands": lambda text: text,
    "tabs": lambda text: text.replace("    ", "\t"),
    "CR LF": lambda text: text.replace("\n", "\r\n"),
    "CR": lambda text: text.replace("\n", "\r"),
    "byte order mark": lambda text: "\ufeff" + text,
    "form feeds": lambda text: text.replace("\n\n", "\n\f\n\f").replace("\n@", "\n\f@"),
    "other line ends in strings": lambda text: text.replace("é", "\u2028\x85\x0b\x1c"),
    "no line end at the end": lambda text: text.rstrip("\n"),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_every_span_of_python_parses_as_what_it_is(way: Callable[[str], str]) -> None:
    assert check_text(way(CODE)) == check_text(CODE) > 60


def test_every_span_of_our_own_sources_parses() -> None:
    for path in SOURCES[::7]:
        check_text(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_positions_do_not_depend_on_how_lines_end(way: Callable[[str], str]) -> None:
    found = spans_of(way(CODE))
    values = [text for text, kind in found if kind == "arguments"]
    assert [text for text in values if len(text) < 8] == ["1111", "10", "a, b", "3, (4)", "i"]


def test_finds_what_stands_in_the_module() -> None:
    found = spans_of(CODE)
    for text, kind in [
        ("return (a)", "statement"),
        ("(a)"[1:-1], "value"),
        ('a, *b, key="ü"', "arguments"),
        ("print(i); a += i", "body"),
        ("a += i", "statement"),
        ("a and (b or\n                  a)", "value"),
        ("range(10)", "value"),
        ("import os", "statement"),
        ("raise", "body"),
    ]:
        assert (text, kind) in found
    class_text = next(text for text, kind in found if text.startswith("@decorator"))
    assert class_text.rstrip().endswith('"no"')
    bodies = [text for text, kind in found if kind == "body"]
    assert any(text.startswith("if a and") for text in bodies), "the body after a docstring"
    assert not [text for text, _ in found if text.startswith("elif")]


C_CODE = """\
int main(int argc, char **argv) {
\tif (argc > 1) {
\t\tputs("é");
\t\treturn 1;
\t}

\treturn call(argc, argv);
}
"""


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_blocks_and_brackets_of_other_languages_are_found(end: str) -> None:
    data = C_CODE.replace("\n", end).encode()
    spans = list(line_spans(data, 1))
    found = {(data[s.start : s.end].decode().replace(end, "\n"), s.kind) for s in spans}
    assert ('puts("é");\n\t\treturn 1;', "block") in found
    whole = C_CODE.split("{\n\t", 1)[1].removesuffix("\n}\n")
    assert (whole, "block") in found
    assert ("int argc, char **argv", "brackets") in found
    assert ("argc, argv", "brackets") in found


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_runs_are_of_whole_lines(end: str) -> None:
    text = C_CODE.replace("\n", end)
    lines = {line.strip() for line in C_CODE.splitlines()}
    data = text.encode()
    runs = [s for s in line_spans(data, 1) if s.kind == "lines"]
    assert len({*runs}) > 5
    for span in runs:
        found = data[span.start : span.end].decode().split(end)
        assert {line.strip() for line in found} <= lines


@given(text=st.text(st.sampled_from("ab1(){}[]:;=, \t\n\r\fé🦙\u2028\0\"'\\#\ufeff"), max_size=60))
@example(text="")
@example(text="\ufeff")
@example(text="\0")
@example(text="(" * 1000)
@example(text="x = " + "-" * 50_000 + "1")
@settings(deadline=None, max_examples=200)
@pytest.mark.parametrize("group", ["python", "cpp"])
def test_spans_of_any_text_are_whole_characters_inside_it(group: str, text: str) -> None:
    data = text.encode()
    spans = syntax_spans(text, group, 7)
    assert spans.dtype == np.int32
    assert spans.shape == (len(spans), 2)
    assert len(spans) <= LIMIT
    assert [tuple(span) for span in spans.tolist()] == sorted({*map(tuple, spans.tolist())})
    for start, end in spans.tolist():
        assert 0 <= start < end <= len(data)
        data[start:end].decode()


def test_python_that_does_not_parse_is_cut_by_its_lines() -> None:
    text = "print 'old'\n" * 3 + "if x:\n    print 'older'\n    print y\n"
    assert syntax_spans(text, "python", 1).tolist() == syntax_spans(text, "bash", 1).tolist()
    assert len(syntax_spans(text, "python", 1))


def test_the_key_alone_decides_which_spans_are_kept() -> None:
    text = "".join(f"value_{i} = function_{i}(argument_{i})\n" for i in range(200))
    first, again, other = (syntax_spans(text, "python", key) for key in (1, 1, 2))
    assert len(first) == LIMIT
    assert first.tolist() == again.tolist() != other.tolist()


def test_every_kind_gets_its_share() -> None:
    text = CODE + "".join(f"value_{i} = {i}{i}{i}{i}\n" for i in range(500))
    kept = {tuple(span) for span in syntax_spans(text, "python", 3).tolist()}
    spans = python_spans(text, text.encode())
    kinds = [span.kind for span in spans if (span.start, span.end) in kept]
    assert min(kinds.count(kind) for kind in ("body", "arguments", "value", "statement")) >= 5


def test_very_long_spans_are_left_out() -> None:
    text = "if x:\n" + "    y = 12345\n" * 1000
    spans = syntax_spans(text, "python", 1)
    assert (spans[:, 1] - spans[:, 0]).max() <= LONGEST
    assert len(spans) == LIMIT
