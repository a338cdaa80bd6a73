"""Syntax spans: stretches of a document that a person might write next, for infilling.

Ranges are bytes (start, end) of the document's UTF-8 text, always between whole characters. Python
is parsed; other languages give indented blocks, what stands between brackets, and runs of lines.
"""

import ast
import gc
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple

import numpy as np

from quipu.data.keyed import generator
from quipu.data.tokens.lines import Lines
from quipu.data.tokens.texts import is_python
from quipu.data.tokens.writing import NO_SPANS, Spans

LIMIT = 64  # spans kept per document
SHORTEST, LONGEST = 4, 8192  # bytes of a span
_LONGEST_RUN = 8  # lines

Kind = Literal["statement", "body", "value", "arguments", "block", "brackets", "lines"]

_BRACKETS = re.compile(rb"[(\[{]([^()\[\]{}\r\n]+)[)\]}]")
_CALL = re.compile(rb"[)\s\\]*\(\s*")  # from the end of what is called to its first argument


class Span(NamedTuple):
    """A range of bytes and what stands there."""

    start: int
    end: int
    kind: Kind


def syntax_spans(text: str, group: str, key: int, limit: int = LIMIT) -> Spans:
    """At most `limit` spans of a document, sorted: int32 [n, 2]. `key` decides which are kept.

    Every kind gets an equal share, as far as there are so many. Python that does not parse is
    treated as another language.
    """
    data = text.encode()
    found: dict[tuple[int, int], Kind] = {}
    for span in _all(text, data, group, key):
        if SHORTEST <= span.end - span.start <= LONGEST:
            found.setdefault((span.start, span.end), span.kind)
    if not found:
        return NO_SPANS
    return np.array(sorted(_kept(found, key, limit)), dtype=np.int32)


def _all(text: str, data: bytes, group: str, key: int) -> Iterator[Span]:
    if is_python(group):
        try:
            yield from python_spans(text, data)
            return
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            pass
    yield from line_spans(data, key)


def _kept(found: dict[tuple[int, int], Kind], key: int, limit: int) -> list[tuple[int, int]]:
    """The first of each kind in a drawn order, then the second of each, and so on."""
    places = list(found)
    if len(places) <= limit:
        return places
    drawn = generator("spans", key).permutation(len(places)).tolist()
    counts: dict[Kind, int] = {}
    turns = []
    for place in drawn:
        kind = found[places[place]]
        counts[kind] = counts.get(kind, 0) + 1
        turns.append((counts[kind], kind, places[place]))
    return [place for _, _, place in sorted(turns)[:limit]]


def python_spans(text: str, data: bytes) -> list[Span]:
    """Statements, bodies, values and argument lists of a module. Raises what `ast.parse` raises.

    A body is all statements of a block, and, after a docstring, all but that. Positions are those
    of the parser: a value in brackets of its own is what stands between them.
    """
    with _uncollected(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in other people's strings
        return _of_module(ast.parse(text.removeprefix("\ufeff")), text, data)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keeps the garbage collector off a tree that has no circles: a third of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _of_module(module: ast.Module, text: str, data: bytes) -> list[Span]:
    lines = Lines(data, begin=3 if text.startswith("\ufeff") else 0)
    spans: list[Span] = []
    waiting: list[ast.AST] = [module]
    while waiting:
        node = waiting.pop()
        for block in _blocks(node):
            if not isinstance(node, ast.Module):
                spans += _bodies(lines, block)
            for statement in block:
                spans.append(_statements(lines, statement, statement, "statement"))
                spans += _values(lines, statement)
            waiting += block
        waiting += getattr(node, "handlers", ())
        waiting += getattr(node, "cases", ())
    # What is called `elif` is a statement to the parser only.
    return [span for span in spans if not data.startswith(b"elif", span.start)]


def _blocks(node: ast.AST) -> Iterator[list[ast.stmt]]:
    for name in ("body", "orelse", "finalbody"):
        block = getattr(node, name, None)
        if block and isinstance(block, list):
            yield block


def _bodies(lines: Lines, block: list[ast.stmt]) -> Iterator[Span]:
    yield _statements(lines, block[0], block[-1], "body")
    if len(block) > 1 and _is_docstring(block[0]):
        yield _statements(lines, block[1], block[-1], "body")


def _is_docstring(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _statements(lines: Lines, first: ast.stmt, last: ast.stmt, kind: Kind) -> Span:
    start, end = lines.range(first, last)
    decorators = getattr(first, "decorator_list", None)
    if decorators:
        before, _ = lines.range(decorators[0], decorators[0])
        start = lines.data.rindex(b"@", 0, before)
    return Span(start, end, kind)


def _values(lines: Lines, statement: ast.stmt) -> Iterator[Span]:
    """What a statement returns, assigns, tests or goes through; and the arguments, if it calls."""
    for name in ("value", "test", "iter"):
        value = getattr(statement, name, None)
        if not isinstance(value, ast.expr):
            continue
        if not isinstance(statement, ast.Expr):
            yield Span(*lines.range(value, value), "value")
        called = value.value if isinstance(value, ast.Await) else value
        if isinstance(called, ast.Call):
            yield from _arguments(lines, called)


def _arguments(lines: Lines, call: ast.Call) -> Iterator[Span]:
    _, after = lines.range(call.func, call.func)
    _, end = lines.range(call, call)
    opening = _CALL.match(lines.data, after)
    if opening:  # else a comment stands before the bracket
        inside = lines.data[opening.end() : end - 1].rstrip()
        yield Span(opening.end(), opening.end() + len(inside), "arguments")


def line_spans(data: bytes, key: int) -> Iterator[Span]:
    """Blocks by indentation, what stands between brackets on a line, and drawn runs of lines."""
    lines = list(Lines(data).visible())
    indents = [indent for indent, _, _ in lines]
    waiting: list[int] = []  # lines whose blocks have not ended
    for number, indent in enumerate([*indents, -1]):
        while waiting and indents[waiting[-1]] >= indent:
            head = waiting.pop()
            if number - head > 1:
                yield Span(lines[head + 1][1], lines[number - 1][2], "block")
        waiting.append(number)
    for match in _BRACKETS.finditer(data):
        yield Span(match.start(1), match.end(1), "brackets")
    if lines:
        random = generator("runs", key)
        starts = random.integers(0, len(lines), LIMIT).tolist()
        counts = random.integers(0, _LONGEST_RUN, LIMIT).tolist()
        for first, count in zip(starts, counts, strict=True):
            last = min(first + count, len(lines) - 1)
            yield Span(lines[first][1], lines[last][2], "lines")
