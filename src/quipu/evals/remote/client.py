"""A judge on another machine, reached by HTTP."""

import http.client
import json
import time
from collections.abc import Mapping
from typing import Any

from quipu.backend.connection import Call, parse_server
from quipu.errors import BackendError, SandboxError, UsageError
from quipu.evals.remote import messages
from quipu.sandbox.languages import LANGUAGES
from quipu.sandbox.program import Apart, Limits, Outcome

TRIES_AFTER_S = (0.0, 1.0, 4.0, 15.0)  # a server that starts anew is waited for
SERVE = "quipu eval serve"


class RemoteJudge:
    """Implements `Judge`."""

    def __init__(self, address: str, key: str | None = None) -> None:
        """`address` is that of `quipu eval serve`, http://HOST:PORT.

        Raises UsageError for one that cannot be, SandboxError if nobody answers there.
        """
        self._server = parse_server(address, key)
        self._about = self._ask(None)
        self.layers: tuple[str, ...] = tuple(self._about["layers"])

    def require(self, language: str) -> None:
        if language not in LANGUAGES:
            raise UsageError("language", got=language, allowed=", ".join(LANGUAGES))
        lacking = self._about["languages"].get(language, f"{language} is not known there")
        if lacking:
            raise SandboxError(
                f"{language} programs cannot be judged at {self._server}", remedy=lacking
            )

    def versions(self, language: str) -> Mapping[str, str]:
        found: Mapping[str, str] = self._about["versions"].get(language, {})
        return found

    def judge(
        self,
        language: str,
        source: str,
        *,
        stdin: bytes = b"",
        limits: Limits | None = None,
        complete: bool = False,
        apart: Apart | None = None,
    ) -> Outcome:
        self.require(language)
        found = self._ask(
            messages.program_to_json(
                language, source, stdin=stdin, limits=limits, complete=complete, apart=apart
            )
        )
        try:
            return messages.outcome_from_json(found)
        except (KeyError, TypeError, ValueError) as error:
            raise self._foreign(found) from error

    def close(self) -> None:
        """Nothing is held: each program is a call of its own."""

    def _ask(self, body: dict[str, Any] | None) -> dict[str, Any]:
        """The answer. Raises SandboxError once it was tried often enough."""
        trouble: Exception | None = None
        for wait_s in TRIES_AFTER_S:
            time.sleep(wait_s)
            call = Call(self._server, messages.PATH, body)
            try:
                if call.send() != http.client.OK:
                    raise SandboxError(f"the judge {call.refusal()}")
                found = json.loads(call.read())
            except BackendError as error:
                trouble = error
                continue
            except ValueError as error:
                raise self._foreign(error) from error
            finally:
                call.close()
            if not isinstance(found, dict):
                raise self._foreign(found)
            return found
        raise SandboxError(
            f"the judge at {self._server} does not answer",
            got=trouble,
            remedy=f"start `{SERVE}` there; what is judged is kept, the same command goes on",
        ) from trouble

    def _foreign(self, got: object) -> SandboxError:
        return SandboxError(
            f"what answers at {self._server} is no judge",
            got=repr(got)[:200],
            remedy=f"give the address that `{SERVE}` prints, of the same version",
        )
