"""What people asked to leave out, kept in the corpus' folder so that every later build knows."""

from collections.abc import Iterable
from pathlib import Path

from quipu import jsonl

REQUESTS = "requests.jsonl"


def read_requests(folder: Path) -> tuple[str, ...]:
    """Ids and package names (ECOSYSTEM/NAME) that shall not be trained on, sorted."""
    path = folder / REQUESTS
    if not path.exists():
        return ()
    return tuple(sorted({str(line["drop"]) for line in jsonl.read(path) if "drop" in line}))


def add_requests(folder: Path, names: Iterable[str]) -> None:
    """Record ids and package names; those already there are not added again."""
    known = set(read_requests(folder))
    for name in sorted(set(names) - known):
        jsonl.append(folder / REQUESTS, {"drop": name})
