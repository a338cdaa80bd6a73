"""The worker: a warm interpreter, confined as a whole, that forks one confined child per command.

It runs in a process of its own, started by `local`, with nothing in its environment and a socket
as its only tie. It never runs a program's code itself. As number 1 of a PID namespace it ends
whatever a program has left with one signal to all; elsewhere it adopts orphans and hunts them down.
"""

import contextlib
import ctypes
import errno
import fcntl
import gc
import importlib
import marshal
import os
import signal
import socket
import stat
import struct
import sys
import warnings
from functools import partial
from types import CodeType
from typing import Any

from quipu.sandbox import children, landlock, namespaces, seccomp
from quipu.sandbox.confine import Confinement, never_again, started
from quipu.sandbox.lasting import Host
from quipu.sandbox.plain import plain
from quipu.sandbox.running import run_once

# What solutions import most; a fork has them for nothing. Not threading and random, which do things
# of their own after each fork, and not what is large: every page and mapping costs every fork.
PRELOADED = (
    "abc", "ast", "atexit", "bisect", "collections", "contextlib", "copy", "functools", "heapq",
    "io", "itertools", "linecache", "math", "operator", "os", "re", "string", "sys", "time",
    "traceback", "types", "typing",
)  # fmt: skip
SCRATCH_FILES = 16384
_OUT_OF_THE_WAY = 64  # a child puts other descriptors at 0 to 3
_DEATH_SIGNAL, _DUMPABLE, _SUBREAPER = 1, 4, 36  # prctl


def main() -> None:
    """Set up, say what confines, then serve until the other end of the socket is closed."""
    link = socket.socket(fileno=int(sys.argv[1]))
    settings = receive(link)
    assert settings is not None
    ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGKILL)
    try:
        confinement = set_up(settings)
    except OSError as error:
        # Half in its namespaces it is of no use: another will be started without them.
        send(link, {"failed": str(error)})
        return
    for name in PRELOADED:
        importlib.import_module(name)
    os.environ.clear()
    os.environ.update(settings["environment"])
    gc.collect()
    gc.freeze()
    send(link, {"layers": confinement.layers})
    serve(link, confinement)


def serve(link: socket.socket, confinement: Confinement) -> None:
    """Run what is sent, one program after the other; nothing of one is left for the next."""
    host = Host(confinement)
    _lay(confinement)
    while (job := receive(link)) is not None:
        try:
            answer = host.run(job)
            if answer is None:
                host.end()
                answer = run(job, confinement)
        except OSError as error:
            host.end()
            answer = {"status": "sandbox_error", "detail": str(error)}
        if not host.lasts:
            children.end_all(confinement.alone)
            _empty(confinement.scratch)
        send(link, answer)
        if not host.lasts:
            _lay(confinement)


def set_up(settings: dict[str, Any]) -> Confinement:
    """Take every layer that the kernel gives and the settings ask for.

    Raises OSError if the namespaces that were asked for cannot be had.
    """
    layers, libc, scratch = ["rlimits"], ctypes.CDLL(None), settings["scratch"]
    wanted = settings["layers"]
    root, alone, hidden = os.getuid() == 0, False, False
    if "namespaces" in wanted:
        namespaces.enter()
        _continue_as_first()
        namespaces.mount_proc()
        namespaces.open_ways([path for path in settings["read"] if path.count("/") > 1])
        namespaces.freeze()
        namespaces.mount_scratch(scratch, settings["scratch_bytes"], SCRATCH_FILES)
        layers.append("namespaces")
        alone = hidden = True
    if "bubblewrap" in wanted:
        layers.append("bubblewrap")
        alone = os.getpid() == 1
        with contextlib.suppress(OSError):  # only root may, in there
            namespaces.mount_proc()
            hidden = True
    libc.prctl(_SUBREAPER, 1)
    libc.prctl(_DUMPABLE, 0)  # its memory is nobody's business
    os.umask(0o022)
    rules = None
    if "landlock" in wanted and landlock.abi():
        # Runtimes look at their own maps; but where /proc is not hidden it would show too much.
        read = [*settings["read"], *(["/proc"] if hidden else [])]
        found = landlock.ruleset(read, [scratch], settings["devices"])
        rules = fcntl.fcntl(found, fcntl.F_DUPFD_CLOEXEC, _OUT_OF_THE_WAY)
        os.close(found)
        layers.append("landlock")
    never_again()
    filtering = None
    if "seccomp" in wanted and seccomp.supported():
        filtering = seccomp.program(frozen=alone)
        layers.append("seccomp")
        if alone:  # from here on the worker needs nothing of what is forbidden
            seccomp.install(filtering)
            filtering = None
    # A Python in a closed home folder is out of another user's reach.
    possible = root and "user" in wanted and (alone or not _closed(sys.base_prefix))
    user = settings["user"] if possible else None
    if user is not None:
        layers.append("user")
    return Confinement(
        layers=tuple(sorted(layers)),
        scratch=scratch,
        alone=alone,
        user=user,
        environment=settings["environment"],
        rules=rules,
        devices=tuple(settings["devices"]),
        filtering=filtering,
    )


def _closed(path: str) -> bool:
    return bool(namespaces.closed_ancestors([path]))


def _continue_as_first() -> None:
    """Go on in a child that is number 1 of the new PID namespace; this process waits for it."""
    child = os.fork()
    if child == 0:
        ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGKILL)
        return
    os.closerange(3, 1024)
    _, status = os.waitpid(child, 0)
    os._exit(os.waitstatus_to_exitcode(status) & 0x7F)


def _lay(confinement: Confinement) -> None:
    """Make the empty folder of the next program."""
    place = f"{confinement.scratch}/work"
    os.mkdir(place, 0o755)
    if confinement.user is not None:
        os.chown(place, confinement.user, confinement.user)
    os.chdir(place)


def _empty(folder: str) -> None:
    """Leave nothing of a program in a folder, whatever it did to its rights, however deep."""
    number = 0
    while names := os.listdir(folder):
        for name in names:
            path = f"{folder}/{name}"
            if not stat.S_ISDIR(os.lstat(path).st_mode):
                os.unlink(path)
                continue
            os.chmod(path, 0o700)
            for inner in os.listdir(path):
                below = f"{path}/{inner}"
                if stat.S_ISDIR(os.lstat(below).st_mode):
                    os.chmod(below, 0o700)  # a folder that moves is written to
                while os.path.lexists(f"{folder}/{number}"):
                    number += 1
                os.rename(below, f"{folder}/{number}")
            os.rmdir(path)


def run(job: dict[str, Any], confinement: Confinement) -> dict[str, Any]:
    """Write the files, run the commands until one does not exit with 0; the last one's outcome."""
    code = _compiled(job)
    if not job["apart"]:
        _write(job["files"], confinement.user)
    cpu_s = wall_s = 0.0
    answer: dict[str, Any] = {"status": "sandbox_error", "detail": "no command"}
    for number, command in enumerate(job["commands"]):
        last = number + 1 == len(job["commands"])
        answer = _run_command(job, command, confinement, code, last)
        cpu_s += answer["cpu_s"]
        wall_s += answer["wall_s"]
        answer |= {"cpu_s": cpu_s, "wall_s": wall_s, "command": number}
        if answer["status"] != "passed":
            break
    return answer


def _write(files: dict[str, bytes], user: int | None) -> None:
    """Write files into the working folder. They are the user's, if there is one."""
    for name, data in files.items():
        folder = os.path.dirname(name)
        if folder:
            os.makedirs(folder, exist_ok=True)
        with open(name, "xb") as file:
            file.write(data)
    if user is not None:
        for folder, _, inside in os.walk("."):
            for name in (".", *inside):
                os.chown(f"{folder}/{name}", user, user)


def _compiled(job: dict[str, Any]) -> CodeType | None:
    """The code of a plain program with its tests. Made here, it costs the child no pages."""
    if not job["apart"]:
        return None
    ((name, source),) = job["files"].items()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they would be told on this process's stderr
        try:
            return compile(source, name, "exec") if plain(job["apart"]["program"]) else None
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def _run_command(
    job: dict[str, Any],
    command: dict[str, Any],
    confinement: Confinement,
    code: CodeType | None,
    last: bool,
) -> dict[str, Any]:
    run = partial(run_once, command["words"][1:], job, code) if command["warm"] else None
    given = _given(job["stdin"] if last else b"")
    child, ends = started(command, confinement, job["environment"], given, run)
    try:
        return children.watch(
            child, ends, command["limits"], job["complete"] and last, confinement.alone
        )
    finally:
        for end in ends:
            os.close(end)


def _given(data: bytes) -> int:
    """A descriptor to read it from."""
    if not data:
        return os.open(os.devnull, os.O_RDONLY)
    given = os.memfd_create("stdin")
    os.write(given, data)
    os.lseek(given, 0, os.SEEK_SET)
    return given


def send(link: socket.socket, message: dict[str, Any]) -> None:
    """One message: its length, then the message."""
    data = marshal.dumps(message)
    link.sendall(struct.pack("<Q", len(data)) + data)


def receive(link: socket.socket) -> dict[str, Any] | None:
    """The next message; None when the other end is closed."""
    head = _read(link, 8)
    if head is None:
        return None
    body = _read(link, struct.unpack("<Q", head)[0])
    if body is None:
        return None
    message: dict[str, Any] = marshal.loads(body)
    return message


def _read(link: socket.socket, size: int) -> bytes | None:
    parts = []
    while size:
        try:
            part = link.recv(min(size, 1 << 20))
        except OSError as error:
            if error.errno == errno.ECONNRESET:
                return None
            raise
        if not part:
            return None
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


if __name__ == "__main__":
    main()
