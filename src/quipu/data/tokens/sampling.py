"""A sample of texts to train a vocabulary on: the same for the same corpus, of bounded size."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quipu.data.tokens.texts import batches, group_of


@dataclass(frozen=True, kw_only=True)
class Sample:
    """How much text, and how much of it from which group.

    Weights are relative; a group without one has weight 0 if any is given, and without weights
    every group counts as its bytes do. What a group cannot give the others give instead. A document
    is taken whole or not at all; its number decides when its turn comes.
    """

    bytes: int = 60_000_000  # training takes 10 s and 1.2 GB for so many
    weights: tuple[tuple[str, float], ...] = ()
    seed: int = 0


def sampled(texts: Sequence[Path], sample: Sample) -> tuple[dict[str, Any], Iterator[str]]:
    """What the sample holds, by group, and its texts in the order of the sorted files."""
    files = sorted(texts, key=lambda path: path.name)
    sizes = {path: _sizes(path) for path in files}
    of_group: dict[str, dict[int, int]] = {}
    for path in files:
        of_group.setdefault(group_of(path), {}).update(sizes[path])
    available = {group: sum(found.values()) for group, found in of_group.items()}
    shares = _shares(available, sample)
    chosen: dict[str, set[int]] = {}
    facts = {}
    for group, found in sorted(of_group.items()):
        chosen[group] = _first(found, shares[group], sample.seed)
        taken = sum(found[number] for number in chosen[group])
        facts[group] = {"documents": len(chosen[group]), "bytes": taken}
    told = {"groups": facts, "bytes": sample.bytes, "seed": sample.seed}
    return told, _texts(files, chosen)


def _sizes(path: Path) -> dict[int, int]:
    """Bytes of each document's text, by number."""
    import pyarrow.compute

    sizes: dict[int, int] = {}
    for batch in batches(path, ("number", "text")):
        lengths = pyarrow.compute.binary_length(batch.column("text"))
        sizes |= dict(zip(batch.column("number").to_pylist(), lengths.to_pylist(), strict=True))
    return sizes


def _shares(available: Mapping[str, int], sample: Sample) -> dict[str, int]:
    """Bytes to take of each group: by weight, and what is missing in one from those with more."""
    given = dict(sample.weights)
    weights = {
        group: float(given.get(group, 0) if given else available[group]) for group in available
    }
    shares = dict.fromkeys(available, 0)
    left = sample.bytes
    hungry = {group for group, weight in weights.items() if weight > 0}
    while hungry:
        total = sum(weights[group] for group in hungry)
        full = {g for g in hungry if available[g] * total <= left * weights[g]}
        for group in full or hungry:
            shares[group] = min(available[group], int(left * weights[group] / total))
        if not full:
            break
        shares |= {group: available[group] for group in full}
        left -= sum(shares[group] for group in full)
        hungry -= full
    return shares


def _first(sizes: Mapping[int, int], share: int, seed: int) -> set[int]:
    """Documents in a drawn order, those that still fit."""
    chosen = set()
    for number in sorted(sizes, key=lambda number: _turn(seed, number)):
        if sizes[number] <= share:
            chosen.add(number)
            share -= sizes[number]
    return chosen


def _turn(seed: int, number: int) -> bytes:
    return hashlib.sha256(f"vocabulary {seed} {number}".encode()).digest()


def _texts(files: Sequence[Path], chosen: Mapping[str, set[int]]) -> Iterator[str]:
    for path in files:
        wanted = chosen[group_of(path)]
        for batch in batches(path, ("number", "text")):
            numbers = batch.column("number").to_pylist()
            for place, number in enumerate(numbers):
                if number in wanted:
                    yield batch.column("text")[place].as_py()
