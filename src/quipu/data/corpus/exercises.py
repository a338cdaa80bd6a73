"""Exercises as packages of a corpus: they come checked and without duplicates.

So here they meet one step, decontamination, and neither duplicates nor caps.
"""

import json
from pathlib import Path
from typing import Any

from quipu.data.sources.packages import Package
from quipu.errors import DataError

ECOSYSTEM = "exercises"
TRAIN, DEV = "train", "dev"
_REMEDY = "quipu data exercises --to FOLDER/train, and FOLDER/dev with --split dev"


def packages_of(folder: Path) -> tuple[Package, ...]:
    """A package for every file of exercises in FOLDER/train, and in FOLDER/dev if it is there.

    Raises DataError where a set is missing, unfinished, or of the other split.
    """
    splits = [TRAIN, *([DEV] if (folder / DEV).exists() else [])]
    return tuple(package for split in splits for package in _of_split(folder / split, split))


def _of_split(folder: Path, split: str) -> list[Package]:
    told = _manifest(folder)
    if told.get("split") != split:
        raise DataError(f"exercises of {folder}", got=told.get("split"), allowed=split)
    return [
        Package(ecosystem=ECOSYSTEM, name=f"{split}-{number:05}", place=folder / name)
        for number, name in enumerate(told["shards"])
    ]


def _manifest(folder: Path) -> dict[str, Any]:
    """The manifest, which is written when a set is whole."""
    path = folder / "manifest.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"exercises: {path}", got=error, remedy=_REMEDY) from error
    if not isinstance(found, dict) or not isinstance(found.get("shards"), list):
        raise DataError(f"exercises: {path}", got="no list of shards", remedy=_REMEDY)
    return found


def is_exercises(part: str) -> bool:
    """Whether a prepared part holds exercises."""
    return part.startswith(f"{ECOSYSTEM}/")


def is_dev(part: str) -> bool:
    """Whether it holds those that are kept for validation."""
    return part.startswith(f"{ECOSYSTEM}/{DEV}-")
