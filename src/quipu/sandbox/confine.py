"""What a forked child does to itself before it runs anything: every layer."""

import ctypes
import math
import os
import resource
import signal
import struct
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, NoReturn

from quipu.sandbox import landlock, seccomp

_NO_NEW_PRIVS = 38  # prctl
_CAPABILITIES = struct.pack("<Ii", 0x20080522, 0)  # of this process, none of which it keeps
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


def started(
    command: dict[str, Any],
    confinement: Confinement,
    environment: Mapping[str, str],
    given: int,
    run: Callable[[int], NoReturn] | None,
) -> tuple[int, tuple[int, int, int]]:
    """Fork a confined child with `given` as its stdin, which is closed here.

    Returns its number, and descriptors to read: its stdout, its stderr, its word. `run` is called
    in it with a descriptor for its word; None: the command is executed.
    """
    pipes = [os.pipe() for _ in range(3)]
    ends, theirs = zip(*pipes, strict=True)
    child = os.fork()
    if child == 0:
        try:
            _become(command, confinement, environment, (given, *theirs), run)
        finally:
            os._exit(127)
    for end in (given, *theirs):
        os.close(end)
    return child, ends


def _become(
    command: dict[str, Any],
    confinement: Confinement,
    environment: Mapping[str, str],
    ends: tuple[int, ...],
    run: Callable[[int], NoReturn] | None,
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
        if confinement.rules is not None:
            if confinement.user is None:
                _keep_to_folder(confinement.devices)
            landlock.restrict(confinement.rules)
            os.close(confinement.rules)
        if confinement.filtering is not None:
            seccomp.install(confinement.filtering)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        if run is None:
            os.execvpe(command["words"][0], command["words"], environment)
        if environment != confinement.environment:
            os.environ.clear()
            os.environ.update(environment)
    except BaseException as error:
        os.write(word, f"{type(error).__name__}: {error}".encode()[:200])
        os._exit(127)
    run(word)


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
    cpu_s = math.ceil(limits["cpu_s"]) + 1  # a backstop: the worker looks at finer times
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
