"""Secrets and personal data out of a text, placeholders in."""

import io
import tokenize
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import chain

from quipu.data.documents import Document
from quipu.data.steps.personal import personal
from quipu.data.steps.secrets import Span, secrets
from quipu.data.steps.subject import is_python
from quipu.data.steps.syntax import parsed

_TEXT_TOKENS = {tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", -1)}


@dataclass(frozen=True, kw_only=True)
class Redact:
    """Replaces secrets by <KEY> and <PASSWORD>, personal data by <EMAIL>, <IP> and <PHONE>.

    Redacting twice changes nothing more, and Python that parsed still parses.
    """

    secrets: bool = True
    personal: bool = True

    def __call__(self, document: Document) -> Document:
        text, python = document.text, is_python(document)
        # A placeholder may end a text that hid another: again, until there is nothing left.
        while (changed := self._once(text, python)) != text:
            text = changed
        return document if text == document.text else replace(document, text=text)

    def _once(self, text: str, python: bool) -> str:
        found = list(
            chain(secrets(text) if self.secrets else (), personal(text) if self.personal else ())
        )
        changed = redacted(text, found)
        if not found or not python or parsed(changed).tree or not parsed(text).tree:
            return changed
        changed = redacted(text, _inside_text(text, found))
        return changed if parsed(changed).tree else text


def redacted(text: str, spans: Iterable[Span]) -> str:
    """The text with its spans replaced; of two that overlap, the one that starts first."""
    parts, end = [], 0
    for start, stop, placeholder in sorted(spans, key=lambda span: (span[0], -span[1])):
        if start >= end:
            parts += [text[end:start], placeholder]
            end = stop
    return "".join([*parts, text[end:]])


def _inside_text(text: str, spans: Iterable[Span]) -> list[Span]:
    """Those spans that lie within strings and comments of a Python text."""
    lines = text.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    try:
        tokens = [
            (starts[token.start[0] - 1] + token.start[1], starts[token.end[0] - 1] + token.end[1])
            for token in tokenize.generate_tokens(io.StringIO(text).readline)
            if token.type in _TEXT_TOKENS
        ]
    except (tokenize.TokenError, SyntaxError, IndexError):
        return []
    inside = []
    for span in spans:
        at = bisect_right(tokens, (span[0], len(text) + 1)) - 1
        if at >= 0 and span[1] <= tokens[at][1]:
            inside.append(span)
    return inside
