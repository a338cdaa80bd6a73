"""Exercises from documented functions of packages, run with inputs made for them."""

from collections import Counter
from pathlib import Path

from quipu.data.keyed import generator
from quipu.exercises.compose import Split

HELD_OUT = 0.05  # share of packages that only dev exercises come from


def packages(prepared: Path, split: Split) -> list[Path]:
    """Files of prepared packages that belong to a split, by the package's name alone."""
    files = sorted(prepared.rglob("*.parquet")) + sorted(prepared.rglob("*.jsonl"))
    known = [file for file in files if not file.stem.endswith("dropped")]
    return [file for file in known if _split(file) == split]


def _split(file: Path) -> Split:
    name = file.stem.rsplit("-", 1)[0].lower()
    held = generator("held out package", name).random() < HELD_OUT
    return "dev" if held else "train"


def exercises(
    file: Path, environment: Path | None, problems: Path | None = None
) -> tuple[list[dict[str, object]], Counter[str]]:
    """The exercises of one package, and what was dropped.

    `problems` is a file of benchmark problems (`likeness`) that no function may solve.
    """
    from quipu.exercises.real.functions import from_documents

    return from_documents(file, environment, problems)
