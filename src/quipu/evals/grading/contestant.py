"""An answer to a contest's problem, run on one input after another.

This module is also the first part of the judged program, so it needs nothing but Python.
"""

import io
import sys
from collections.abc import Callable
from typing import Any


def contestant(answer: str, name: str) -> Callable[..., Any]:
    """A function of a test's input: a call of `name`, or without a name what the program prints."""
    if not name:
        code = compile(answer, "answer", "exec")
        return lambda given: _printed(code, given)
    scope: dict[str, Any] = {"__name__": "answer"}
    # Starter code of the data uses these without importing them.
    exec("from typing import *\nfrom collections import *\nimport math", scope)
    exec(answer, scope)
    return lambda *given: (scope[name] if name in scope else getattr(scope["Solution"](), name))(
        *given
    )


def _printed(code: Any, given: str) -> str:
    written, before = io.StringIO(), (sys.stdin, sys.stdout)
    sys.stdin, sys.stdout = io.TextIOWrapper(io.BytesIO(given.encode())), written
    ended: object = None
    try:
        exec(code, {"__name__": "__main__"})
    except SystemExit as end:  # programs may end so
        ended = end.code
    finally:
        sys.stdin, sys.stdout = before
    assert not ended, f"ended with {ended}"
    return written.getvalue()
