"""Which documents stay, who sees them, and in what order: documents.parquet.

Rows of what stays come first, in the order of the texts: training before held out, by group, by
package, in import order. What was dropped on somebody's request keeps its row, so that the numbers
of all others, which the token shards hold, stay as they are.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from quipu.data.corpus.exercises import is_dev, is_exercises
from quipu.data.corpus.holding import files_held_out, held_out
from quipu.data.corpus.imports import import_order
from quipu.data.corpus.prepare import dropped_beside
from quipu.data.corpus.tables import DOCUMENTS, column_of, rows, write_table
from quipu.errors import DataError

VERSION = 2
KEPT = "kept"
TRAIN, HELD_OUT = "train", "held out"
REQUESTED = "request: dropped"
_COLUMNS = [
    name for name in DOCUMENTS.names if name not in ("number", "state", "split", "part", "row")
]


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What decides which documents stay. `requests` are ids and packages to leave out."""

    cap_bytes: int
    cap_share: float
    held_out: float
    held_out_by: str = "package"
    requests: tuple[str, ...] = ()


def _held_out(
    states: "_States", paths: Sequence[str], in_texts: Sequence[bool], selection: Selection
) -> list[bool]:
    """Whether each document is kept for validation."""
    if selection.held_out_by == "file":
        inside = [index for index, one in enumerate(in_texts) if one]
        chosen = files_held_out([paths[index] for index in inside], selection.held_out)
        held = {inside[place] for place in chosen}
        return [index in held for index in range(len(in_texts))]
    packages = held_out(states.sizes(), selection.held_out)
    return [
        package in packages or is_dev(part)
        for package, part in zip(states.package, states.part, strict=True)
    ]


def select(
    output: Path,
    packages: Path,
    parts: Sequence[str],
    duplicates: Path,
    selection: Selection,
) -> dict[str, Any]:
    """Write documents.parquet from the prepared `parts` below the folder `packages`."""
    good = _prepared(packages, parts)
    states = _States(good)
    states.drop_duplicates(duplicates)
    states.drop_over_cap(selection)
    # Before requests: what is dropped on one of them must not change who sees the others.
    in_texts = [state == KEPT for state in states.state]
    states.drop_requested(selection.requests)
    held = _held_out(states, column_of(good, "path"), in_texts, selection)
    split = [
        (HELD_OUT if out else TRAIN) if inside else ""
        for out, inside in zip(held, in_texts, strict=True)
    ]
    place = _places(packages, parts, in_texts)
    table = good.append_column("state", pa.array(states.state, pa.string()))
    table = table.append_column("split", pa.array(split, pa.string()))
    table = table.append_column("place", pa.array(place, pa.int32()))
    order = pc.sort_indices(
        table.append_column("first", pc.equal(pa.array(in_texts, pa.bool_()), False)),
        [(key, "descending" if key == "split" else "ascending") for key in
         ("first", "split", "group", "package", "version", "place", "id")],
    )  # fmt: skip
    found = pa.concat_tables([table.take(order).drop_columns("place"), _others(packages, parts)])
    if len(found) >= 2**31:
        raise DataError("too many documents", got=len(found), allowed="below 2^31")
    found = found.append_column("number", pa.array(range(len(found)), pa.int32()))
    # Nobody sees what was dropped on request, though its row is among those who are seen.
    kept = pc.equal(found.column("state"), KEPT)
    shown = pc.if_else(kept, found.column("split"), "")
    found = found.set_column(found.schema.get_field_index("split"), "split", shown)
    write_table(output, found.select(DOCUMENTS.names).cast(DOCUMENTS))
    return {"documents": len(found), "rows_of_texts": sum(in_texts)}


def _prepared(packages: Path, parts: Sequence[str]) -> pa.Table:
    """Metadata of all documents that passed their steps."""
    tables = [DOCUMENTS.empty_table().select([*_COLUMNS, "part", "row"])]
    for part in parts:
        table = pq.read_table(packages / part, columns=_COLUMNS, use_threads=False)
        table = table.append_column("part", pa.array([part] * len(table), pa.string()))
        tables.append(table.append_column("row", pa.array(range(len(table)), pa.int32())))
    return pa.concat_tables(tables)


def _others(packages: Path, parts: Sequence[str]) -> pa.Table:
    """Rows of what did not pass, sorted by id."""
    tables = [pa.schema([(n, DOCUMENTS.field(n).type) for n in _OTHERS]).empty_table()]
    for part in parts:
        path = dropped_beside(packages / part)
        table = pq.read_table(path, use_threads=False).rename_columns({"reason": "state"})
        size = len(table)
        table = table.append_column("quality", pa.nulls(size, pa.float64()).fill_null(0.0))
        for name in ("split", "part", "text_sha256"):
            table = table.append_column(name, pa.array([""] * size, pa.string()))
        table = table.append_column("row", pa.array([-1] * size, pa.int32()))
        tables.append(table.select(_OTHERS))
    found = pa.concat_tables(tables)
    keys = [(name, "ascending") for name in ("id", "state", "sha256", "bytes")]
    return found.take(pc.sort_indices(found, keys))


_OTHERS = [*_COLUMNS, "part", "row", "state", "split"]


class _States:
    """The state of each document while reasons to leave it out come in."""

    def __init__(self, table: pa.Table) -> None:
        self.id = column_of(table, "id")
        self.package = column_of(table, "package")
        self.group = column_of(table, "group")
        self.quality = column_of(table, "quality")
        self.bytes = column_of(table, "bytes")
        self.part = column_of(table, "part")
        self.state = [KEPT] * len(self.id)

    def kept(self) -> Iterator[int]:
        """Indices of the documents that nothing speaks against so far."""
        return (index for index, state in enumerate(self.state) if state == KEPT)

    def packaged(self) -> list[int]:
        """Those of packages: all but exercises."""
        return [index for index in self.kept() if not is_exercises(self.part[index])]

    def sizes(self) -> dict[str, Counter[str]]:
        """Bytes that packages have in each group."""
        found: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for index in self.packaged():
            found[self.package[index]][self.group[index]] += self.bytes[index]
        return found

    def drop_duplicates(self, path: Path) -> None:
        """Leave out what a file of duplicates names."""
        reasons: dict[str, str] = {}
        for row in rows(path, ["id", "kept_id", "kind", "jaccard"]):
            exact = row["kind"] == "exact"
            similarity = "" if exact else f" {row['jaccard']:.2f}"
            reasons[row["id"]] = f"{row['kind']} duplicate of {row['kept_id']}{similarity}"
        for index, id in enumerate(self.id):
            self.state[index] = reasons.get(id, KEPT)

    def drop_over_cap(self, selection: Selection) -> None:
        """Leave out what its package has no room for, best quality first in each group."""
        total: Counter[str] = Counter()
        for index in self.packaged():
            total[self.group[index]] += self.bytes[index]
        room = {
            group: min(selection.cap_bytes, int(selection.cap_share * size))
            for group, size in total.items()
        }
        used: Counter[tuple[str, str]] = Counter()
        best_first = sorted(self.packaged(), key=lambda i: (-self.quality[i], self.id[i]))
        for index in best_first:
            group, package = self.group[index], self.package[index]
            if used[group, package] + self.bytes[index] > room[group]:
                self.state[index] = f"cap: over {room[group]} bytes of {package} in {group}"
            else:
                used[group, package] += self.bytes[index]

    def drop_requested(self, requests: Sequence[str]) -> None:
        """Leave out ids and packages that somebody asked to leave out."""
        wanted = set(requests)
        for index in self.kept():
            if self.id[index] in wanted or self.package[index] in wanted:
                self.state[index] = REQUESTED


def _places(packages: Path, parts: Sequence[str], wanted: Sequence[bool]) -> list[int]:
    """Place of each document in the order of its part: imports first for Python, else by path."""
    places: list[int] = []
    for part in parts:
        python: dict[str, list[str]] = {}
        paths: list[str] = []
        for row in rows(packages / part, ["path", "language", "imports"]):
            path = row["path"]
            if row["language"] == "python" and wanted[len(places) + len(paths)]:
                python[path] = row["imports"]
            paths.append(path)
        ordered = {path: number for number, path in enumerate(import_order(python))}
        by_path = {path: number for number, path in enumerate(sorted(set(paths)))}
        places += [ordered[path] if path in ordered else by_path[path] for path in paths]
    return places
