"""What a forked child does to itself before it runs a program: every layer, then the program."""

import ast
import atexit
import ctypes
import linecache
import os
import resource
import signal
import struct
import sys
import traceback
import types
from dataclasses import dataclass
from typing import Any, NoReturn

from quipu.sandbox import landlock, seccomp
from quipu.sandbox.apart import TESTS, judge
from quipu.sandbox.plain import plain

_NO_NEW_PRIVS = 38  # prctl
_CAPABILITIES = struct.pack("<Ii", 0x20080522, 0)  # of this process, none of which it keeps
COMPLETE = b"+"  # the stub's word: the last statement has run
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, kw_only=True)
class Confinement:
    """What a worker has set up for its children."""

    layers: tuple[str, ...]
    scratch: str
    alone: bool  # number 1 of a PID namespace
    user: int | None  # to become, if this one is root
    rules: int | None  # a Landlock ruleset
    filtering: bytes | None  # a seccomp program


def become(
    command: dict[str, Any],
    confinement: Confinement,
    job: dict[str, Any],
    ends: tuple[int, int, int, int],
) -> NoReturn:
    """Turn this process, just forked, into the command. `ends`: stdin, stdout, stderr, the word.

    Trouble before the program runs is told through the word, which an exec closes.
    """
    *streams, word = ends
    try:
        os.setsid()
        for number, end in enumerate(streams):
            os.dup2(end, number)
        word = os.dup2(word, 3, inheritable=False)
        _close_all_but(confinement.rules)
        _limit(command)
        if confinement.user is not None:
            os.setgroups([])
            os.setresgid(*[confinement.user] * 3)
            os.setresuid(*[confinement.user] * 3)
        if _libc.capset(_CAPABILITIES, bytes(24)):
            raise OSError("capset")
        if _libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0):
            raise OSError("prctl no_new_privs")
        if confinement.rules is not None:
            landlock.restrict(confinement.rules)
            os.close(confinement.rules)
        if confinement.filtering is not None:
            seccomp.install(confinement.filtering)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.environ.clear()
        os.environ.update(job["environment"])
        if not command["warm"]:
            os.execvp(command["words"][0], command["words"])
    except BaseException as error:
        os.write(word, f"{type(error).__name__}: {error}".encode()[:200])
        os._exit(127)
    words, apart = command["words"][1:], job["apart"]
    _run_warm(words, job["files"][words[0]] if apart else None, apart, word)


def _close_all_but(rules: int | None) -> None:
    os.closerange(4, rules if rules is not None else 4096)
    if rules is not None:
        os.closerange(rules + 1, 4096)


def _limit(command: dict[str, Any]) -> None:
    limits = command["limits"]
    cpu_s = int(limits["cpu_s"]) + 1  # a backstop: the worker looks at finer times
    bounds = {
        resource.RLIMIT_CPU: (cpu_s, cpu_s + 1),
        resource.RLIMIT_FSIZE: (limits["file_bytes"],) * 2,
        resource.RLIMIT_NOFILE: (limits["open_files"],) * 2,
        resource.RLIMIT_NPROC: (limits["processes"],) * 2,
        resource.RLIMIT_CORE: (0, 0),
    }
    if command["bounded_space"]:
        bounds[resource.RLIMIT_AS] = (limits["memory_bytes"],) * 2
    for which, (soft, hard) in bounds.items():
        resource.setrlimit(which, (soft, hard))


def _run_warm(words: tuple[str, ...], source: bytes | None, apart: Any, word: int) -> NoReturn:
    """Run a Python file as `python FILE` would, in this interpreter.

    `source` and `apart`, of a program with tests: the file is not there, its text is given.
    """
    code, name = 1, words[0]
    try:
        if source is None:
            with open(name, "rb") as file:
                source = file.read()
        sys.argv[:] = words
        sys.path[:] = [os.getcwd(), *(p for p in sys.path if "quipu" not in p)]
        module = types.ModuleType("__main__")
        module.__dict__.update(__file__=name, __builtins__=__builtins__)
        if apart is None or _plain(apart["program"]):
            sys.modules["__main__"] = module
            exec(compile(source, name, "exec"), module.__dict__)
        else:
            judge(**apart)
        code = 0
    except SystemExit as leaving:
        word, code = -1, _exit_code(leaving.code)
    except BaseException as error:
        word = -1
        _print(error, name, source if apart else None)
    _finish()
    if word >= 0:
        os.write(word, COMPLETE)
    os._exit(code)


def _plain(program: str) -> bool:
    try:
        return plain(ast.parse(program))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


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
