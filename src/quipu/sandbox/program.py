"""What goes into a sandbox and what comes out; the seam that every sandbox implements."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

Status = Literal["passed", "failed", "timeout", "memory", "crashed", "sandbox_error"]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds of one command. CPU time decides, so that a verdict does not depend on the load."""

    cpu_s: float = 10.0
    wall_s: float = 120.0  # for programs that sleep or wait; generous on purpose
    memory_bytes: int = 2 * 2**30
    processes: int = 64
    output_bytes: int = 2**20  # of each stream; more is dropped, endless output ends the program
    file_bytes: int = 64 * 2**20
    open_files: int = 256


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command in the scratch folder.

    `("python", FILE)` with `warm` runs in a fork of an interpreter that is already up, with the
    usual modules imported; anything else is started as a program.
    """

    words: tuple[str, ...]
    limits: Limits = Limits()
    warm: bool = False
    bounded_space: bool = True  # False: a runtime that reserves more addresses than it uses (JVM)


@dataclass(frozen=True, kw_only=True)
class Apart:
    """The tests of a Python program, for where they cannot share a process with it.

    A program that is not plain (`plain`) could find what its tests expect, or change what they
    mean. Then not the whole file runs, but `program` in one process and `tests` in another.
    """

    program: str  # all that the benchmark has not written, with what it needs
    tests: str  # Python statements that use the program's functions by name; trusted
    before: str = ""  # trusted definitions that the tests need beside the program's
    names: tuple[str, ...] = ()  # those in `before` and of builtins that are the program's


@dataclass(frozen=True, kw_only=True)
class Program:
    """Files for an empty scratch folder, and commands to run there until one does not exit with 0.

    `stdin` is the last command's. `complete`: a warm program must reach its last statement, so that
    leaving early with exit code 0 is not passing. `apart`: the one file, its one warm command's, is
    a program followed by its tests, and must complete.
    """

    files: Mapping[str, bytes]
    commands: tuple[Command, ...]
    stdin: bytes = b""
    complete: bool = False
    apart: Apart | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a program ended: the last command that ran, with all that the run cost.

    passed         exit code 0
    failed         another exit code, or an early end of one that must complete
    timeout        out of CPU time, or of wall time
    memory         out of memory
    crashed        ended by a signal
    sandbox_error  never ran as it should have: says nothing about the program
    """

    status: Status
    exit_code: int | None = None  # None: ended by a signal, or never ran
    signal: int | None = None
    stdout: bytes = b""
    stderr: bytes = b""
    cpu_s: float = 0.0
    wall_s: float = 0.0
    peak_bytes: int = 0  # of the largest process
    command: int = 0  # number of the command that this is about
    detail: str = ""  # for people: which limit, which error


class Sandbox(Protocol):
    """Runs programs. Safe to call from several threads."""

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers that confine every program."""

    def run(self, program: Program) -> Outcome:
        """Run one program to its end; nothing of it is left afterwards."""

    def close(self) -> None:
        """End all workers. Idempotent."""


class Judge(Protocol):
    """Tells whole programs that pass from others. Safe to call from several threads."""

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers that confine every program."""

    def require(self, language: str) -> None:
        """Raises UsageError for an unknown language, SandboxError for one without its tools."""

    def versions(self, language: str) -> Mapping[str, str]:
        """Executables that judge a language, with their versions."""

    def judge(
        self,
        language: str,
        source: str,
        *,
        stdin: bytes = b"",
        limits: Limits | None = None,
        complete: bool = False,
        apart: Apart | None = None,
    ) -> Outcome:
        """The outcome of a program with its tests; exit code 0 has passed.

        `complete`: a Python program must reach its last statement. `apart`: the tests that a Python
        program ends with, to be kept out of its reach. Raises what `require` raises.
        """

    def close(self) -> None:
        """End what it has started. Idempotent."""
