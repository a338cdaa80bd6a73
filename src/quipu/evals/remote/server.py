"""Judging programs for other machines, by HTTP."""

import hmac
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from typing import Any

from quipu.errors import QuipuError, UsageError
from quipu.evals.remote import messages
from quipu.sandbox.judge import LocalJudge, missing, remedy
from quipu.sandbox.languages import LANGUAGES

SILENCE_S = 60.0  # a caller that sends nothing for so long is hung up on


class JudgeServer(ThreadingHTTPServer):
    """Judges what it is sent; several programs at once, as many as the sandbox has workers."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, judge: LocalJudge, host: str, port: int, key: str | None) -> None:
        """Listen. Port 0: any free one, found in `address`.

        Raises UsageError if others could call it without a key, or if it cannot listen there.
        """
        if not key and not _is_loopback(host):
            raise UsageError(
                "judging programs for other machines needs a key",
                got=f"--host {host}",
                remedy="set QUIPU_SANDBOX_KEY here and where programs come from",
            )
        self.judge, self.key = judge, key or ""
        try:
            super().__init__((host, port), _Handler)
        except OSError as error:
            raise UsageError(
                f"cannot listen at {host}:{port}", got=error, remedy="choose another --port"
            ) from error

    @property
    def address(self) -> str:
        """For the --sandbox of others."""
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}"

    def about(self) -> dict[str, Any]:
        """What can be judged here, and how it is confined."""
        lacking = {
            name: remedy(known) if missing(known) else "" for name, known in LANGUAGES.items()
        }
        return {
            "layers": list(self.judge.layers),
            "languages": lacking,
            "versions": {n: dict(self.judge.versions(n)) for n in LANGUAGES if not lacking[n]},
        }

    def handle_error(self, *_: object) -> None:
        """A caller that hangs up is nothing to tell about."""


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


class _Handler(BaseHTTPRequestHandler):
    server: JudgeServer
    server_version = "quipu"
    timeout = SILENCE_S

    def do_GET(self) -> None:
        if self._may():
            self._answer(200, self.server.about())

    def do_POST(self) -> None:
        if not self._may():
            return
        size = self.headers.get("Content-Length", "")
        if not size.isdigit() or int(size) > messages.MOST_BYTES:
            self._answer(413, {"error": f"a message has {messages.MOST_BYTES:,} bytes at most"})
            return
        try:
            asked = messages.program_from_json(json.loads(self.rfile.read(int(size))))
        except (KeyError, TypeError, ValueError) as error:
            self._answer(400, {"error": f"no program: {type(error).__name__}: {error}"})
            return
        try:
            self._answer(200, messages.outcome_to_json(self.server.judge.judge(**asked)))
        except QuipuError as error:
            self._answer(422, {"error": str(error)})

    def _may(self) -> bool:
        """Whether path and key are right; else they are refused."""
        given = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), self.server.key.encode()) and self.server.key:
            self._answer(401, {"error": "the key is not that of this judge"})
        elif self.path != messages.PATH:
            self._answer(404, {"error": f"only {messages.PATH} is here"})
        else:
            return True
        return False

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Programs come by the thousand: no line for each."""
