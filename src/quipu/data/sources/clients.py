"""Other programs that fetch: pip, npm, apt and git, one at a time and never for ever."""

import errno
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

TIMEOUT_S = 900
_ABSENT = (
    "no matching distribution", "could not find a version", "etarget", "e404", "404 not found",
    "unable to find a source package", "can not find version", "not found for",
)  # fmt: skip
_UNREACHABLE = (
    "temporary failure", "name or service not known", "failed to establish", "enotfound",
    "could not resolve", "econnrefused", "etimedout", "eai_again", "connection timed out",
    "network is unreachable", "connection refused", "read timed out", "could not connect",
)  # fmt: skip
_MISMATCH = ("do not match the hashes", "eintegrity", "hash sum mismatch", "sha256 mismatch")
_FULL = ("no space left on device", "enospc", "disk quota exceeded", "don't have enough free space")


class Unfetched(Exception):
    """A package that could not be had; the message is the reason."""


def called(program: str, arguments: Sequence[str], folder: Path) -> str:
    """Run a program in a folder and return what it printed; Unfetched, OSError (disk full)."""
    found = shutil.which(program)
    if found is None:
        raise Unfetched(f"client: {program} is not installed")
    # Messages are judged below: they must not be translated.
    variables = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    with subprocess.Popen(
        [found, *arguments],
        cwd=folder,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # so that what it has started can be ended with it
    ) as process:
        try:
            out, err = process.communicate(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            os.killpg(process.pid, signal.SIGKILL)
            raise Unfetched(f"network: {program} took longer than {TIMEOUT_S:g} s") from error
        except BaseException:  # such as Ctrl-C, which the session of its own keeps from it
            os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode != 0:
        raise _reason(program, (err + b"\n" + out).decode("utf-8", "replace"))
    return out.decode("utf-8", "replace")


def _reason(program: str, said: str) -> Exception:
    low = " ".join(said.lower().split())
    if any(words in low for words in _FULL):
        return OSError(errno.ENOSPC, "no space left")
    if any(words in low for words in _MISMATCH):
        return Unfetched("hash: not what the index publishes")
    # pip says "no matching distribution" after it could not reach anything, too.
    if any(words in low for words in _UNREACHABLE):
        return Unfetched(f"network: {program} could not reach its registry")
    if any(words in low for words in _ABSENT):
        return Unfetched("not found: no such package or version, or withdrawn")
    return Unfetched(f"client: {program} failed, {_last_line(said)}")


def _last_line(said: str) -> str:
    """What a program said last, without paths: reports leave this machine."""
    lines = [" ".join(line.split()) for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("E: ") or "error" in line.lower()]
    last = [*lines, *errors][-1] if lines else "and said nothing"
    return re.sub(r"(?<![\w.])(?:\w+:/)?/[^\s'\"]+", "…", last)[:160]
