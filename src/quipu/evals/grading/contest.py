"""A contest's verdict: a function called with every input, or a program run on every one.

This module is also the first part of the judging program, so it needs nothing but Python; the
answer runs in another process (`contestant`).
"""

import copy
from collections.abc import Callable
from typing import Any


def check(run: Callable[..., Any], inputs: list[Any], outputs: list[Any], called: bool) -> None:
    """Raises AssertionError if a test does not hold; `called`: inputs are arguments."""
    assert inputs, "no tests"
    for given, wanted in zip(inputs, outputs, strict=True):
        if called:
            found = _plain(run(*copy.deepcopy(given)))
            # Some outputs of the data are in a list of their own.
            alone = isinstance(wanted, list) and len(wanted) == 1
            assert found in ([wanted, wanted[0]] if alone else [wanted]), f"{found!r:.200}"
        else:
            found = run(_text(given))
            assert type(found) is str
            assert same(found, _text(wanted)), f"{found!r:.200}"


def same(found: str, wanted: str) -> bool:
    """The same words in the same lines; empty lines at the end do not count."""
    return _words(found) == _words(wanted)


def _plain(value: Any) -> Any:
    """The value with tuples as lists. Raises AssertionError for other types than JSON's."""
    if type(value) in (list, tuple):
        return [_plain(item) for item in value]
    if type(value) is dict:
        return {str(key): _plain(item) for key, item in value.items()}
    assert value is None or type(value) in (bool, int, float, str), type(value).__name__
    return value


def _text(value: Any) -> str:
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value)


def _words(text: str) -> list[list[str]]:
    return [line.split() for line in text.strip().splitlines()]
