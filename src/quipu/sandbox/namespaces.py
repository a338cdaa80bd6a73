"""Namespaces: a worker that sees no other process, no network, and mounts of its own."""

import ctypes
import os
import struct
from collections.abc import Sequence

_NEWNS, _NEWUTS, _NEWIPC = 0x00020000, 0x04000000, 0x08000000
_NEWUSER, _NEWPID, _NEWNET = 0x10000000, 0x20000000, 0x40000000
_NOSUID, _NODEV, _NOEXEC, _RECURSIVE, _PRIVATE = 2, 4, 8, 1 << 14, 1 << 18
_BIND = 4096
_MOUNT_SETATTR, _CWD, _RECURSIVE_AT = 442, -100, 0x8000

_libc = ctypes.CDLL(None, use_errno=True)


def enter() -> None:
    """Leave the namespaces of this process; its next child is number 1 of a new one.

    Without root a user namespace comes first, in which this user may do what root may. Raises
    OSError if the kernel or its policy says no; what has been left by then stays left.
    """
    user, group = os.getuid(), os.getgid()
    flags = _NEWNS | _NEWUTS | _NEWIPC | _NEWPID | _NEWNET
    _check(_libc.unshare(flags if user == 0 else flags | _NEWUSER), "unshare")
    if user != 0:
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{user} {user} 1")
        _write("/proc/self/gid_map", f"{group} {group} 1")
    _mount("none", "/", None, _RECURSIVE | _PRIVATE, "")


def freeze() -> None:
    """Make every mount of this namespace read-only: rights and owners of files cannot change."""
    read_only = struct.pack("<QQQQ", 1, 0, 0, 0)  # struct mount_attr: attr_set
    done = _libc.syscall(_MOUNT_SETATTR, _CWD, b"/", _RECURSIVE_AT, read_only, len(read_only))
    _check(done, "mount_setattr")


def mount_proc() -> None:
    """Show this PID namespace in /proc, to each user its own processes; for number 1 to call."""
    _mount("proc", "/proc", "proc", _NOSUID | _NODEV | _NOEXEC, "hidepid=2")


def mount_scratch(folder: str, size_bytes: int, files: int) -> None:
    """A file system in memory at `folder`, bounded, gone with the namespace."""
    options = f"size={size_bytes},nr_inodes={files},mode=0755"
    _mount("tmpfs", folder, "tmpfs", _NOSUID | _NODEV, options)


def closed_ancestors(paths: Sequence[str]) -> dict[str, list[str]]:
    """Paths by the uppermost folder above them that other users may not pass."""
    found: dict[str, list[str]] = {}
    for path in sorted(set(filter(os.path.isdir, map(os.path.realpath, paths)))):
        parts = path.split("/")
        folders = ["/".join(parts[:length]) or "/" for length in range(1, len(parts))]
        closed = next((f for f in folders if not os.stat(f).st_mode & 0o001), None)
        if closed is not None:
            found.setdefault(closed, []).append(path)
    return found


def open_ways(paths: Sequence[str]) -> None:
    """Make folders reachable for another user, in this mount namespace alone.

    A closed folder above them (a home, say) is covered by an empty one that holds nothing else.
    """
    for closed, inside in closed_ancestors(paths).items():
        places = {path: os.open(path, os.O_PATH) for path in inside}
        _mount("tmpfs", closed, "tmpfs", _NOSUID | _NODEV, "size=1m,mode=0755")
        for path, place in places.items():
            os.makedirs(path, exist_ok=True)
            _mount(f"/proc/self/fd/{place}", path, None, _BIND, "")
            os.close(place)


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def _mount(source: str, target: str, kind: str | None, flags: int, options: str) -> None:
    encoded = (source.encode(), target.encode(), kind and kind.encode())
    _check(_libc.mount(*encoded, ctypes.c_ulong(flags), options.encode() or None), "mount")


def _check(done: int, what: str) -> None:
    if done:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
