"""What all parts of the measurement share."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Where to work and how often to repeat."""

    work: Path
    rounds: int
    say: Callable[[str], None]
