"""Runs inside a worker: doctests and tests of an importable module, and the calls they make.

Loaded by the worker alone, by name; its folder is the only one of the project that a worker sees.
"""

import ast
import contextlib
import doctest
import importlib
import io
import sys
from types import FrameType, FunctionType
from typing import Any

MOST = 12  # calls kept of one function
LONGEST = 200  # characters of arguments or value
SKIP = doctest.SKIP


def answer(job: dict[str, Any], allowed: list[str]) -> list[Any]:
    """[names whose examples all hold, calls as (name, arguments, value)] of module `code`."""
    found = importlib.import_module(job["code"])
    functions = {name: getattr(found, name, None) for name in job["calls"]}
    wanted = {f.__code__: name for name, f in functions.items() if isinstance(f, FunctionType)}
    record = _Record(wanted)
    allowed.append("profile")
    sys.setprofile(record.see)
    try:
        held = [name for name in job["calls"] if _holds(found, name)]
        for name, function in sorted(vars(found).items()):
            if name.startswith("test") and callable(function):
                with contextlib.suppress(Exception), _quiet():
                    function()
    finally:
        sys.setprofile(None)
        allowed.clear()
    return [held, record.calls()]


@contextlib.contextmanager
def _quiet() -> Any:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def _holds(found: Any, name: str) -> bool:
    """Whether a function has examples, none of them skipped, and all of them hold."""
    function = getattr(found, name, None)
    finder = doctest.DocTestFinder(recurse=False)
    tests = [test for test in finder.find(function, name, module=found) if test.examples]
    if not tests or any(SKIP in example.options for test in tests for example in test.examples):
        return False
    runner = doctest.DocTestRunner(verbose=False)
    return all(runner.run(test, out=lambda _: None).failed == 0 for test in tests)


class _Record:
    """Calls of wanted functions whose arguments and value can be written as literals."""

    def __init__(self, wanted: dict[Any, str]) -> None:
        self.wanted = wanted
        self.open: dict[int, list[str] | None] = {}
        self.done: dict[str, dict[tuple[str, ...], str]] = {}

    def see(self, frame: FrameType, event: str, value: object) -> None:
        """What sys.setprofile calls."""
        name = self.wanted.get(frame.f_code)
        if name is None:
            return
        if event == "call":
            names = frame.f_code.co_varnames[: frame.f_code.co_argcount]
            texts = [_literal(frame.f_locals[key]) for key in names]
            self.open[id(frame)] = None if None in texts else [t for t in texts if t is not None]
        elif event == "return":
            arguments = self.open.pop(id(frame), None)
            text = _literal(value)
            kept = self.done.setdefault(name, {})
            if arguments is not None and text is not None and len(kept) < MOST:
                kept.setdefault(tuple(arguments), text)

    def calls(self) -> list[tuple[str, list[str], str]]:
        """All of them, by name."""
        return [
            (name, list(arguments), value)
            for name in sorted(self.done)
            for arguments, value in self.done[name].items()
        ]


def _literal(value: object) -> str | None:
    """The repr of a value of plain types that means the same when read."""
    if not isinstance(value, str | int | float | bool | list | tuple | dict | set | type(None)):
        return None
    try:
        text = repr(value)
        if len(text) > LONGEST or ast.literal_eval(text) != value:
            return None
    except Exception:
        return None
    return text
