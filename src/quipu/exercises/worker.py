"""Runs untrusted pieces of Python, one JSON line in, one JSON line out; `run` starts it.

The file is started alone, before anything of the project could be imported. What a piece may do is
bounded three times: by resource limits, by name spaces of the kernel where it grants them (no
network, every file system read-only), and by an audit hook that cannot be removed.
"""

import _thread
import builtins
import contextlib
import io
import json
import os
import resource
import signal
import sys
import types
from typing import Any

MEBIBYTE = 1 << 20
LONGEST = 2000  # characters of one result
# What composed programs may import; all of it pure.
PURE = frozenset(
    (
        *("abc", "bisect", "collections", "copy", "dataclasses", "datetime", "enum", "fractions"),
        *("functools", "heapq", "itertools", "json", "math", "operator", "re", "string"),
        *("statistics", "sys", "textwrap", "time", "typing"),
        *("_strptime", "calendar", "locale"),  # which datetime imports when first used
    )
)
MISSING = frozenset(
    ("open", "exec", "eval", "compile", "breakpoint", "help", "exit", "quit", "memoryview")
)
# Audit events that end the piece with an error; `open` is looked at separately.
REFUSED = (
    "socket.",
    "subprocess.",
    "ctypes.",
    "_thread.start_new_thread",
    "os.system",
    "os.exec",
    "os.fork",
    "os.posix_spawn",
    "os.spawn",
    "os.kill",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.mkdir",
    "os.link",
    "os.symlink",
    "os.truncate",
    "os.chmod",
    "os.chown",
    "os.chflags",
    "os.utime",
    "os.putenv",
    "os.setxattr",
    "os.removexattr",
    "os.lockf",
    "shutil.",
    "tempfile.",
    "urllib.",
    "http.",
    "ftplib.",
    "smtplib.",
    "sqlite3.",
    "webbrowser.",
    "pty.",
    "fcntl.",
    "signal.pthread_kill",
    "resource.setrlimit",
    "resource.prlimit",
    "sys.setprofile",
    "sys.settrace",
)


class Spent(BaseException):
    """The piece has used up its time; not an Exception, so that few pieces catch it."""


def isolate() -> list[str]:
    """Leave the network and make every file system read-only; names of what the kernel granted."""
    import ctypes

    granted = []
    libc = ctypes.CDLL(None, use_errno=True)
    new_user, new_net, new_mount, new_ipc = 0x10000000, 0x40000000, 0x00020000, 0x08000000
    if libc.unshare(new_user | new_net | new_mount | new_ipc) == 0:
        granted.append("network")
        # struct mount_attr: set read-only, clear nothing, propagation private
        attributes = (ctypes.c_uint64 * 4)(1, 0, 1 << 18, 0)
        if libc.syscall(442, -100, b"/", 0x8000, ctypes.byref(attributes), 32) == 0:
            granted.append("files")
    for name in [name for name in sys.modules if "ctypes" in name]:
        del sys.modules[name]
    return granted


def confine(cpu_s: int, memory_mb: int) -> None:
    """Bound what the process may use, and refuse what no exercise needs."""
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_AS, (memory_mb * MEBIBYTE,) * 2)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    sys.addaudithook(_refuse)
    _thread.start_new_thread = _no_thread  # not audited before Python 3.13


def _no_thread(*_: object) -> int:
    raise PermissionError("an exercise may not start threads")


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open":
        _, mode, flags = arguments
        written = isinstance(mode, str) and set(mode) & set("wax+")
        if written or (flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC):
            raise PermissionError("an exercise may not write")
    elif event.startswith(REFUSED) and not _allowed:
        raise PermissionError(f"an exercise may not {event}")


_allowed: list[str] = []  # not empty while the worker itself sets a profile


def restricted(stdin: io.StringIO, stdout: io.StringIO) -> dict[str, Any]:
    """Builtins without files and evaluation, importing pure modules alone."""
    system = types.SimpleNamespace(
        stdin=stdin, stdout=stdout, argv=["program"], maxsize=sys.maxsize
    )

    def load(name: str, *where: Any) -> Any:
        if name.split(".")[0] not in PURE:
            raise ImportError(f"an exercise may not import {name}")
        return system if name == "sys" else importing(name, *where)

    importing = builtins.__import__
    names = {name: value for name, value in vars(builtins).items() if name not in MISSING}
    names["__import__"] = load
    names["input"] = lambda prompt="": _line(stdin)  # noqa: ARG005
    names["print"] = lambda *values, **how: print(*values, **{"file": stdout, **how})
    return names


def _line(stdin: io.StringIO) -> str:
    line = stdin.readline()
    if not line:
        raise EOFError
    return line.removesuffix("\n")


def scope(job: dict[str, Any], stdin: str = "") -> tuple[dict[str, Any], io.StringIO]:
    """A fresh name space to run the piece in, and what it will have printed."""
    stdout = io.StringIO()
    names: dict[str, Any] = {"__name__": job.get("name", "__main__")}
    if not job.get("free"):
        names["__builtins__"] = restricted(io.StringIO(stdin), stdout)
    return names, stdout


def values(job: dict[str, Any]) -> list[str]:
    """The repr of each call, or what the program prints for each input."""
    code = compile(job["code"], "<exercise>", "exec", dont_inherit=True)
    found = []
    if job.get("stdin"):
        for text in job["stdin"]:
            names, stdout = scope(job, text)
            exec(code, names)
            found.append(stdout.getvalue())
    else:
        names, stdout = scope(job)
        with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stdout):
            exec(code, names)
            found = [_repr(eval(call, names)) for call in job["calls"]]
    if any(len(value) > LONGEST for value in found):
        raise OverflowError("output too long")
    return found


def _repr(value: object) -> str:
    if isinstance(value, types.GeneratorType | map | filter | zip | range):
        raise TypeError("an iterator has no value")
    return repr(value)


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """Run one piece within its time."""
    try:
        signal.setitimer(signal.ITIMER_PROF, job["cpu_s"])
        try:
            if job.get("kind"):
                import importlib

                sys.path[:0] = [path for path in job["tools"] if path not in sys.path]
                found = importlib.import_module(job["kind"]).answer(job, _allowed)
            else:
                found = values(job)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        return {"status": "ok", "values": found}
    except Spent:
        return {"status": "timeout", "values": []}
    except MemoryError:
        return {"status": "memory", "values": []}
    except BaseException as error:
        return {"status": "error", "values": [f"{type(error).__name__}: {error}"[:200]]}


def main() -> None:
    """Answer jobs until the input ends."""
    settings = json.loads(sys.argv[1])
    jobs = os.fdopen(os.dup(0), "r", encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)

    def spent(*_: object) -> None:
        raise Spent

    signal.signal(signal.SIGPROF, spent)
    for path in reversed(settings["path"]):
        sys.path.insert(0, path)
    if settings["path"]:
        import site  # noqa: F401  # modules of the standard library that -S leaves out
    for name in sorted(PURE):  # once, before memory and files are bounded
        __import__(name)
    granted = isolate()
    confine(settings["cpu_s"], settings["memory_mb"])
    print(json.dumps({"granted": granted}), file=answers, flush=True)
    for line in jobs:
        reply = answer(json.loads(line))
        print(json.dumps(reply), file=answers, flush=True)


if __name__ == "__main__":
    main()
