"""Landlock: a process gives up the file system, but for the paths it names; no privilege needed.

Numbers: linux/landlock.h, userspace-api/landlock.rst of the kernel.
"""

import ctypes
import os
import struct
from collections.abc import Sequence

_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446  # the same on every architecture
_VERSION_FLAG, _PATH_BENEATH = 1, 1
_SCOPED_ABI, _NETWORK_ABI = 6, 4

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_ALL_SINCE = {1: (1 << 13) - 1, 2: 1 << 13, 3: 1 << 14, 5: 1 << 15}  # refer, truncate, ioctl_dev
_FILE_ONLY = EXECUTE | WRITE_FILE | READ_FILE | 1 << 14 | 1 << 15
READ = READ_FILE | READ_DIR | EXECUTE
_TCP_BIND_CONNECT = 0b11
_SCOPE_ABSTRACT_UNIX_AND_SIGNALS = 0b11

_libc = ctypes.CDLL(None, use_errno=True)


def abi() -> int:
    """Version that the kernel speaks; 0: none."""
    return max(0, int(_libc.syscall(_CREATE, None, ctypes.c_size_t(0), _VERSION_FLAG)))


def ruleset(read: Sequence[str], write: Sequence[str], devices: Sequence[str]) -> int:
    """A file descriptor of rules: what may be read and executed, and what may be changed.

    `write` paths allow everything beneath; `devices` reading and writing of files that are there.
    Paths that do not exist are left out. Raises OSError if the kernel refuses.
    """
    version = abi()
    handled = 0
    for since, bits in _ALL_SINCE.items():
        handled |= bits if version >= since else 0
    network = _TCP_BIND_CONNECT if version >= _NETWORK_ABI else 0
    scoped = _SCOPE_ABSTRACT_UNIX_AND_SIGNALS if version >= _SCOPED_ABI else 0
    size = 24 if version >= _SCOPED_ABI else 16 if version >= _NETWORK_ABI else 8
    attributes = struct.pack("<QQQ", handled, network, scoped)[:size]
    rules = _call(_CREATE, attributes, ctypes.c_size_t(size), 0)
    for path in read:
        _allow(rules, path, READ & handled)
    for path in write:
        _allow(rules, path, handled & ~(1 << 15))
    for path in devices:
        _allow(rules, path, (READ_FILE | WRITE_FILE) & handled)
    return rules


def restrict(rules: int) -> None:
    """Put this thread and what it starts under the rules, for good. Needs no_new_privs."""
    _call(_RESTRICT, rules, 0)


def _allow(rules: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not os.path.isdir(path):
            rights &= _FILE_ONLY  # the kernel refuses rights of folders on a file
        _call(_ADD_RULE, rules, _PATH_BENEATH, struct.pack("<Qi", rights, place), 0)
    finally:
        os.close(place)


def _call(number: int, *arguments: object) -> int:
    done = int(_libc.syscall(number, *arguments))
    if done < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"landlock: {os.strerror(code)}")
    return done
