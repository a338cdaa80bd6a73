"""The index of all benchmark texts: sorted hashes in one file that worker processes map.

Layout: a line that names the format, a line of JSON (fingerprint, files, problems, and where each
array lies), then the arrays, little-endian, each at a multiple of 64 bytes.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quipu.data.decontamination import benchmarks, trees
from quipu.data.decontamination.benchmarks import Text
from quipu.data.hashing import Hashes, ngrams, tokens
from quipu.data.steps.syntax import functions
from quipu.errors import DataError

N = 10  # tokens of an n-gram
SHORT_N = 6  # words, of questions too short for those; all must be there, in their order
MANY = 8  # problems: an n-gram or a function in more of them is nobody's
# N-grams that nobody else has, which a text needs to be looked for.
LEAST_PROGRAM, LEAST_PROSE, LEAST_SHORT = 12, 3, 2
LEAST_PUBLIC = 50  # the same for programs of real repositories, whose parts are often common
_SETTINGS = (
    N,
    SHORT_N,
    MANY,
    LEAST_PROGRAM,
    LEAST_PROSE,
    LEAST_SHORT,
    LEAST_PUBLIC,
    trees.LEAST_SIZE,
)
PROGRAM, PROSE, TREE, SIGNATURE = range(4)
RULES = ("program", "prose", "function", "signature")
_MAGIC = b"quipu decontamination 1\n"  # raised when texts are read otherwise
# Prose, short prose and programs are never mistaken for each other.
_PROSE_SALT, _SHORT_SALT = np.uint64(0x5851F42D4C957F2D), np.uint64(0x14057B7EF767814F)
_FILTER_BITS = 24


@dataclass(frozen=True, kw_only=True)
class Table:
    """Which items hold each key: `items[offsets[i] : offsets[i + 1]]` hold `keys[i]`."""

    keys: Hashes  # sorted, each once
    offsets: NDArray[np.int64]
    items: NDArray[np.int32]

    def find(self, wanted: Hashes) -> NDArray[np.int32]:
        """Items of every wanted key, with repetitions; `wanted` holds each key once."""
        at = np.searchsorted(self.keys, wanted[among(self.keys, wanted)])
        return np.concatenate(
            [self.items[self.offsets[i] : self.offsets[i + 1]] for i in at.tolist()]
            or [np.empty(0, np.int32)]
        )


@dataclass(frozen=True, kw_only=True)
class Index:
    """Everything that a document is compared with."""

    fingerprint: str
    files: Sequence[str]
    problems: Sequence[str]
    file: NDArray[np.int32]  # of each item
    problem: NDArray[np.int32]  # of each item
    rule: NDArray[np.int8]  # of each item
    size: NDArray[np.int32]  # n-grams of each item that count; 1 for functions
    table: Table  # n-grams, functions and signatures
    frames: Hashes  # of all functions, sorted: what can have the same shape
    filter: NDArray[np.uint8]  # a bit for each key, by its highest bits: most are never sought


def among(keys: Hashes, wanted: Hashes) -> NDArray[np.bool_]:
    """Whether each of the wanted is one of the sorted keys."""
    if not len(keys):
        return np.zeros(len(wanted), np.bool_)
    at = np.searchsorted(keys, wanted)
    return np.asarray(keys[np.minimum(at, len(keys) - 1)] == wanted, np.bool_)


def programs(text: str) -> Hashes:
    """Token n-grams, in either case of letters."""
    return ngrams(tokens(text, fold_case=True).hashes, N)


def prose(words: Hashes) -> Hashes:
    """N-grams of words alone, whatever stands between them."""
    return ngrams(words, N) ^ _PROSE_SALT


def short_prose(words: Hashes) -> Hashes:
    """The same for texts of few words."""
    return ngrams(words, SHORT_N) ^ _SHORT_SALT


def word_hashes(text: str) -> Hashes:
    """The words of a text, in either case of letters."""
    found = tokens(text, fold_case=True)
    return found.hashes[found.words]


def every(text: str) -> Hashes:
    """All n-grams by which a text can be known, from one reading of it."""
    found = tokens(text, fold_case=True)
    words = found.hashes[found.words]
    return np.concatenate([ngrams(found.hashes, N), prose(words), short_prose(words)])


def sought(index: Index, keys: Hashes) -> Hashes:
    """Those keys that the index may hold, each once, sorted."""
    high = keys >> np.uint64(64 - _FILTER_BITS)
    bits = index.filter[high >> np.uint64(3)] >> (high & np.uint64(7)).astype(np.uint8)
    return np.unique(keys[(bits & 1).astype(np.bool_)])


def build(folder: Path, file: Path) -> str:
    """Write the index of a folder of benchmarks unless `file` holds it; its fingerprint."""
    hashes = benchmarks.files(folder)
    fingerprint = hashlib.sha256(
        json.dumps([_MAGIC.decode(), _SETTINGS, hashes]).encode()
    ).hexdigest()[:16]
    if file.exists() and _is_index(file) and load(file).fingerprint == fingerprint:
        return fingerprint
    items, keys, owners, frames = _collect(
        text for name in hashes for text in benchmarks.texts(folder, name)
    )
    names = list(hashes)
    numbers = {name: number for number, name in enumerate(names)}
    problems = sorted({item.problem for item in items})
    places = {problem: number for number, problem in enumerate(problems)}
    problem = np.array([places[item.problem] for item in items], np.int32)
    table = _table(keys, owners, problem, np.array([item.least for item in items]))
    sizes = np.bincount(table.items, minlength=len(items)).astype(np.int32)
    arrays: dict[str, NDArray[Any]] = {
        "file": np.array([numbers[item.file] for item in items], np.int32),
        "problem": problem,
        "rule": np.array([item.rule for item in items], np.int8),
        "size": sizes,
        "keys": table.keys,
        "offsets": table.offsets,
        "items": table.items,
        "frames": frames,
        "filter": _filter(table.keys),
    }
    _write(file, {"fingerprint": fingerprint, "files": hashes, "problems": problems}, arrays)
    return fingerprint


@dataclass(frozen=True, kw_only=True)
class Item:
    """A text, function or signature of a benchmark."""

    file: str
    problem: str
    rule: int
    least: int = 1  # keys that must be left, or it is not looked for


def _grams(text: Text) -> tuple[Hashes, int]:
    """The n-grams of a benchmark's text, and how many it needs to be looked for."""
    if not text.words:
        return np.unique(programs(text.text)), LEAST_PUBLIC if text.public else LEAST_PROGRAM
    words = word_hashes(text.text)
    grams = np.unique(prose(words))
    if len(grams) >= LEAST_PROSE or text.comment:
        return grams, LEAST_PROSE
    return np.unique(short_prose(words)), LEAST_SHORT


def _collect(
    found: Iterable[Text],
) -> tuple[list[Item], Hashes, NDArray[np.int32], Hashes]:
    """Items, and pairs of a key and the item that holds it; frames of the functions."""
    items: list[Item] = []
    numbers: dict[tuple[Item, bytes], int] = {}
    keys: list[Hashes] = []
    owners: list[NDArray[np.int32]] = []
    frames: set[int] = set()

    def add(text: Text, rule: int, hashes: Hashes, least: int = 1) -> None:
        item = Item(file=text.file, problem=text.problem, rule=rule, least=least)
        mark = (item, hashlib.sha256(hashes.tobytes()).digest())
        if mark in numbers:
            return
        numbers[mark] = len(items)
        keys.append(hashes)
        owners.append(np.full(len(hashes), len(items), np.int32))
        items.append(item)

    for text in found:
        grams, least = _grams(text)
        if len(grams) >= least:
            add(text, PROSE if text.words else PROGRAM, grams, least)
        if text.words:
            continue
        for function in functions(text.text):
            hashed, size = trees.shape(function)
            if size >= trees.LEAST_SIZE and not text.answer:
                frames.add(trees.frame(function))
                add(text, TREE, np.array([hashed], np.uint64))
            if not text.public and len(function.name) > 2:
                add(text, SIGNATURE, np.array([trees.signature(function)], np.uint64))
    return (
        items,
        np.concatenate(keys or [np.empty(0, np.uint64)]),
        np.concatenate(owners or [np.empty(0, np.int32)]),
        np.array(sorted(frames), np.uint64),
    )


def _table(
    keys: Hashes,
    owners: NDArray[np.int32],
    problem: NDArray[np.int32],
    least: NDArray[np.int64],
) -> Table:
    """The pairs sorted by key: no keys that many problems share, no items left with too few."""
    order = np.lexsort((owners, problem[owners], keys))
    keys, owners = keys[order], owners[order]
    starts = _starts(keys)
    pair_begins = np.ones(len(keys), np.int64)
    pair_begins[1:] = (keys[1:] != keys[:-1]) | (np.diff(problem[owners]) != 0)
    problems = np.add.reduceat(pair_begins, starts) if len(keys) else pair_begins
    keep = np.repeat(problems <= MANY, np.diff(starts, append=len(keys)))
    keys, owners = keys[keep], owners[keep]
    enough = np.bincount(owners, minlength=len(least)) >= least
    keys, owners = keys[enough[owners]], owners[enough[owners]]
    starts = _starts(keys)
    return Table(keys=keys[starts], offsets=np.append(starts, len(keys)), items=owners)


def _starts(keys: Hashes) -> NDArray[np.int64]:
    """Where each of the sorted keys begins."""
    begins = np.ones(len(keys), np.bool_)
    begins[1:] = keys[1:] != keys[:-1]
    return np.flatnonzero(begins)


def _filter(keys: Hashes) -> NDArray[np.uint8]:
    bits = np.zeros(1 << _FILTER_BITS, np.bool_)
    bits[keys >> np.uint64(64 - _FILTER_BITS)] = True
    return np.packbits(bits, bitorder="little")


def _write(file: Path, header: dict[str, object], arrays: dict[str, NDArray[Any]]) -> None:
    places, offset = {}, 0
    for name, array in arrays.items():
        places[name] = [array.dtype.newbyteorder("<").str, len(array), offset]
        offset += -(-array.nbytes // 64) * 64
    line = json.dumps({**header, "arrays": places}, ensure_ascii=False).encode() + b"\n"
    start = -(-(len(_MAGIC) + len(line)) // 64) * 64
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f"{file.name}.{os.getpid()}.part")
    with temporary.open("wb") as out:
        out.write((_MAGIC + line).ljust(start, b" "))
        for array in arrays.values():
            data = array.astype(array.dtype.newbyteorder("<")).tobytes()
            out.write(data.ljust(-(-len(data) // 64) * 64, b"\0"))
    temporary.replace(file)


def _is_index(file: Path) -> bool:
    with file.open("rb") as lines:
        return lines.readline() == _MAGIC


def load(file: Path) -> Index:
    """The index of a file, its arrays mapped; DataError if it is none."""
    try:
        with file.open("rb") as lines:
            magic, header = lines.readline(), lines.readline()
    except OSError as error:
        raise DataError("the index of benchmarks cannot be read", got=error) from error
    if magic != _MAGIC:
        raise DataError(
            f"{file} is no index of benchmarks", got=magic[:40], remedy="delete it; it is rebuilt"
        )
    facts = json.loads(header)
    start = -(-(len(magic) + len(header)) // 64) * 64
    data = np.asarray(np.memmap(file, np.uint8, "r"))
    arrays: dict[str, NDArray[Any]] = {}
    for name, (kind, length, offset) in facts["arrays"].items():
        size = np.dtype(kind).itemsize * length
        arrays[name] = data[start + offset : start + offset + size].view(kind)
    return Index(
        fingerprint=facts["fingerprint"],
        files=tuple(facts["files"]),
        problems=tuple(facts["problems"]),
        table=Table(keys=arrays["keys"], offsets=arrays["offsets"], items=arrays["items"]),
        **{name: arrays[name] for name in ("file", "problem", "rule", "size", "frames", "filter")},
    )
