"""One step over a file of JSON lines: what it keeps, and what it drops with the reason."""

import dataclasses
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from quipu.data.documents import Document, Step
from quipu.data.steps.registry import WHOLE, WholeStep, make, make_whole
from quipu.errors import DataError, UsageError

STREAM = Path("-")  # standard input or output
_TEXTS = tuple(one.name for one in dataclasses.fields(Document) if one.name != "quality")


@dataclass(kw_only=True)
class Applied:
    """What happened so far."""

    kept: int = 0
    changed: int = 0
    dropped: Counter[str] = field(default_factory=Counter)  # by reason
    bytes: int = 0  # of the input, read


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line of the input as a document, with all that its object holds."""

    document: Document
    values: Mapping[str, Any]
    bytes: int


def dropped_file(target: Path) -> Path | None:
    """Where dropped documents go: OUT.dropped.jsonl beside OUT.jsonl; nowhere for a stream."""
    return (
        None
        if target == STREAM
        else target.with_name(f"{target.name.removesuffix('.jsonl')}.dropped.jsonl")
    )


def apply(
    name: str,
    options: tuple[str, ...],
    source: Path,
    target: Path,
    progress: Callable[[Applied], None] = lambda _: None,
) -> Applied:
    """Run a step by its name over `source`; `target` and its dropped file appear when all is done.

    A line that is no document is a DataError that names it, and nothing is written.
    """
    done = Applied()
    whole = make_whole(name, options) if name in WHOLE else None
    step = make(name, options) if whole is None else _single(name, whole, source)
    dropped_path = dropped_file(target)
    with ExitStack() as stack:
        out = stack.enter_context(_writer(target))
        dropped = stack.enter_context(_writer(dropped_path)) if dropped_path else None
        for line in read(source):
            _write(line, step(line.document), done, out, dropped)
            done.bytes += line.bytes
            progress(done)
    return done


def read(source: Path) -> Iterator[Line]:
    """The documents of a file of JSON lines; a line without an id has its number for one."""
    with ExitStack() as stack:
        try:
            lines = sys.stdin if source == STREAM else stack.enter_context(source.open("rb"))
        except OSError as error:
            raise DataError(f"{source} cannot be read", got=error) from error
        for number, raw in enumerate(lines, 1):
            if raw.strip():
                yield _line(raw, f"{source} line {number}", number)


def _line(raw: bytes | str, where: str, number: int) -> Line:
    try:
        data = raw if isinstance(raw, bytes) else raw.encode("utf-8", "surrogateescape")
        values = json.loads(data.decode("utf-8"))
    except ValueError as error:
        raise DataError(where, got=error, allowed="one JSON object, in UTF-8") from error
    if not isinstance(values, dict) or "text" not in values:
        got = ", ".join(map(repr, values)) if isinstance(values, dict) else type(values).__name__
        raise DataError(where, got=got or "no keys", allowed='an object with "id", "path", "text"')
    known = {key: values[key] for key in _TEXTS if values.get(key) is not None}
    for key, value in known.items():
        if key == "id" and isinstance(value, int):
            known[key] = str(value)
        elif not isinstance(value, str):
            raise DataError(f"{where}: {key}", got=type(value).__name__, allowed="a string")
        elif not _encodes(value):
            raise DataError(f"{where}: {key}", got="a lone surrogate", allowed="Unicode text")
    quality = values.get("quality") or 0.0
    if not isinstance(quality, int | float):
        raise DataError(f"{where}: quality", got=quality, allowed="a number")
    known.setdefault("id", known.get("path") or str(number))
    if "text" not in known:
        raise DataError(f"{where}: text", got="null", allowed="a string")
    document = Document(**known, quality=float(quality))
    return Line(document=document, values=values, bytes=len(data))


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _single(name: str, whole: WholeStep, source: Path) -> Step:
    """A step over all documents as one over each, after a first reading."""
    if source == STREAM:
        raise UsageError(
            f"step {name} reads its input twice", got="-", allowed="a file", remedy="save it first"
        )
    reasons = whole(line.document for line in read(source))
    return lambda document: reasons.get(document.id)


def _write(
    line: Line,
    result: str | Document | None,
    done: Applied,
    out: TextIO,
    dropped: TextIO | None,
) -> None:
    if isinstance(result, str):
        done.dropped[result] += 1
        if dropped is not None:
            _append(dropped, {**line.values, "reason": result})
        return
    done.kept += 1
    changes = {} if result is None else _changes(line.document, result)
    done.changed += bool(changes)
    _append(out, {**line.values, **changes})


def _changes(before: Document, after: Document) -> dict[str, object]:
    old, new = dataclasses.asdict(before), dataclasses.asdict(after)
    return {key: value for key, value in new.items() if value != old[key]}


def _append(file: TextIO, values: Mapping[str, object]) -> None:
    file.write(json.dumps(values, ensure_ascii=False) + "\n")


class _writer:  # noqa: N801 (a context manager that reads as a verb)
    """A text file that takes its name when all went well; standard output for a stream."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.temporary = target.with_name(f".{target.name}.part")

    def __enter__(self) -> TextIO:
        if self.target == STREAM:
            self.file: TextIO = sys.stdout
            return self.file
        try:
            self.file = self.temporary.open("w", encoding="utf-8", newline="\n")
        except OSError as error:
            raise DataError(f"{self.target} cannot be written", got=error) from error
        return self.file

    def __exit__(self, kind: object, *_: object) -> None:
        if self.target == STREAM:
            return
        try:
            self.file.close()
        except OSError as error:
            self.temporary.unlink(missing_ok=True)
            raise DataError(f"{self.target} cannot be written", got=error) from error
        if kind is None:
            self.temporary.replace(self.target)
        else:
            self.temporary.unlink(missing_ok=True)
