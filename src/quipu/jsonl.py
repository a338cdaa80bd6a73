"""JSON lines: the plain file between processes."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from quipu.errors import QuipuError


def append(path: Path, line: Mapping[str, object]) -> None:
    """Add one object as one line; a reader never sees half of it in the middle of the file."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, ensure_ascii=False) + "\n")


def mend(path: Path) -> None:
    """Cut off a last line that was not written whole, so that the next one begins a line."""
    if not path.exists():
        return
    with path.open("rb+") as file:
        data = file.read()
        if data and not data.endswith(b"\n"):
            file.truncate(data.rfind(b"\n") + 1)


def keep(path: Path, wanted: Callable[[dict[str, object]], bool]) -> None:
    """Drop the lines of a file that are not wanted; the file is replaced whole. None: no file."""
    if not path.exists():
        return
    temporary = path.with_suffix(".tmp")
    temporary.unlink(missing_ok=True)
    temporary.touch()
    for line in filter(wanted, read(path)):
        append(temporary, line)
    temporary.replace(path)


def read(path: Path, *, growing: bool = False) -> Iterator[dict[str, object]]:
    """Objects of the file, in order; QuipuError names the line that is none.

    Of a file that is `growing`, a last line that is not whole is left out.
    """
    with path.open(encoding="utf-8", errors="replace" if growing else "strict") as file:
        for number, line in enumerate(file, 1):
            if not line.strip() or (growing and not line.endswith("\n")):
                continue
            try:
                found = json.loads(line)
            except json.JSONDecodeError as error:
                raise QuipuError(
                    f"{path} line {number}", got=error, allowed="one JSON object"
                ) from error
            if not isinstance(found, dict):
                raise QuipuError(
                    f"{path} line {number}", got=line.strip()[:40], allowed="a JSON object"
                )
            yield found
