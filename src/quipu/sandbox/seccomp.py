"""A seccomp filter: system calls that no honest solution needs fail with EPERM.

A list of what is forbidden, not of what is allowed: runtimes of eight languages must keep working,
and files are Landlock's. Layout: linux/filter.h, linux/seccomp.h; numbers: asm/unistd_64.h and
asm-generic/unistd.h.
"""

import ctypes
import errno
import os
import struct

_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32_BIT = 0x40000000
_SET_MODE_FILTER = 1
_SECCOMP = {"x86_64": 317, "aarch64": 277}

# name: (x86_64, aarch64); None where there is no such call.
FORBIDDEN: dict[str, tuple[int | None, int | None]] = {
    # the network; socketpair stays: it reaches nobody else
    "socket": (41, 198), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201),
    "accept": (43, 202), "accept4": (288, 242),
    # other processes
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "kcmp": (312, 272), "pidfd_getfd": (438, 438), "process_madvise": (440, 440),
    # other views of the system
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "unshare": (272, 97), "setns": (308, 268), "fsopen": (430, 430), "fsconfig": (431, 431),
    "fsmount": (432, 432), "fspick": (433, 433), "move_mount": (429, 429),
    "open_tree": (428, 428), "mount_setattr": (442, 442), "open_by_handle_at": (304, 265),
    "name_to_handle_at": (303, 264), "quotactl": (179, 60), "quotactl_fd": (443, 443),
    # the kernel
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "init_module": (175, 105),
    "finit_module": (313, 273), "delete_module": (176, 106), "reboot": (169, 142),
    "swapon": (167, 224), "swapoff": (168, 225), "syslog": (103, 116), "acct": (163, 89),
    "fanotify_init": (300, 262), "lookup_dcookie": (212, 18),
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    # shared memory that outlives its makers
    "shmget": (29, 194), "shmat": (30, 196), "msgget": (68, 186), "semget": (64, 190),
    "mq_open": (240, 180),
    # the clock, names, other priorities
    "settimeofday": (164, 170), "clock_settime": (227, 112), "clock_adjtime": (305, 266),
    "adjtimex": (159, 171), "sethostname": (170, 161), "setdomainname": (171, 162),
    "iopl": (172, None), "ioperm": (173, None), "modify_ldt": (154, None),
}  # fmt: skip
# Landlock does not cover rights, owners, times and attributes of files; where mounts cannot be made
# read-only, nobody may change them. fchmod stays: it needs an open file.
METADATA: dict[str, tuple[int | None, int | None]] = {
    "chmod": (90, None), "fchmodat": (268, 53), "fchmodat2": (452, 452),
    "chown": (92, None), "lchown": (94, None), "fchownat": (260, 54), "fchown": (93, 55),
    "utime": (132, None), "utimes": (235, None), "futimesat": (261, None), "utimensat": (280, 88),
    "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7),
    "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16),
}  # fmt: skip
_CLONE = {"x86_64": 56, "aarch64": 220}
_CLONE3 = 435
_NEW_NAMESPACES = 0x7E020000  # CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}

_LOAD, _EQUAL, _SET, _AT_LEAST, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_NR, _ARCH, _FIRST_ARGUMENT = 0, 4, 16

_libc = ctypes.CDLL(None, use_errno=True)


def supported() -> bool:
    """Whether there is a filter for this architecture and the kernel takes one."""
    machine = os.uname().machine
    if machine not in _ARCHITECTURES:
        return False
    _libc.syscall(_SECCOMP[machine], _SET_MODE_FILTER, 0, None)
    return ctypes.get_errno() == errno.EFAULT  # it got as far as reading the filter


def program(*, frozen: bool) -> bytes:
    """The filter for this machine. `frozen`: all mounts but the scratch folder's are read-only."""
    machine = os.uname().machine
    column = 0 if machine == "x86_64" else 1
    rows = [*FORBIDDEN.values(), *(() if frozen else METADATA.values())]
    denied = sorted(number for row in rows if (number := row[column]) is not None)
    lines = [
        (_LOAD, 0, 0, _ARCH),
        (_EQUAL, 1, 0, _ARCHITECTURES[machine]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NR),
    ]
    if machine == "x86_64":
        lines += [(_AT_LEAST, 0, 1, _X32_BIT), (_RETURN, 0, 0, _KILL)]
    # clone3 keeps its flags in memory, out of a filter's sight; at ENOSYS libraries turn to clone.
    lines += [(_EQUAL, 0, 1, _CLONE3), (_RETURN, 0, 0, _ERRNO | errno.ENOSYS)]
    for number in denied:
        lines += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ERRNO | errno.EPERM)]
    lines += [
        (_EQUAL, 0, 3, _CLONE[machine]),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_SET, 0, 1, _NEW_NAMESPACES),
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("<HBBI", *line) for line in lines)


def install(filter_program: bytes) -> None:
    """Put this process and what it starts under the filter, for good. Needs no_new_privs."""
    buffer = ctypes.create_string_buffer(filter_program, len(filter_program))
    count = len(filter_program) // 8
    head = struct.pack("<HxxxxxxQ", count, ctypes.addressof(buffer))
    if _libc.syscall(_SECCOMP[os.uname().machine], _SET_MODE_FILTER, 0, head):
        code = ctypes.get_errno()
        raise OSError(code, f"seccomp: {os.strerror(code)}")
