"""Answers on a terminal, in a pipe, and as JSON."""

import dataclasses
import json
import sys
from typing import TextIO

from rich.console import Console

from quipu.answers import Asked, collect
from quipu.request import Completion, Piece

CONTEXT_LINES = 12  # of the text around an answer that a terminal shows

_DIM, _BRIGHT, _PLAIN = "\x1b[2m", "\x1b[1;32m", "\x1b[0m"


def as_json(completion: Completion) -> str:
    """One line of JSON, keys as documented for `--json`."""

    tops = completion.top_logprobs
    found = {
        "text": completion.text,
        "finish_reason": completion.finish_reason,
        "token_ids": completion.token_ids,
        "logprobs": completion.logprobs,
        "top_logprobs": tops and [[{"token_id": i, "logprob": x} for i, x in top] for top in tops],
        "usage": dataclasses.asdict(completion.usage),
        "timings": dataclasses.asdict(completion.timings),
    }
    return json.dumps(found, ensure_ascii=False)


def show(
    asked: Asked,
    *,
    before: str = "",
    after: str = "",
    json_lines: bool = False,
    always_around: bool = False,
) -> None:
    """Write the answers to stdout: streamed, between `before` and `after` when a person looks on.

    A pipe gets the bare text of the answers, and nothing else unless `always_around`.
    """
    if json_lines:
        for completion in collect(asked):
            print(as_json(completion))
        return
    screen = _Screen(sys.stdout, always_around)
    if asked.sampling.n == 1:
        screen.dim(_last_lines(before))
        completions = collect(asked, screen.piece)
        screen.dim(_first_lines(after))
        screen.end()
    else:
        completions = collect(asked)
        for number, completion in enumerate(completions, 1):
            screen.heading(f"{number} of {len(completions)}")
            screen.dim(_last_lines(before))
            screen.answer(completion.text)
            screen.dim(_first_lines(after))
            screen.end()
    summary(completions)


def summary(completions: list[Completion]) -> None:
    """A dim line on stderr, if a person is there to read it."""
    if not sys.stderr.isatty():
        return
    tokens = sum(c.usage.completion_tokens for c in completions)
    total_s = max(c.timings.total_s for c in completions)
    first_s = min(c.timings.first_token_s for c in completions)
    reasons = ", ".join(sorted({c.finish_reason for c in completions}))
    parts = [
        f"{completions[0].usage.prompt_tokens} + {tokens} tokens",
        f"first after {first_s:.2f} s",
        f"{tokens / total_s:.0f} tokens/s" if total_s else "",
        f"ended: {reasons}",
    ]
    Console(stderr=True).print(" · ".join(filter(None, parts)), style="dim", highlight=False)


class _Screen:
    """Writes text as it is; colours only what is around it, and only on a terminal."""

    def __init__(self, file: TextIO, always_around: bool) -> None:
        self.file = file
        self.colours = file.isatty()
        self.around = self.colours or always_around

    def dim(self, text: str) -> None:
        if self.around and text:
            self._write(_DIM + text + _PLAIN if self.colours else text)

    def heading(self, text: str) -> None:
        self._write(f"{_DIM}── {text} ──{_PLAIN}\n" if self.colours else f"--- {text} ---\n")

    def answer(self, text: str) -> None:
        self._write(_BRIGHT + text + _PLAIN if self.colours and text else text)

    def piece(self, piece: Piece) -> None:
        self.answer(piece.text)

    def end(self) -> None:
        self._write("\n")

    def _write(self, text: str) -> None:
        self.file.write(text)
        self.file.flush()


def _last_lines(text: str) -> str:
    return "".join(text.splitlines(keepends=True)[-CONTEXT_LINES:])


def _first_lines(text: str) -> str:
    return "".join(text.splitlines(keepends=True)[:CONTEXT_LINES]).removesuffix("\n")
