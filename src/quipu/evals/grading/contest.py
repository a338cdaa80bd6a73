"""A contest's verdict: a function called with every input, or a program run on every one.

This module is also the first part of the judged program, so it needs nothing but Python.
"""

import copy
import io
import sys
from typing import Any


def check(answer: str, inputs: list[Any], outputs: list[Any], name: str) -> None:
    """Raises AssertionError if a test does not hold; `name` is empty for programs."""
    assert inputs, "no tests"
    if name:
        _call(answer, inputs, outputs, name)
        return
    code = compile(answer, "answer", "exec")
    for given, wanted in zip(inputs, outputs, strict=True):
        found = _output(code, _text(given))
        assert same(found, _text(wanted)), f"{found!r:.200}"


def same(found: str, wanted: str) -> bool:
    """The same words in the same lines; empty lines at the end do not count."""
    return _words(found) == _words(wanted)


def _call(answer: str, inputs: list[Any], outputs: list[Any], name: str) -> None:
    scope: dict[str, Any] = {"__name__": "answer"}
    # Starter code of the data uses these without importing them.
    exec("from typing import *\nfrom collections import *\nimport math", scope)
    exec(answer, scope)
    for given, wanted in zip(inputs, outputs, strict=True):
        function = scope[name] if name in scope else getattr(scope["Solution"](), name)
        found = _plain(function(*copy.deepcopy(given)))
        # Some outputs of the data are in a list of their own.
        right = [wanted, wanted[0]] if isinstance(wanted, list) and len(wanted) == 1 else [wanted]
        assert found in right, f"{found!r:.200}"


def _plain(value: Any) -> Any:
    """The value with tuples as lists. Raises AssertionError for other types than JSON's."""
    if type(value) in (list, tuple):
        return [_plain(item) for item in value]
    if type(value) is dict:
        return {str(key): _plain(item) for key, item in value.items()}
    assert value is None or type(value) in (bool, int, float, str), type(value).__name__
    return value


def _output(code: Any, given: str) -> str:
    written, before = io.StringIO(), (sys.stdin, sys.stdout)
    sys.stdin, sys.stdout = io.TextIOWrapper(io.BytesIO(given.encode())), written
    ended: object = None
    try:
        exec(code, {"__name__": "__main__"})
    except SystemExit as end:  # programs may end so
        ended = end.code
    finally:
        sys.stdin, sys.stdout = before
    assert not ended, f"ended with {ended}"
    return written.getvalue()


def _text(value: Any) -> str:
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value)


def _words(text: str) -> list[list[str]]:
    return [line.split() for line in text.strip().splitlines()]
