"""JSON of what goes to a remote judge and of what comes back. Bytes travel in base64.

POST /v1/judge   a program -> its outcome
GET  /v1/judge   -> {"layers", "languages": {name: what is missing, or ""}, "versions"}
"""

import base64
import dataclasses
from collections.abc import Mapping
from typing import Any

from quipu.sandbox.program import Apart, Limits, Outcome

PATH = "/v1/judge"
MOST_BYTES = 256 * 2**20  # of a message


def program_to_json(
    language: str,
    source: str,
    *,
    stdin: bytes,
    limits: Limits | None,
    complete: bool,
    apart: Apart | None,
) -> dict[str, Any]:
    """What is sent."""
    return {
        "language": language,
        "source": source,
        "stdin": base64.b64encode(stdin).decode(),
        "limits": dataclasses.asdict(limits or Limits()),
        "complete": complete,
        "apart": apart and dataclasses.asdict(apart),
    }


def program_from_json(found: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `Judge.judge`. Raises ValueError, TypeError or KeyError for another message."""
    apart = found["apart"]
    if apart is not None:
        apart = Apart(**{**apart, "names": tuple(apart["names"])})
        words = (apart.program, apart.tests, apart.before, *apart.names)
    else:
        words = ()
    known = Limits(**found["limits"])
    numbers = dataclasses.astuple(known)
    texts = (found["language"], found["source"], *words)
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("text")
    if not all(isinstance(n, int | float) and n >= 0 for n in numbers):
        raise TypeError("limits are numbers")
    return {
        "language": found["language"],
        "source": found["source"],
        "stdin": base64.b64decode(found["stdin"], validate=True),
        "limits": known,
        "complete": bool(found["complete"]),
        "apart": apart,
    }


def outcome_to_json(outcome: Outcome) -> dict[str, Any]:
    """What comes back."""
    found = dataclasses.asdict(outcome)
    for name in ("stdout", "stderr"):
        found[name] = base64.b64encode(found[name]).decode()
    return found


def outcome_from_json(found: Mapping[str, Any]) -> Outcome:
    """The outcome. Raises ValueError, TypeError or KeyError for another message."""
    data = {name: base64.b64decode(found[name], validate=True) for name in ("stdout", "stderr")}
    return Outcome(**{**found, **data})
