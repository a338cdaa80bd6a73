"""What every part of the measurement gets."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Where to work, how often to measure, on how many files."""

    work: Path
    venv: Path
    rounds: int
    files: int
    say: Callable[[str], None]
