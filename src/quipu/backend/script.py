"""Script files: answers written down beforehand.

A script is JSONL. Each object answers the prompts that it matches; the first match wins.

    {"prompt_contains": "def add", "text": "return a + b"}       prompts that contain a string
    {"match": "(?s)^Hello.*", "text": ["first", "second"]}       regular expression; answer by index
    {"text": "pass", "finish_reason": "length"}                  any prompt; as if cut off
    {"prompt_contains": "boom", "error": "out of memory"}        fails while it answers

Prompts are matched as text (specials vanish). More keys of an answer: `logprob` of each of its
tokens (default 0, a certainty) and `delay_s` before each of them (default 0). An answer has the
tokens of its text as a continuation; max_tokens and stop strings cut it as they cut a model's.

The first object may describe the model instead: {"model": "fake", "context": 4096, "infill": true,
"chat": "inst", "tokenizer": "tokenizer.model"}, the tokenizer relative to the script.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from quipu import jsonl
from quipu.config import Abilities, ChatFormat
from quipu.errors import UsageError
from quipu.request import FinishReason

CONTEXT = 4096  # tokens, unless the script says otherwise


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of a script: which prompts it is for, and what it answers."""

    prompt_contains: str = ""
    match: re.Pattern[str] = re.compile("")
    texts: tuple[str, ...] = ()  # answer i of a request is number i of these, round and round
    error: str | None = None
    finish_reason: FinishReason = "stop"
    logprob: float = 0.0
    delay_s: float = 0.0

    def fits(self, prompt: str) -> bool:
        """Whether this line answers `prompt`."""
        return self.prompt_contains in prompt and self.match.search(prompt) is not None


@dataclass(frozen=True, kw_only=True)
class Script:
    """A script file: the model it plays, and its lines in order."""

    model: str
    lines: tuple[Line, ...]
    context: int = CONTEXT
    abilities: Abilities = Abilities()
    tokenizer: Path | None = None


def read_script(path: Path) -> Script:
    """Parse a script. Raises a QuipuError that names the place for anything but the above."""
    try:
        rows = list(jsonl.read(path))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"script {path} cannot be read", got=error) from error
    entries = [_Entry(values, f"script {path} object {n}") for n, values in enumerate(rows, 1)]
    header = None
    if entries and not entries[0].values.keys() & {"text", "error"}:
        header = entries.pop(0)
    if not entries:
        raise UsageError(f"script {path} has no answers", remedy='add a line {"text": "…"}')
    lines = tuple(_line(entry) for entry in entries)
    if header is None:
        return Script(model=path.stem, lines=lines)
    header.allow("model", "context", "infill", "chat", "tokenizer")
    tokenizer = header.text("tokenizer")
    return Script(
        model=header.text("model") or path.stem,
        lines=lines,
        context=int(header.number("context", CONTEXT)),
        abilities=Abilities(infill=bool(header.values.get("infill")), chat=_chat(header)),
        tokenizer=path.parent / tokenizer if tokenizer else None,
    )


@dataclass(frozen=True)
class _Entry:
    """An object of the script and where it stands."""

    values: Mapping[str, object]
    where: str

    def allow(self, *keys: str) -> None:
        for key in self.values:
            if key not in keys:
                raise UsageError(self.where, got=f"key {key!r}", allowed=", ".join(keys))

    def text(self, key: str) -> str:
        value = self.values.get(key, "")
        if not isinstance(value, str):
            raise self.wrong(key, "a string")
        return value

    def number(self, key: str, default: float) -> float:
        value = self.values.get(key, default)
        if not isinstance(value, int | float):
            raise self.wrong(key, "a number")
        return value

    def wrong(self, key: str, allowed: str) -> UsageError:
        return UsageError(f"{self.where}: {key}", got=repr(self.values[key]), allowed=allowed)


def _line(entry: _Entry) -> Line:
    entry.allow("prompt_contains", "match", "text", "error", "finish_reason", "logprob", "delay_s")
    if ("text" in entry.values) == ("error" in entry.values):
        raise UsageError(entry.where, got=", ".join(entry.values), allowed="one of text and error")
    if entry.values.get("error") == "":
        raise entry.wrong("error", "a message")
    try:
        match = re.compile(entry.text("match"))
    except re.error as error:
        raise entry.wrong("match", "a regular expression") from error
    return Line(
        prompt_contains=entry.text("prompt_contains"),
        match=match,
        texts=_texts(entry) if "text" in entry.values else (),
        error=entry.text("error") or None,
        finish_reason=_finish_reason(entry),
        logprob=entry.number("logprob", 0.0),
        delay_s=entry.number("delay_s", 0.0),
    )


def _texts(entry: _Entry) -> tuple[str, ...]:
    value = entry.values["text"]
    texts = value if isinstance(value, list) else [value]
    if not texts or not all(isinstance(text, str) for text in texts):
        raise entry.wrong("text", "a string, or a list of them")
    return tuple(texts)


def _finish_reason(entry: _Entry) -> FinishReason:
    match entry.values.get("finish_reason", "stop"):
        case "stop":
            return "stop"
        case "length":
            return "length"
    raise entry.wrong("finish_reason", "stop, length")


def _chat(header: _Entry) -> ChatFormat | None:
    match header.values.get("chat"):
        case None:
            return None
        case "inst":
            return "inst"
        case "source":
            return "source"
    raise header.wrong("chat", "inst, source")
