"""A judge elsewhere: keys, servers that are away or something else, messages that are none."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

import remote
import small_task
from quipu.cli.main import main
from quipu.errors import SandboxError, UsageError
from quipu.evals.remote import client, messages
from quipu.evals.remote.client import RemoteJudge
from quipu.evals.remote.server import JudgeServer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's")


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(client, "TRIES_AFTER_S", (0.0, 0.2, 0.2))


def call(address: str, method: str, path: str, body: str = "", **headers: str) -> tuple[int, str]:
    host = address.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=5)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def test_a_wrong_key_is_refused():
    with remote.serving(small_task.judge(), key="right") as address:
        RemoteJudge(address, "right")
        for wrong in (None, "wrong", "righ"):
            with pytest.raises(SandboxError, match="refuses the API key"):
                RemoteJudge(address, wrong)


def test_others_may_not_call_without_a_key():
    with pytest.raises(UsageError, match="QUIPU_SANDBOX_KEY"):
        JudgeServer(small_task.judge(), "0.0.0.0", 0, None)


def test_a_port_that_is_taken_is_said():
    with remote.serving(small_task.judge()) as address, pytest.raises(UsageError, match="--port"):
        JudgeServer(small_task.judge(), "127.0.0.1", int(address.rpartition(":")[2]), None)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("", 400),
        ("[]", 400),
        ("{}", 400),
        ('{"language": 1}', 400),
        (json.dumps({"language": "python", "source": "", "stdin": "!", "limits": {}}), 400),
    ],
)
def test_what_is_no_program_is_refused(body, status):
    with remote.serving(small_task.judge()) as address:
        assert call(address, "POST", messages.PATH, body)[0] == status
        assert call(address, "GET", messages.PATH)[0] == 200
        assert call(address, "GET", "/")[0] == 404


def test_a_message_that_is_too_long_is_refused_unread():
    with remote.serving(small_task.judge()) as address:
        size = str(messages.MOST_BYTES + 1)
        assert call(address, "POST", messages.PATH, **{"Content-Length": size})[0] == 413


def test_a_server_that_is_away_is_waited_for_then_named():
    port = free_port()
    with pytest.raises(SandboxError, match=r"does not answer.*quipu eval serve"):
        RemoteJudge(f"http://127.0.0.1:{port}")
    with remote.serving(small_task.judge(), port=port) as address:
        judge = RemoteJudge(address)
    again = threading.Event()

    def serve() -> None:
        with remote.serving(small_task.judge(), port=port):
            again.wait(10)

    threading.Timer(0.1, serve).start()
    assert judge.judge("python", "honest").status in ("passed", "failed")
    again.set()


def test_another_server_is_told_from_a_judge():
    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>")

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.handle_request).start()
        with pytest.raises(SandboxError, match="is no judge"):
            RemoteJudge(f"http://127.0.0.1:{server.server_address[1]}")


def test_the_command_serves_and_the_others_call_it(tmp_path, capsys, monkeypatch):
    environment = {**os.environ, "QUIPU_SANDBOX_KEY": "secret"}
    words = [sys.executable, "-m", "quipu", "eval", "serve", "--port", "0", "--workers", "1"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment) as server:
        try:
            assert server.stdout is not None
            address = server.stdout.readline().split()[3].rstrip(",")
            programs = tmp_path / "programs.jsonl"
            line = {"id": 1, "language": "python", "program": "print(7)"}
            programs.write_text(json.dumps(line) + "\n")
            assert main(["eval", "judge", str(programs), "--sandbox", address]) == 1
            assert "API key" in capsys.readouterr().err
            monkeypatch.setenv("QUIPU_SANDBOX_KEY", "secret")
            assert main(["eval", "judge", str(programs), "--sandbox", address]) == 0
            assert json.loads(capsys.readouterr().out)["stdout"] == "7\n"
        finally:
            server.send_signal(signal.SIGTERM)
        assert server.wait(10) == 0
    assert main(["eval", "judge", str(programs), "--sandbox", "elsewhere"]) == 2
