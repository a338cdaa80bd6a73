"""Python documents as trees."""

import ast
import gc
import tracemalloc

import pytest

import small
from quipu.data.documents import Document
from quipu.data.steps import syntax
from quipu.data.steps.quality import Quality
from quipu.data.steps.syntax import Parses, functions, parsed, statements


def reason(text, language="python"):
    return Parses()(Document(id="a", language=language, text=text))


def test_what_python_cannot_parse_is_dropped():
    assert reason(small.source(2)) is None
    assert reason("print 'hello'\n") == "parses: SyntaxError"
    assert reason("x = '\x00'\n").startswith("parses: ")
    assert reason("x" * (syntax.LARGEST + 1)) == "parses: too large"


def test_other_languages_pass_and_a_path_can_tell_the_language():
    assert reason("int main() { return 0; }", "cpp") is None
    assert Parses()(Document(id="pkg/a.py", text="print 'x'")) == "parses: SyntaxError"
    assert Parses()(Document(id="pkg/a.c", text="int x;")) is None


@pytest.mark.parametrize(
    "text",
    [
        "(" * 50_000,
        "-" * 100_000 + "1",
        "1+" * 100_000 + "1",
        "x" + ".a" * 100_000,
        "[" * 99 + "]" * 99,
    ],
)
def test_deep_trees_do_no_harm(text):
    assert reason(text) is None or reason(text).startswith("parses: ")
    functions(text)


def test_warnings_of_other_peoples_strings_stay_silent():
    assert reason('x = "\\d"\nif 1 is 1: pass\n') is None


def test_several_steps_parse_a_text_once(monkeypatch):
    calls = []
    monkeypatch.setattr(syntax.ast, "parse", lambda text: calls.append(text) or ast.Module([], []))
    parsed.cache_clear()
    document = Document(id="a.py", text="x = 'parsed once'\n", language="python")
    Parses()(document)
    Quality()(document)
    assert len(calls) == 1
    parsed.cache_clear()


def test_statements_are_those_of_a_full_walk():
    text = (
        "class A:\n    def f(self):\n        try:\n            pass\n        except E:\n"
        "            g()\n        else:\n            h()\n        finally:\n            i()\n"
        "for x in y:\n    if x:\n        async def k(): pass\n    else:\n        match x:\n"
        "            case 1:\n                z = lambda: 1\n"
    )
    wanted = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.stmt | ast.ExceptHandler)]
    found = [n for n in statements(ast.parse(text)) if isinstance(n, ast.stmt | ast.ExceptHandler)]
    assert sorted(map(ast.dump, found)) == sorted(map(ast.dump, wanted))
    assert [f.name for f in functions(text)] == ["f", "k"]


def test_parsing_leaves_the_collector_as_it_was():
    parsed("x = 'collector'\n")
    assert gc.isenabled()


def test_trees_of_documents_long_gone_take_no_memory():
    tracemalloc.start()
    for number in range(3):
        parsed(small.source(3) * 10 + f"x = {number}\n")
    first = tracemalloc.get_traced_memory()[0]
    for number in range(8):
        parsed(small.source(3) * 10 + f"y = {number}\n")
    gc.collect()
    last = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert last < 1.5 * first
