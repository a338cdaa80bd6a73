"""Documented functions out of the files of a package."""

from collections import Counter
from pathlib import Path


def from_documents(
    file: Path,  # noqa: ARG001
    environment: Path | None,  # noqa: ARG001
) -> tuple[list[dict[str, object]], Counter[str]]:
    """Nothing yet."""
    return [], Counter()
