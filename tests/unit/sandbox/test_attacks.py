"""What a program may try, and what becomes of it."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from quipu.errors import SandboxError
from quipu.sandbox.local import LocalSandbox
from quipu.sandbox.program import Command, Limits, Outcome, Program

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's")
LIMITS = Limits(cpu_s=1, wall_s=8, memory_bytes=512 * 2**20, processes=16, output_bytes=10_000)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[LocalSandbox]:
    with LocalSandbox() as made:
        yield made


def python(source: str, *, complete: bool = False, stdin: bytes = b"", **limits: float) -> Program:
    bounds = Limits(**{**vars(LIMITS), **limits})  # type: ignore[arg-type]
    command = Command(words=("python", "program.py"), limits=bounds, warm=True)
    return Program(
        files={"program.py": source.encode()}, commands=(command,), complete=complete, stdin=stdin
    )


def shell(source: str, **limits: float) -> Program:
    bounds = Limits(**{**vars(LIMITS), **limits})  # type: ignore[arg-type]
    command = Command(words=("bash", "program.sh"), limits=bounds)
    return Program(files={"program.sh": source.encode()}, commands=(command,))


def refused(sandbox: LocalSandbox, source: str) -> Outcome:
    """The outcome of a program whose last statement must fail with a permission error."""
    outcome = sandbox.run(python(source))
    assert outcome.status == "failed", outcome
    error = outcome.stderr.splitlines()[-1].partition(b":")[0]
    assert error in (b"PermissionError", b"FileNotFoundError", b"OSError"), outcome
    return outcome


def test_an_honest_program_passes_with_its_output(sandbox):
    outcome = sandbox.run(python("import sys\nprint(sys.stdin.read()[::-1])", stdin=b"abc"))
    assert (outcome.status, outcome.stdout, outcome.exit_code) == ("passed", b"cba\n", 0)
    assert outcome.peak_bytes > 2**20
    assert 0 < outcome.cpu_s < 1


def test_an_exception_fails_and_shows_the_programs_own_lines_only(sandbox):
    outcome = sandbox.run(python("def f():\n    return 1 / 0\nf()"))
    assert outcome.status == "failed"
    assert b"ZeroDivisionError" in outcome.stderr
    assert outcome.stderr.count(b"File ") == 2


def test_scratch_files_can_be_written_and_are_gone_for_the_next(sandbox):
    write = "import os\nos.mkdir('d')\nopen('d/f', 'w').write('x')\nos.chmod('d', 0)\nprint('ok')"
    assert sandbox.run(python(write)).stdout == b"ok\n"
    assert sandbox.run(python("import os\nprint(os.listdir())")).stdout == b"['program.py']\n"


@pytest.mark.parametrize(
    "source",
    [
        "open('/etc/passwd').read()",
        "open('/etc/shadow').read()",
        "open('/proc/1/environ').read()",
        "open('/proc/1/mem').read()",
        "open('/proc/self/mem', 'w')",
        "import os; os.listdir(os.path.dirname(os.getcwd()) + '/..')",
        "open('/tmp/quipu-was-here', 'w')",
        "open('/usr/quipu-was-here', 'w')",
        "open('/dev/shm/quipu-was-here', 'w')",
        "import os; os.symlink('/etc/passwd', 'p'); open('p').read()",
        "import os; os.link('/usr/bin/env', 'e'); open('e', 'a')",
        "import os; os.chmod('/usr/bin/env', 0o777)",
        "import os; os.kill(os.getppid(), 9)",
        "import os; os.kill(1, 9)",
        "import os; os.setuid(0)",
        "import os; os.chroot('.')",
        "import os; os.nice(-10)",
    ],
)
def test_the_machine_is_out_of_reach(sandbox, source):
    refused(sandbox, source)


def test_no_other_process_is_seen(sandbox):
    source = (
        "import os\nprint([p for p in os.listdir('/proc') if p.isdigit()] == [str(os.getpid())])"
    )
    assert sandbox.run(python(source)).stdout == b"True\n"


def test_the_home_folder_of_the_user_is_out_of_reach(sandbox):
    refused(sandbox, f"import os; os.listdir({str(Path.home())!r})")
    refused(sandbox, f"open({__file__!r}).read()")


def test_sockets_of_every_family_are_refused(sandbox):
    source = """
import socket
for family in range(46):
    for kind in (1, 2, 3, 5):
        try:
            socket.socket(family, kind)
        except PermissionError:
            continue
        print('open', family, kind)
print('none')
"""
    assert sandbox.run(python(source)).stdout == b"none\n"


@pytest.mark.parametrize(
    ("call", "arguments"),
    [("ptrace", (101, 117)), ("unshare", (272, 97)), ("mount", (165, 40)), ("bpf", (321, 280))],
)
def test_calls_to_the_kernel_are_refused(sandbox, call, arguments):
    number = arguments[os.uname().machine != "x86_64"]
    source = f"""
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
print(libc.syscall({number}, 0, 0, 0, 0, 0), ctypes.get_errno())
"""
    assert sandbox.run(python(source)).stdout == b"-1 1\n", call


def test_a_fork_bomb_ends_with_its_program(sandbox):
    source = (
        "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass"
    )
    assert sandbox.run(python(source)).status in ("timeout", "failed")
    assert sandbox.run(python("print(1)")).stdout == b"1\n"


def test_a_shell_fork_bomb_ends_with_its_program(sandbox):
    bomb = sandbox.run(shell("b() { b | b & }; b; sleep 1; b"))
    assert b"Resource temporarily unavailable" in bomb.stderr
    assert sandbox.run(python("print(1)")).status == "passed"


def test_ten_gigabytes_are_refused(sandbox):
    assert sandbox.run(python("x = bytearray(10 * 2**30)")).status == "memory"


def test_memory_of_many_small_processes_counts_together(sandbox):
    source = """
import os, time
for _ in range(8):
    if os.fork() == 0:
        x = bytearray(200 * 2**20)
        for i in range(0, len(x), 4096):
            x[i] = 1
        time.sleep(6)
time.sleep(6)
"""
    assert sandbox.run(python(source, cpu_s=6)).status == "memory"


def test_endless_output_ends_the_program_and_a_part_is_kept(sandbox):
    outcome = sandbox.run(python("while True:\n    print('x' * 999)"))
    assert outcome.status == "failed"
    assert len(outcome.stdout) == LIMITS.output_bytes


def test_an_endless_loop_is_out_of_cpu_time(sandbox):
    outcome = sandbox.run(python("while True:\n    pass"))
    assert outcome.status == "timeout"
    assert outcome.cpu_s < 3


def test_signals_of_time_limits_can_be_caught_in_vain(sandbox):
    source = """
import signal
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
while True:
    pass
"""
    assert sandbox.run(python(source)).status == "timeout"


def test_many_processes_share_one_cpu_time(sandbox):
    source = "import os\nfor _ in range(3):\n    os.fork()\nwhile True:\n    pass"
    outcome = sandbox.run(python(source))
    assert outcome.status == "timeout"
    assert outcome.wall_s < 6


def test_a_sleeper_is_out_of_wall_time(sandbox):
    outcome = sandbox.run(python("import time\ntime.sleep(60)", wall_s=0.3))
    assert (outcome.status, outcome.cpu_s < 0.3) == ("timeout", True)


def test_a_double_fork_with_its_own_session_does_not_survive(sandbox):
    marker = f"quipu-survivor-{os.getpid()}"
    source = f"""
import os
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execvp("bash", ["bash", "-c", "while :; do :; done # {marker}"])
    os._exit(0)
print("left")
"""
    assert sandbox.run(python(source)).stdout == b"left\n"
    running = subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True)
    assert marker not in running.stdout


@pytest.mark.parametrize(
    "source",
    [
        "import os\nos._exit(0)\nassert False",
        "import sys\nsys.exit(0)\nassert False",
        "exit()\nassert False",
        "raise SystemExit\nassert False",
        "import os\nos.execvp('true', ['true'])\nassert False",
        "import threading, os\nthreading.Thread(target=lambda: os._exit(0)).start()\nwhile 1: pass",
    ],
)
def test_leaving_early_is_not_passing(sandbox, source):
    assert sandbox.run(python(source, complete=True)).status == "failed"


def test_a_program_that_completes_passes(sandbox):
    assert sandbox.run(python("assert 1 + 1 == 2", complete=True)).status == "passed"


def test_deleting_the_scratch_folder_harms_nobody(sandbox):
    source = "import os, shutil\nshutil.rmtree(os.getcwd(), ignore_errors=True)\nprint(os.getpid())"
    assert sandbox.run(python(source)).status == "passed"
    assert sandbox.run(python("print(1)")).stdout == b"1\n"


def test_folders_without_end_and_without_rights_are_gone_for_the_next(sandbox):
    source = """
import os
for number in range(1200):
    open('f', 'w').close()
    os.mkdir('d')
    os.chmod('f', 0)
    os.chdir('d')
for number in range(5):
    os.makedirs(f'{number}/{number}')
    os.chmod(f'{number}/{number}', 0)
    os.chmod(f'{number}', 0)
print('made')
"""
    assert sandbox.run(python(source, cpu_s=20, wall_s=60)).stdout == b"made\n"
    assert sandbox.run(python("import os\nprint(os.listdir())")).stdout == b"['program.py']\n"


@pytest.mark.parametrize("before", ["print(1)", "import sys\nsys.exit(3)", "while True: pass"])
def test_a_program_knows_nothing_of_the_last(sandbox, before):
    first = sandbox.run(python(before + "\n", cpu_s=0.2))
    source = """
import os, sys
print(os.listdir(), sorted(sys.modules['__main__'].__dict__), os.getcwd() == os.environ['HOME'])
print(sorted(int(n) for n in os.listdir('/proc/self/fd'))[:4], sys.stdin.read(), len(sys.argv))
"""
    outcome = sandbox.run(python(source))
    assert first.status != "sandbox_error"
    names = "['__builtins__', '__doc__', '__file__', '__loader__', '__name__', '__package__',"
    expected = f"['program.py'] {names} '__spec__', 'os', 'sys'] True\n[0, 1, 2, 3]  1\n"
    assert outcome.stdout.decode() == expected, outcome


def test_a_full_scratch_folder_is_the_programs_trouble_alone(sandbox):
    source = """
for number in range(100):
    with open(f'f{number}', 'wb') as file:
        file.write(bytes(32 * 2**20))
"""
    assert sandbox.run(python(source, cpu_s=5)).status != "passed"
    assert sandbox.run(python("open('x', 'w').write('x')")).status == "passed"


def test_a_file_beyond_its_limit_is_refused(sandbox):
    source = "with open('x', 'wb') as file:\n    file.write(bytes(1000))"
    assert sandbox.run(python(source, file_bytes=100)).status == "failed"


def test_a_crash_is_told_from_a_failure(sandbox):
    outcome = sandbox.run(python("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)"))
    assert (outcome.status, outcome.signal) == ("crashed", 11)


def test_a_command_that_is_not_there_is_the_sandboxs_error(sandbox):
    program = Program(files={}, commands=(Command(words=("no-such-command",)),))
    assert sandbox.run(program).status == "sandbox_error"


def test_a_later_command_runs_only_after_a_success(sandbox):
    commands = tuple(
        Command(words=("bash", "-c", text)) for text in ("echo 1 > a", "cat a; exit 3", "cat a")
    )
    outcome = sandbox.run(Program(files={}, commands=commands))
    assert (outcome.status, outcome.command, outcome.exit_code) == ("failed", 1, 3)


def test_two_runs_of_one_program_draw_the_same_numbers(sandbox):
    source = "print(hash('quipu'), list({'a', 'b', 'c'}))"
    assert sandbox.run(python(source)).stdout == sandbox.run(python(source)).stdout


def test_a_dead_worker_is_replaced_and_no_verdict_is_made_up():
    with LocalSandbox() as own:
        (worker,) = own._all
        worker._process.kill()
        assert own.run(python("print(1)")).status == "sandbox_error"
        assert own.run(python("print(1)")).stdout == b"1\n"


def test_fewer_layers_are_refused_unless_allowed_by_name():
    with pytest.raises(SandboxError, match="no landlock"):
        LocalSandbox(layers=("rlimits", "seccomp", "namespaces", "user"))
    with LocalSandbox(
        layers=("seccomp", "namespaces", "user"), allow_weaker=("landlock",)
    ) as weaker:
        assert "landlock" not in weaker.layers
        assert weaker.run(python("print(1)")).stdout == b"1\n"


def test_without_namespaces_survivors_are_still_hunted_down():
    allowed = ("landlock", "seccomp", "rlimits", "user")
    layers = ("landlock", "seccomp", "user")
    with LocalSandbox(layers=layers, allow_weaker=allowed) as weaker:
        assert "namespaces" not in weaker.layers
        source = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(100)
    os._exit(0)
"""
        began = time.monotonic()
        assert weaker.run(python(source)).status == "passed"
        assert time.monotonic() - began < 5
        refused(weaker, "open('/etc/passwd').read()")
        refused(weaker, "import os; os.chmod('/usr/bin/env', 0o777)")
        refused(weaker, "import os; os.kill(os.getppid(), 0)")


@pytest.mark.parametrize("namespaces", [("namespaces",), ()])
def test_a_user_of_its_own_is_not_needed_to_keep_a_program_in_its_folder(namespaces):
    layers = ("landlock", "seccomp", *namespaces)
    with LocalSandbox(layers=layers, allow_weaker=("user",)) as weaker:
        assert "user" not in weaker.layers
        refused(weaker, "open('../quipu-was-here', 'w')")
        refused(weaker, "import os; os.mkdir('../quipu-was-here')")
        refused(weaker, "import os; os.rename('program.py', '../program.py')")
        refused(weaker, "open('/etc/passwd').read()")
        source = "import os\nos.mkdir('a')\nopen('a/b', 'w').close()\nos.rename('a/b', 'c')"
        assert weaker.run(python(source)).status == "passed"
        assert weaker.run(python("open('/dev/null', 'w').write('x')")).status == "passed"
