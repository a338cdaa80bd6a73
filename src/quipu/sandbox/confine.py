"""What a forked child does to itself before it runs a program: every layer, then the program."""

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
from types import CodeType
from typing import Any, NamedTuple, NoReturn

from quipu.sandbox import landlock, seccomp
from quipu.sandbox.apart import TESTS, judge

_NO_NEW_PRIVS = 38  # prctl
_CAPABILITIES = struct.pack("<Ii", 0x20080522, 0)  # of this process, none of which it keeps
COMPLETE = b"+"  # the stub's word: the last statement has run
_libc = ctypes.CDLL(None, use_errno=True)


class Confinement(NamedTuple):  # dataclasses bring a megabyte of modules into every fork
    """What a worker has set up for its children. It is under no_new_privs itself, as they are."""

    layers: tuple[str, ...]
    scratch: str
    alone: bool  # number 1 of a PID namespace
    user: int | None  # to become, if this one is root
    environment: dict[str, str]  # its own
    rules: int | None  # a Landlock ruleset
    devices: tuple[str, ...]  # that it allows to be written to
    filtering: bytes | None  # a seccomp program, if the worker is not under it already


def become(
    command: dict[str, Any],
    confinement: Confinement,
    job: dict[str, Any],
    ends: tuple[int, int, int, int],
    code: CodeType | None,
) -> NoReturn:
    """Turn this process, just forked, into the command. `ends`: stdin, stdout, stderr, the word.

    `code` is that of a plain program with its tests. Trouble before the program runs is told
    through the word, which an exec closes.
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
        if confinement.rules is not None:
            if confinement.user is None:
                _keep_to_folder(confinement.devices)
            landlock.restrict(confinement.rules)
            os.close(confinement.rules)
        if confinement.filtering is not None:
            seccomp.install(confinement.filtering)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        if not command["warm"]:
            os.execvpe(command["words"][0], command["words"], job["environment"])
        if job["environment"] != confinement.environment:
            os.environ.clear()
            os.environ.update(job["environment"])
    except BaseException as error:
        os.write(word, f"{type(error).__name__}: {error}".encode()[:200])
        os._exit(127)
    _run_warm(command["words"][1:], job, code, word)


def _keep_to_folder(devices: tuple[str, ...]) -> None:
    """No writing but in the working folder: the one above it may be this user's own."""
    rules = landlock.ruleset(["/"], [os.getcwd()], devices)
    landlock.restrict(rules)
    os.close(rules)


def never_again() -> None:
    """No program that this process or its children start gets more rights than they have."""
    if _libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError("prctl no_new_privs")


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


def _run_warm(
    words: tuple[str, ...], job: dict[str, Any], code: CodeType | None, word: int
) -> NoReturn:
    """Run a Python file as `python FILE` would, in this interpreter.

    The file of a program with tests is not there: it would tell what they expect.
    """
    status, name, apart = 1, words[0], job["apart"]
    try:
        sys.argv[:] = words
        sys.path[:] = [os.getcwd(), *(p for p in sys.path if "quipu" not in p)]
        if apart is not None and code is None:
            judge(**apart)
        else:
            if code is None:
                with open(name, "rb") as file:
                    code = compile(file.read(), name, "exec")
            module = types.ModuleType("__main__")
            module.__dict__.update(__file__=name, __builtins__=__builtins__)
            sys.modules["__main__"] = module
            exec(code, module.__dict__)
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
