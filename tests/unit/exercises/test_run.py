"""What pieces of code may do, and what becomes of those that do more."""

import pytest

from quipu.exercises.run import Job, Limits, Runner

RUNNER = Runner(limits=Limits(cpu_s=0.5, wall_s=2.0, memory_mb=256))
GOOD = Job(code="def f(x):\n    return x + 1", calls=("f(1)", "f('a')[0]"))


def status(code: str, free: bool = True) -> str:
    """What becomes of a piece, between two good ones that must not suffer."""
    good = Job(code="x = 1", calls=("x",))
    first, outcome, last = RUNNER.run([good, Job(code=code, free=free), good])
    assert first.ok
    assert last.ok
    return outcome.status


def test_a_call_gives_the_repr_of_its_value():
    assert RUNNER.run([Job(code="x = [1]", calls=("x", "x[0] + 1"))])[0].values == ("[1]", "2")


def test_a_failing_call_is_an_error_that_says_why():
    outcome = RUNNER.run([GOOD])[0]
    assert outcome.status == "error"
    assert outcome.values[0].startswith("TypeError")


def test_a_program_reads_its_input_and_prints():
    job = Job(code="a, b = map(int, input().split())\nprint(a + b)", stdin=("1 2", "3 4"))
    assert RUNNER.run([job])[0].values == ("3\n", "7\n")


def test_the_hash_seed_is_the_one_asked_for():
    job = Job(code="x = list({'a', 'b', 'c', 'd', 'e'})", calls=("x",))
    answers = {RUNNER.run([job], hash_seed=seed)[0].values for seed in (0, 0, 1, 2, 3)}
    assert 1 < len(answers) < 5


def test_pieces_do_not_see_each_other():
    first, second = RUNNER.run([Job(code="secret = 1"), Job(code="", calls=("secret",))])
    assert first.ok
    assert second.status == "error"


@pytest.mark.parametrize(
    "code",
    [
        "open('new', 'w')",
        "open('/tmp/quipu-exercise', 'w')",
        "import os; os.open('new', os.O_CREAT | os.O_WRONLY)",
        "import os; os.mkdir('new')",
        "import os; os.remove('/etc/hostname')",
        "import os; os.rename('/etc/hostname', '/etc/other')",
        "import pathlib; pathlib.Path('new').touch()",
        "import tempfile; tempfile.mkdtemp()",
        "import shutil; shutil.rmtree('/tmp')",
        "import sqlite3; sqlite3.connect('new')",
        "import socket; socket.create_connection(('127.0.0.1', 1))",
        "import urllib.request; urllib.request.urlopen('http://127.0.0.1:1/')",
        "import os; os.fork()",
        "import os; os.system('true')",
        "import subprocess; subprocess.run(['true'])",
        "import os; os.kill(os.getppid(), 9)",
        "import ctypes; ctypes.CDLL(None).kill(1, 9)",
        "import _thread; _thread.start_new_thread(print, ())",
        "import resource; resource.setrlimit(resource.RLIMIT_CPU, (9, 9))",
    ],
)
def test_a_piece_cannot_write_connect_or_start_anything(code):
    assert status(code) == "error"


def test_a_piece_that_hangs_is_ended():
    assert status("while True: pass") == "timeout"


def test_a_piece_that_catches_everything_is_ended_too():
    catching = "while True:\n    try:\n        while True: pass\n    except BaseException: pass"
    assert status(catching) == "timeout"


def test_a_piece_that_sleeps_is_ended():
    assert status("import time; time.sleep(600)") == "timeout"


def test_memory_is_bounded():
    assert status("x = [0] * 10**9") == "memory"


def test_a_piece_that_ends_its_process_is_alone_in_that():
    assert status("import os; os._exit(0)") == "crashed"


def test_recursion_without_end_is_an_error():
    assert status("def f(): return f()\nf()") == "error"


@pytest.mark.parametrize("code", ["import os", "open('x')", "eval('1')", "import socket"])
def test_composed_pieces_import_pure_modules_alone(code):
    assert status(code, free=False) == "error"


def test_the_kernel_takes_network_and_files_away_where_it_grants_that():
    granted = RUNNER.granted()
    if not granted:
        pytest.skip("no user name spaces here")
    assert "network" in granted


def test_long_outputs_are_errors():
    assert RUNNER.run([Job(code="x = 'a' * 10**6", calls=("x",))])[0].status == "error"


def test_an_iterator_is_no_value():
    assert RUNNER.run([Job(code="x = (i for i in [1])", calls=("x",))])[0].status == "error"
