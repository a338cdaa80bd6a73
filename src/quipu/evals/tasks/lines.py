"""Rows of benchmark files."""

import gzip
import json
from collections.abc import Sequence

from quipu.errors import DataError


def rows(name: str, data: bytes, keys: Sequence[str]) -> list[dict[str, object]]:
    """Objects of a file of JSON lines, gzipped if its name says so.

    Raises DataError for a file that is none, or a row without one of the keys.
    """
    try:
        text = (gzip.decompress(data) if name.endswith(".gz") else data).decode()
        found = [json.loads(line) for line in text.splitlines() if line.strip()]
    except (OSError, EOFError, ValueError) as error:
        raise _malformed(name, error) from error
    for number, row in enumerate(found, 1):
        if not isinstance(row, dict):
            raise _malformed(name, f"row {number} is no object")
        lacking = [key for key in keys if key not in row]
        if lacking:
            raise _malformed(name, f"row {number} has no {', '.join(lacking)}")
    return found


def _malformed(name: str, trouble: object) -> DataError:
    return DataError(
        f"benchmark file {name} is malformed", got=trouble, remedy="remove it and fetch it again"
    )
