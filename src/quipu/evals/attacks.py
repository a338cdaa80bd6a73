"""Programs that try to get out, to stay, to starve the machine, or to pass without being right.

Each is written so that it reaches its last statement only if it succeeds: a sandbox holds if none
of them passes, and if an honest program still passes after each.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from quipu.sandbox.program import Apart, Judge, Limits

_LIMITS = Limits(cpu_s=2.0, wall_s=10.0, memory_bytes=512 * 2**20)
_HONEST = "assert sum(range(10)) == 45\n"
SURVIVOR = "quipu-selftest-survivor"


@dataclass(frozen=True, kw_only=True)
class Attack:
    """A program that must not pass: alone, or with tests of its function `answer`."""

    name: str
    program: str
    tests: str = ""


def attacks() -> Sequence[Attack]:
    """All of them; some name files of the user who runs them."""
    home = Path.home()
    sources = {
        "read /etc/passwd": "open('/etc/passwd').read()",
        "read /etc/shadow": "open('/etc/shadow').read()",
        "list the home folder": f"import os\nos.listdir({str(home)!r})",
        "read Quipu's own source": f"open({__file__!r}).read()",
        "read the environment of others": "open('/proc/1/environ').read()",
        "see other processes": _OTHERS,
        "follow a link out": "import os\nos.symlink('/etc/passwd', 'p')\nopen('p').read()",
        "write outside": _WRITE,
        "signal the parent": "import os\nos.kill(os.getppid(), 9)",
        "become root": "import os\nos.setuid(0)",
        "open a socket of any family": _SOCKETS,
        "trace, mount, unshare": _CALLS,
        "allocate 10 GB": "x = bytearray(10 * 2**30)",
        "fork without end": _BOMB,
        "print without end": "while True:\n    print('x' * 999)",
        "loop without end": "while True:\n    pass",
        "loop past ignored signals": _IGNORING,
        "fill the disk": _FILLING,
        "leave a process behind": _SURVIVING,
        "delete the scratch folder": _DELETING,
        "os._exit(0) before the tests": "import os\nos._exit(0)\nassert False",
        "sys.exit(0) before the tests": "import sys\nsys.exit(0)\nassert False",
        "exec another program": "import os\nos.execvp('true', ['true'])\nassert False",
        "exit from a thread": _THREAD,
        "exit at the end of a test": _ATEXIT,
    }
    deceiving = {
        "an object equal to everything": _LIAR,
        "walk frames to find the tests": _WALKING,
        "find the tests in memory": _SEARCHING,
        "say that the tests have passed": _SAYING,
        "change what the tests call": "import builtins\nbuiltins.abs = lambda x: 0\nanswer = int",
    }
    return [
        *(Attack(name=name, program=source + "\n") for name, source in sources.items()),
        *(Attack(name=n, program=source + "\n", tests=_TESTS) for n, source in deceiving.items()),
    ]


def stopped(judge: Judge, attack: Attack) -> str:
    """What went wrong; empty if the attack was stopped and the sandbox still serves."""
    apart = Apart(program=attack.program, tests=attack.tests) if attack.tests else None
    source = attack.program + attack.tests
    outcome = judge.judge("python", source, limits=_LIMITS, complete=True, apart=apart)
    if outcome.status == "passed":
        return "succeeded"
    if outcome.status == "sandbox_error":
        return f"the sandbox failed: {outcome.detail}"
    if _survives():
        return "a process is left"
    after = judge.judge("python", _HONEST, limits=_LIMITS, complete=True)
    return "" if after.status == "passed" else f"an honest program after it: {after.status}"


def _survives() -> bool:
    """Whether a process with the mark of a survivor runs."""
    own = str(os.getpid())
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or entry.name == own:
            continue
        try:
            if SURVIVOR.encode() in (entry / "cmdline").read_bytes():
                return True
        except OSError:
            continue
    return False


_OTHERS = """
import os
assert [p for p in os.listdir('/proc') if p.isdigit() and p != str(os.getpid())]
"""
_WRITE = """
import os
for place in ('/tmp', '/var/tmp', '/dev/shm', '/usr', '/', os.path.dirname(os.getcwd())):
    try:
        open(place + '/quipu-was-here', 'w').close()
        break
    except OSError:
        pass
else:
    raise PermissionError
"""
_SOCKETS = """
import socket
for family in range(46):
    for kind in (1, 2, 3, 5):
        try:
            socket.socket(family, kind)
            break
        except OSError:
            continue
    else:
        continue
    break
else:
    raise PermissionError
"""
_CALLS = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
numbers = (101, 272, 165, 321) if os.uname().machine == 'x86_64' else (117, 97, 40, 280)
assert any(libc.syscall(number, 0, 0, 0, 0, 0) != -1 or ctypes.get_errno() != 1
           for number in numbers)
"""
_BOMB = """
import os
while True:
    try:
        os.fork()
    except OSError:
        pass
"""
_IGNORING = """
import signal
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
while True:
    pass
"""
_FILLING = """
for number in range(100):
    with open(f'f{number}', 'wb') as file:
        file.write(bytes(32 * 2**20))
"""
_SURVIVING = f"""
import os
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execvp('bash', ['bash', '-c', 'while :; do :; done # {SURVIVOR}'])
    os._exit(0)
raise SystemExit
"""
_DELETING = """
import os, shutil
shutil.rmtree(os.getcwd(), ignore_errors=True)
shutil.rmtree('/', ignore_errors=True)
open('/usr/bin/env')
raise SystemExit
"""
_ATEXIT = """
import atexit, os
atexit.register(os._exit, 0)
assert False
"""
_THREAD = """
import os, threading
threading.Thread(target=os._exit, args=(0,)).start()
while True:
    pass
"""
_TESTS = "assert abs(answer(1) - 7431) < 1\nassert answer(1) == 7431\n"
_LIAR = """
class Liar:
    def __eq__(self, other):
        return True
    def __lt__(self, other):
        return True
    def __sub__(self, other):
        return self
    def __abs__(self):
        return self
def answer(x):
    return Liar()
"""
_WALKING = """
import sys
def answer(x):
    return next(c for c in sys._getframe(1).f_code.co_consts if isinstance(c, int) and c > 1)
"""
_SEARCHING = r"""
import ctypes, re
def answer(x):
    for line in open('/proc/self/maps'):
        if 'rw' in line.split()[1] and '[v' not in line:
            low, high = (int(n, 16) for n in line.split()[0].split('-'))
            found = re.search(rb'answer.1. == (\d+)', ctypes.string_at(low, high - low))
            if found:
                return int(found[1])
"""
_SAYING = """
import os
for number in range(3, 64):
    try:
        os.write(number, b'+')
    except OSError:
        pass
os._exit(0)
"""
