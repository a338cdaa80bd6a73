"""The program's side of a judgement apart from its tests: run it, then do as the tests ask.

Run as `python -c TEXT FILE ASKED SAID`, its text behind that of `values`, in an interpreter of its
own that has never seen the tests: what is expected cannot be found in its memory. A question is a
line on the descriptor ASKED, its answer a line on SAID; the first answer is that the program has
run. Nothing of what it says is believed but values, whatever the program has done to this code.
"""

import os
import sys

if __name__ != "__main__":
    from quipu.sandbox.values import pack, unpack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Kept:
    """The program's names, and objects that stay here, by number."""

    def __init__(self, scope: "dict[str, Any]") -> None:
        self.scope = scope
        self._objects: list[Any] = []
        self._numbers: dict[int, int] = {}

    def keep(self, value: "Any") -> int:
        """The number of an object."""
        if id(value) not in self._numbers:
            self._numbers[id(value)] = len(self._objects)
            self._objects.append(value)
        return self._numbers[id(value)]

    def far(self, number: int) -> "Any":
        """The object of a number."""
        return self._objects[number]

    def names(self, wanted: "list[str]") -> "dict[str, Any]":
        """Those that the program has, each with the name of the module that it is, or ""."""
        found = {name: self.scope[name] for name in wanted if name in self.scope}
        return {
            name: [value.__name__, None] if isinstance(value, type(sys)) else ["", value]
            for name, value in found.items()
        }

    def call(self, number: int, given: "Any", named: "Any") -> "Any":
        """What a call returns, and its arguments as it leaves them, if it changed any."""
        values = unpack(given, self.far)
        value = self.far(number)(*values, **unpack(named, self.far))
        return [value, values if pack(values, self.keep) != given else None]

    def attribute(self, number: int, name: str) -> "Any":
        return getattr(self.far(number), name)

    def assign(self, number: int, name: str, value: "Any") -> None:
        setattr(self.far(number), name, unpack(value, self.far))

    def item(self, number: int, key: "Any") -> "Any":
        return self.far(number)[unpack(key, self.far)]

    def length(self, number: int) -> int:
        return len(self.far(number))

    def truth(self, number: int) -> bool:
        return bool(self.far(number))

    def text(self, number: int) -> str:
        return str(self.far(number))

    def iterate(self, number: int) -> "Any":
        return iter(self.far(number))

    def following(self, number: int) -> "Any":
        return next(self.far(number))


def serve(path: str, asked: int, said: int) -> None:
    """Run the program of a file as `__main__`, then answer until there are no more questions."""
    module = type(sys)("__main__")
    module.__dict__.update(__file__=path, __builtins__=__builtins__)
    sys.modules["__main__"] = module
    sys.argv[:] = [path]
    sys.path.insert(0, os.getcwd())
    kept = Kept(module.__dict__)
    with open(path, "rb") as file:
        source = file.read()
    _say(said, kept, lambda: exec(compile(source, path, "exec"), module.__dict__))
    with open(asked, encoding="utf-8") as questions:
        for line in questions:
            what, *rest = eval(line)
            _say(said, kept, lambda: getattr(kept, what)(*rest))  # noqa: B023


def _say(said: int, kept: Kept, work: "Callable[[], Any]") -> None:
    """["value", …] of what is worked out, or ["raised", names of its classes, words]."""
    try:
        words: list[Any] = ["value", pack(work(), kept.keep)]
    except BaseException as error:
        import traceback

        inside = error.__traceback__ and error.__traceback__.tb_next
        traceback.print_exception(type(error), error, inside and inside.tb_next)
        words = ["raised", [kind.__name__ for kind in type(error).__mro__], str(error)]
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    data = repr(words).encode("utf-8", "backslashreplace") + b"\n"
    while data:
        data = data[os.write(said, data) :]


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
