"""HTTP to an OpenAI-compatible server: JSON, server-sent events, errors that say what failed."""

import http.client
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from quipu.errors import BackendError, UsageError

CONNECT_S = 10.0  # seconds until a server that does not take the call counts as unreachable
SILENCE_S = 600.0  # seconds without a byte until an answer counts as dead

Json = Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class Server:
    """Where a server is and how to speak to it."""

    secure: bool
    host: str
    port: int | None
    path: str  # before /completions, without a slash at its end
    api_key: str | None = None

    def __str__(self) -> str:
        port = f":{self.port}" if self.port else ""
        return f"{'https' if self.secure else 'http'}://{self.host}{port}{self.path}"

    def ask(self, path: str, body: Json | None = None) -> Json:
        """The JSON object that answers a GET, or a POST of `body`. Raises BackendError."""
        call = Call(self, path, body)
        try:
            if call.send() != http.client.OK:
                raise call.refusal()
            return parse_object(call.read(), self)
        finally:
            call.close()


def parse_server(address: str, api_key: str | None) -> Server:
    """A server from a base address such as http://localhost:8000/v1. Raises UsageError."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    sendable = address.isascii() and address.isprintable() and " " not in address
    if host is None or parts.scheme not in ("http", "https") or parts.query or not sendable:
        raise UsageError(
            "server address", got=address, allowed="like http://localhost:8000/v1#MODEL"
        )
    if api_key is not None and not (api_key.isascii() and api_key.isprintable()):
        raise UsageError("API key", allowed="printable ASCII characters, no line end")
    return Server(
        secure=parts.scheme == "https",
        host=host,
        port=port,
        path=parts.path.rstrip("/"),
        api_key=api_key,
    )


def parse_object(data: str | bytes, server: Server) -> Json:
    """A JSON object that the server sent. Raises BackendError for anything else."""
    try:
        found = json.loads(data)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise malformed(server, data)
    return found


def malformed(server: Server, data: object) -> BackendError:
    """The error for an answer that is not what the protocol says."""
    return BackendError(
        f"server {server} sent something that is not the OpenAI protocol",
        got=repr(data)[:200],
        remedy="check that the address is that of a /v1/completions server",
    )


class Call:
    """One HTTP exchange. `abort` may come from any thread at any time, the rest from one."""

    def __init__(self, server: Server, path: str, body: Json | None = None) -> None:
        self._server = server
        self._path = path
        self._body = None if body is None else json.dumps(body).encode()
        kind = http.client.HTTPSConnection if server.secure else http.client.HTTPConnection
        self._connection = kind(server.host, server.port, timeout=CONNECT_S)
        self._response: http.client.HTTPResponse | None = None
        self._lock = threading.Lock()  # guards the two below
        self._socket: socket.socket | None = None
        self._aborted = False

    def send(self) -> int:
        """Make the call and return the HTTP status. Raises BackendError if nobody answers."""
        try:
            self._connection.connect()
        except OSError as error:
            raise BackendError(
                f"server {self._server} cannot be reached",
                got=error,
                remedy="check the address, and that the server runs",
            ) from error
        with self._lock:
            self._socket = self._connection.sock
            aborted = self._aborted
        if aborted:
            raise BackendError("the call was aborted")
        self._connection.sock.settimeout(SILENCE_S)
        method = "GET" if self._body is None else "POST"
        path = f"{self._server.path}{self._path}"
        try:
            self._connection.request(method, path, self._body, self._headers())
            self._response = self._connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise self._broken(error) from error
        return self._response.status

    def read(self) -> bytes:
        """The whole body."""
        assert self._response is not None
        try:
            return self._response.read()
        except (OSError, http.client.HTTPException) as error:
            raise self._broken(error) from error

    def events(self) -> Iterator[str]:
        """Data of server-sent events as they come, up to the end of the body, however it ends."""
        data: list[str] = []
        while line := self._line():
            if line.startswith("data:"):
                data.append(line[len("data:") :].strip())
            elif not line.strip() and data:
                yield "\n".join(data)
                data = []

    def refusal(self) -> BackendError:
        """The error for a status other than 200, in the server's own words."""
        assert self._response is not None
        status, said = self._response.status, _message(self.read())
        if status in (http.client.UNAUTHORIZED, http.client.FORBIDDEN):
            return BackendError(
                f"server {self._server} refuses the API key",
                got=f"status {status}, {said}",
                remedy="give a valid key" if self._server.api_key else "give an API key",
            )
        return BackendError(
            f"server {self._server} refuses {self._path}", got=f"status {status}, {said}"
        )

    def abort(self) -> None:
        """Hang up; whoever waits for the server wakes."""
        with self._lock:
            self._aborted = True
            if self._socket is not None:
                # The plain method: that of a TLS socket takes the state away under the reader.
                with suppress(OSError):
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def close(self) -> None:
        """Free the connection."""
        with self._lock:
            self._socket = None
        if self._response is not None:
            self._response.close()
        self._connection.close()

    def _line(self) -> str:
        assert self._response is not None
        try:
            return self._response.readline().decode()
        except (OSError, http.client.HTTPException) as error:
            raise self._broken(error) from error
        except UnicodeDecodeError as error:
            raise malformed(self._server, error.object) from error

    def _headers(self) -> dict[str, str]:
        headers = {"User-Agent": "quipu", "Accept": "application/json, text/event-stream"}
        if self._body is not None:
            headers["Content-Type"] = "application/json"
        if self._server.api_key is not None:
            headers["Authorization"] = f"Bearer {self._server.api_key}"
        return headers

    def _broken(self, error: Exception) -> BackendError:
        return BackendError(
            f"the connection to server {self._server} broke",
            got=f"{type(error).__name__}: {error}",
            remedy="check that the server still runs, and try again",
        )


def _message(body: bytes) -> str:
    """What the body of an error says, whichever of the usual forms it has."""
    try:
        found = json.loads(body)
    except ValueError:
        return body.decode(errors="replace")[:200] or "no reason given"
    while isinstance(found, dict):
        found = next((found[key] for key in ("error", "message", "detail") if key in found), None)
    return str(found)[:400]
