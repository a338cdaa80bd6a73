"""What a confined child runs: one Python file, or plain programs one after the other."""

import atexit
import gc
import importlib
import linecache
import marshal
import os
import resource
import struct
import sys
import time
import traceback
import types
from types import CodeType
from typing import Any, NoReturn

from quipu.sandbox.apart import TESTS, judge
from quipu.sandbox.frozen import freeze

COMPLETE = b"+"  # what a child's word begins with: the last statement has run


def run_once(
    words: tuple[str, ...], job: dict[str, Any], code: CodeType | None, word: int
) -> NoReturn:
    """Run a Python file as `python FILE` would, in this interpreter.

    `code` is that of a plain program with its tests. The file of a program with tests is not there:
    it would tell what they expect.
    """
    status, name, apart = 1, words[0], job["apart"]
    try:
        _begin(words)
        if apart is not None and code is None:
            judge(**apart)
        else:
            if code is None:
                with open(name, "rb") as file:
                    code = compile(file.read(), name, "exec")
            _execute(code, name)
        status = 0
    except SystemExit as leaving:
        word, status = -1, _exit_code(leaving.code)
    except BaseException as error:
        word = -1
        _print(error, name, job["files"][name] if apart else None)
    _finish()
    if word >= 0:
        os.write(word, COMPLETE)
    os._exit(status)


def run_many(name: str, word: int) -> NoReturn:
    """Run the plain programs that come on descriptor 0, each with its tests and a scope of its own.

    Such programs reach nothing that outlives them but a few settings, which begin anew each time.
    What ends in another way than an exception or the last statement ends this process.
    """
    _begin((name,))
    recursion = sys.getrecursionlimit()
    while (task := _next_task()) is not None:
        began_s = time.process_time()
        sys.setrecursionlimit(recursion)
        known = len(sys.modules)
        for module in task["modules"]:
            freeze(importlib.import_module(module))
        if len(sys.modules) > known:
            gc.freeze()  # nothing of a program is there: what modules hold need not be looked at
        if "random" in sys.modules:
            sys.modules["random"].seed()
        status = _run_plain(task["code"], task["source"], name)
        del sys.modules["__main__"]
        # What is left of it ends in its own time; what leaves something again, another time.
        clean = any(not gc.collect() for _ in range(3))
        sys.stdout.flush()
        sys.stderr.flush()
        ended_s, peak = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        said = status, ended_s - began_s, ended_s, peak * 1024, clean
        os.write(word, COMPLETE + marshal.dumps(said))
    os._exit(0)


def _next_task() -> dict[str, Any] | None:
    parts, size = [os.read(0, 4)], 0
    if not parts[0]:
        return None
    size = struct.unpack("<I", parts.pop())[0]
    while size:
        parts.append(os.read(0, size))
        size -= len(parts[-1])
    task: dict[str, Any] = marshal.loads(b"".join(parts))
    return task


def _run_plain(code: CodeType, source: bytes, name: str) -> int:
    """Exit code of a program."""
    try:
        _execute(code, name)
    except Exception as error:
        _print(error, name, source)
        return 1
    return 0


def _begin(words: tuple[str, ...]) -> None:
    sys.argv[:] = words
    sys.path[:] = [os.getcwd(), *(p for p in sys.path if "quipu" not in p)]


def _execute(code: CodeType, name: str) -> None:
    module = types.ModuleType("__main__")
    module.__dict__.update(__file__=name, __builtins__=__builtins__)
    sys.modules["__main__"] = module
    exec(code, module.__dict__)


def _print(error: BaseException, name: str, source: bytes | None) -> None:
    """Print an exception with the program's own lines and those of its tests, no others."""
    if source is not None:
        text = source.decode(errors="replace")
        linecache.cache[name] = (len(source), None, text.splitlines(keepends=True), name)
    inside = error.__traceback__
    while inside is not None and inside.tb_frame.f_code.co_filename not in (name, TESTS):
        inside = inside.tb_next
    traceback.print_exception(type(error), error, inside)


def _exit_code(code: object) -> int:
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    print(code, file=sys.stderr)
    return 1


def _finish() -> None:
    """What an interpreter does at its end that others can see."""
    threading = sys.modules.get("threading")  # only a program that uses it has it
    ends = [threading._shutdown] if threading else []
    for step in (*ends, atexit._run_exitfuncs, sys.stdout.flush, sys.stderr.flush):
        try:
            step()
        except BaseException:
            traceback.print_exc()
