"""Tests in one process, the program in another: it cannot reach what judges it.

This side runs the tests, which are the benchmark's and trusted. The program's names are stand-ins
here: a call sends values over and gets values back, built anew from a text of literals, so that
nothing of the program's code runs on this side and its types decide nothing. What cannot be sent
stays there, behind a stand-in that equals itself alone and never tells what it is compared with.
"""

import ast
import builtins
import importlib
import os
import signal
import sys
from collections import deque
from collections.abc import Iterator
from types import CodeType
from typing import Any

from quipu.sandbox import answering, values

_PROGRAM = "program.py"
TESTS = "tests"  # the file of the tests, in tracebacks
_ASKED, _SAID = 4, 5  # descriptors of the program's process
# What runs there: text, because that process may read no file of this package.
_ANSWERING = ""
for _module in (values, answering):
    with open(str(_module.__file__), encoding="utf-8") as _file:
        _ANSWERING += f"{_file.read()}\n"


class ProgramEndedError(BaseException):
    """The program has left, or raised what is no exception. Not for tests to catch."""


def judge(program: str, tests: str, before: str, names: tuple[str, ...]) -> None:
    """Run the tests against the program. Raises what a failed test raises.

    `before` is trusted code that the tests need; of what it and Python define, `names` alone are
    the program's.
    """
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    scope: dict[str, Any] = {"__name__": "__main__", "__builtins__": builtins}
    exec(compile(before, "before", "exec"), scope)
    code = compile(tests, TESTS, "exec")
    other = _Other(program)
    try:
        own = (set(scope) | set(vars(builtins))) - set(names)  # what the program cannot replace
        scope.update(other.known(sorted(set(_names(code)) - own)))
        exec(code, scope)
    finally:
        other.end()


def _names(code: CodeType) -> Iterator[str]:
    """All that may be a global name in some code."""
    yield from code.co_names
    for value in code.co_consts:
        if isinstance(value, CodeType):
            yield from _names(value)


class _Other:
    """The program's process."""

    def __init__(self, program: str) -> None:
        """Start it and wait until the program has run. Raises what it raised."""
        with open(_PROGRAM, "w", encoding="utf-8", errors="surrogatepass") as file:
            file.write(program)
        theirs, self._questions = os.pipe()
        answers, ours = os.pipe()
        self._answers = os.fdopen(answers, encoding="utf-8", errors="replace")
        words = ["python", "-I", "-S", "-X", "utf8", "-c", _ANSWERING]
        self._process = os.posix_spawn(
            sys.executable,
            [*words, _PROGRAM, str(_ASKED), str(_SAID)],
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, os.dup(theirs), _ASKED),
                (os.POSIX_SPAWN_DUP2, os.dup(ours), _SAID),
            ],
            setsigdef=[signal.SIGPIPE],
        )
        os.close(theirs)
        os.close(ours)
        self._far: dict[int, _Far] = {}
        self._said()

    def known(self, names: list[str]) -> dict[str, Any]:
        """Those of the names that the program has; its modules are this side's own."""
        return {
            name: importlib.import_module(module) if module else value
            for name, (module, value) in self.ask("names", names).items()
            if not module or module in sys.stdlib_module_names
        }

    def ask(self, what: str, *rest: Any) -> Any:
        """An answer. Raises what the program raised in making it."""
        data = repr([what, *rest]).encode("utf-8", "backslashreplace") + b"\n"
        try:
            while data:
                data = data[os.write(self._questions, data) :]
        except BrokenPipeError:
            raise ProgramEndedError("the program has ended") from None
        return self._said()

    def pack(self, value: Any) -> Any:
        """A value for the program."""
        return values.pack(value, _number)

    def end(self) -> None:
        """End it, whatever it does."""
        os.kill(self._process, signal.SIGKILL)
        os.waitpid(self._process, 0)

    def _said(self) -> Any:
        line = self._answers.readline()
        if not line.endswith("\n"):
            raise ProgramEndedError("the program has ended")
        kind, *rest = ast.literal_eval(line)
        if kind == "value":
            return values.unpack(rest[0], self._stand_in)
        for name in rest[0]:
            error = getattr(builtins, name, None)
            if isinstance(error, type) and issubclass(error, Exception):
                raise _made(error, str(rest[1])) from None
        raise ProgramEndedError(f"{rest[0][0]}: {rest[1]}")

    def _stand_in(self, number: int) -> "_Far":
        return self._far.setdefault(number, _Far(self, number))


class _Far:
    """Stands for an object of the program."""

    __slots__ = ("_number", "_other")

    def __init__(self, other: _Other, number: int) -> None:
        object.__setattr__(self, "_other", other)
        object.__setattr__(self, "_number", number)

    def __call__(self, *given: Any, **named: Any) -> Any:
        pack = self._other.pack
        value, after = self._other.ask("call", self._number, pack(list(given)), pack(named))
        for before, now in zip(given, after or (), strict=False):
            _take_over(before, now)
        return value

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self._other.ask("attribute", self._number, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._other.ask("assign", self._number, name, self._other.pack(value))

    def __getitem__(self, key: Any) -> Any:
        return self._other.ask("item", self._number, self._other.pack(key))

    def __len__(self) -> int:
        return int(self._other.ask("length", self._number))

    def __bool__(self) -> bool:
        return bool(self._other.ask("truth", self._number))

    def __str__(self) -> str:
        return str(self._other.ask("text", self._number))

    def __iter__(self) -> Iterator[Any]:
        items = self._other.ask("iterate", self._number)
        while True:
            try:
                yield items.__next__()
            except StopIteration:
                return

    def __next__(self) -> Any:
        return self._other.ask("following", self._number)


def _number(value: Any) -> int:
    if isinstance(value, _Far):
        return int(value._number)
    raise TypeError(f"a value of type {type(value).__name__} cannot be given to the program")


def _made(error: type[Exception], words: str) -> Exception:
    try:
        return error(words)
    except TypeError:  # one that takes other arguments
        return RuntimeError(f"{error.__name__}: {words}")


def _take_over(before: Any, now: Any) -> None:
    """Change an argument as the program has changed its own."""
    if type(before) is not type(now) or before == now:
        return
    if isinstance(before, list | bytearray):
        before[:] = now
    elif isinstance(before, dict | set | deque):
        before.clear()
        before.extend(now) if isinstance(before, deque) else before.update(now)
