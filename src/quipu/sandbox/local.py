"""The sandbox of this machine: a few workers, each a warm interpreter that forks per program."""

import contextlib
import os
import queue
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from quipu.errors import SandboxError
from quipu.sandbox.program import Outcome, Program
from quipu.sandbox.worker import receive, send

LAYERS = ("landlock", "seccomp", "rlimits", "namespaces", "user")
NEEDED = ("landlock", "seccomp", "rlimits")
BUBBLEWRAP = "bubblewrap"  # the layer that takes the place of "namespaces" if it is asked for
# What programs may read: runtimes and their libraries; nobody's files.
SYSTEM = (
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32",
    "/etc/alternatives", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d",
    "/etc/localtime", "/etc/timezone", "/etc/ssl/openssl.cnf",
    "/etc/java-17-openjdk", "/etc/mono", "/etc/php",
)  # fmt: skip
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
PATH = "/usr/local/bin:/usr/bin:/bin"
SCRATCH_BYTES = 512 * 2**20
SPARE_S = 30.0  # beyond a program's wall time, before a worker is given up
_START = (
    "import sys; sys.path.insert(0, sys.argv.pop()); from quipu.sandbox.worker import main; main()"
)
# What a worker started by root needs to hide processes, to give its children another user and to
# take back their files.
_CAPABILITIES = ("CAP_SYS_ADMIN", "CAP_SETUID", "CAP_SETGID", "CAP_CHOWN", "CAP_DAC_OVERRIDE",
                 "CAP_FOWNER", "CAP_KILL")  # fmt: skip
_FIRST_USER = 61_000  # nobody's, on most machines


class LocalSandbox:
    """Implements `Sandbox`."""

    def __init__(
        self,
        *,
        workers: int = 1,
        allow_weaker: Sequence[str] = (),
        read: Sequence[str] = (),
        layers: Sequence[str] = LAYERS,
        bubblewrap: bool = False,
    ) -> None:
        """Start the workers. `read` are further paths that programs may read. `bubblewrap`: bwrap
        makes the namespaces, for where only it may.

        Raises SandboxError on other systems than Linux, and if a layer of NEEDED is missing that
        `allow_weaker` does not name.
        """
        if sys.platform != "linux":
            raise SandboxError(
                "no sandbox on this system",
                got=sys.platform,
                allowed="Linux",
                remedy="run in a Linux container or WSL, or start `quipu eval serve` on a Linux"
                " machine and give its address with --sandbox",
            )
        if bubblewrap and shutil.which("bwrap") is None:
            raise SandboxError("no bubblewrap here", remedy="apt-get install -y bubblewrap")
        self._read = [*SYSTEM, sys.prefix, sys.base_prefix, *read]
        self._layers = tuple(layers)
        self._needed: tuple[str, ...] = NEEDED
        if bubblewrap:
            self._layers = (*(name for name in layers if name != "namespaces"), BUBBLEWRAP)
            self._needed = (*NEEDED, BUBBLEWRAP)
        self._closed = False
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        self._numbers = iter(range(_FIRST_USER + os.getpid() % 4096, 2**31))
        self._lock = threading.Lock()
        self._all: set[_Worker] = set()
        try:
            for _ in range(workers):
                self._idle.put(self._start())
            self._check(allow_weaker)
        except BaseException:
            self.close()
            raise

    @property
    def layers(self) -> tuple[str, ...]:
        return next(iter(self._all)).layers

    def run(self, program: Program) -> Outcome:
        worker = self._idle.get()
        try:
            outcome = worker.run(program)
        except (OSError, EOFError) as error:
            self._discard(worker)
            outcome = Outcome(status="sandbox_error", detail=f"the worker has ended: {error}")
            worker = self._start()
        self._idle.put(worker)
        return outcome

    def close(self) -> None:
        with self._lock:
            workers, self._all = self._all, set()
        for worker in workers:
            worker.close()

    def __enter__(self) -> "LocalSandbox":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self) -> "_Worker":
        user = next(self._numbers)
        try:
            worker = _Worker(self._read, self._layers, user)
        except OSError:
            self._layers = tuple(name for name in self._layers if name != "namespaces")
            worker = _Worker(self._read, self._layers, user)
        with self._lock:
            self._all.add(worker)
        return worker

    def _discard(self, worker: "_Worker") -> None:
        with self._lock:
            self._all.discard(worker)
        worker.close()

    def _check(self, allow_weaker: Sequence[str]) -> None:
        # Landlock does not bound what root may do to rights and owners of files.
        needed = (*self._needed, "user") if os.getuid() == 0 else self._needed
        missing = [n for n in needed if n not in self.layers and n not in allow_weaker]
        if missing:
            raise SandboxError(
                "this machine cannot confine programs well enough",
                got=f"no {', no '.join(missing)}",
                allowed=", ".join(needed),
                remedy="use a newer kernel or a container that lets these calls through, or accept"
                f" the risk with --allow-weaker-sandbox {','.join(missing)}",
            )


class _Worker:
    """One worker process and the socket to it."""

    def __init__(self, read: Sequence[str], layers: Sequence[str], user: int) -> None:
        """Start it. Raises OSError if it cannot have its namespaces."""
        self._scratch = tempfile.mkdtemp(prefix="quipu-sandbox-")
        os.chmod(self._scratch, 0o755)  # another user has to reach the folder within
        ours, theirs = socket.socketpair()
        self._link = ours
        with theirs:
            options = ["-I", "-S", "-X", "utf8", "-c", _START]
            source = str(Path(__file__).parents[2])
            wrapped = _wrapped([*read, source], self._scratch) if BUBBLEWRAP in layers else []
            self._process = subprocess.Popen(
                [*wrapped, sys.executable, *options, str(theirs.fileno()), source],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                cwd="/",
                env={"PATH": os.defpath, "PYTHONHASHSEED": "0"},
            )
        send(
            ours,
            {
                "scratch": self._scratch,
                "scratch_bytes": SCRATCH_BYTES,
                "read": list(read),
                "devices": list(DEVICES),
                "layers": list(layers),
                "user": user,
                "environment": _environment(self._scratch),
            },
        )
        ready = receive(ours)
        if ready is None or "failed" in ready:
            self.close()
            if ready is not None and "namespaces" in layers:
                raise OSError(ready["failed"])
            raise SandboxError("the sandbox worker did not start", remedy="see stderr above")
        self.layers: tuple[str, ...] = tuple(ready["layers"])

    def run(self, program: Program) -> Outcome:
        """Run one program. Raises OSError or EOFError if the worker has ended."""
        self._link.settimeout(sum(c.limits.wall_s for c in program.commands) + SPARE_S)
        send(self._link, _message(program, self._scratch))
        answer = receive(self._link)
        if answer is None:
            raise EOFError("no answer")
        return Outcome(**answer)

    def close(self) -> None:
        """End it and remove its folder. Idempotent."""
        self._link.close()
        self._process.kill()
        self._process.wait()
        with contextlib.suppress(OSError):
            shutil.rmtree(self._scratch)


def _wrapped(read: Sequence[str], scratch: str) -> list[str]:
    """What stands before a command that bubblewrap starts, as number 1 of its namespaces."""
    words = ["bwrap", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"]
    words += ["--die-with-parent", "--as-pid-1", "--proc", "/proc", "--chdir", "/"]
    for capability in _CAPABILITIES if os.getuid() == 0 else ():
        words += ["--cap-add", capability]
    above = {str(folder) for path in read for folder in Path(path).parents}
    for folder in sorted(above - {"/"}):  # else another user could not pass them
        words += ["--perms", "0755", "--dir", folder]
    for path in sorted(read):
        words += ["--ro-bind-try", path, path]
    for device in DEVICES:
        words += ["--dev-bind-try", device, device]
    return [*words, "--perms", "0755", "--size", str(SCRATCH_BYTES), "--tmpfs", scratch]


def _environment(scratch: str) -> dict[str, str]:
    place = f"{scratch}/work"
    return {
        "PATH": PATH,
        "HOME": place,
        "TMPDIR": place,
        "LANG": "C.UTF-8",
    }


def _message(program: Program, scratch: str) -> dict[str, Any]:
    return {
        "files": dict(program.files),
        "commands": [
            {**vars(command), "limits": dict(vars(command.limits))} for command in program.commands
        ],
        "stdin": program.stdin,
        "complete": program.complete or program.apart is not None,
        "apart": program.apart and dict(vars(program.apart)),
        "environment": {**_environment(scratch), **program.environment},
    }
