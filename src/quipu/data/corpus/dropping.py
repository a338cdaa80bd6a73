"""Documents and packages out of a corpus that is built."""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from quipu.data.corpus.lock import locked
from quipu.data.corpus.manifest import recount
from quipu.data.corpus.provenance import documents_of
from quipu.data.corpus.requests import add_requests
from quipu.data.corpus.select import KEPT, REQUESTED
from quipu.data.corpus.tables import column_of, write_table
from quipu.data.sources.packages import ECOSYSTEMS
from quipu.data.tokens.manifest import MANIFEST, Manifest
from quipu.data.tokens.stage import rewrite
from quipu.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Dropped:
    """What a request took out."""

    requests: tuple[str, ...]  # ids and full names of packages
    documents: int  # that were in the texts
    marked: int  # documents in the drop table of the shards
    rewritten: bool


def drop(corpus: Path, names: Sequence[str], *, rewrite_shards: bool = False) -> Dropped:
    """Take documents (by id) and packages (by name) out of training, now and in later builds.

    The loader skips what is marked; with `rewrite_shards` the shards are written again without
    it. Killed half way, the same call ends it. DataError for a name that is not in the corpus.
    """
    path = documents_of(corpus)
    with locked(corpus):
        table = pq.read_table(path, use_threads=False)
        ids, packages = column_of(table, "id"), column_of(table, "package")
        wanted = _resolved(names, set(ids), set(packages))
        add_requests(corpus, wanted)
        state, split = column_of(table, "state"), column_of(table, "split")
        numbers = []
        for number, (id, package) in enumerate(zip(ids, packages, strict=True)):
            if (id in wanted or package in wanted) and state[number] in (KEPT, REQUESTED):
                state[number], split[number] = REQUESTED, ""
                numbers.append(number)
        _replace(path, _with(_with(table, "state", state), "split", split))
        licences = dict(enumerate(column_of(table, "licence"))) if rewrite_shards else None
        marked = _mark(corpus / "tokens", numbers, licences)
        recount(corpus)
    return Dropped(
        requests=tuple(sorted(wanted)),
        documents=len(numbers),
        marked=marked,
        rewritten=rewrite_shards,
    )


def _resolved(names: Sequence[str], ids: set[str], packages: set[str]) -> set[str]:
    """Ids and full package names; `numpy` is found as pypi/numpy where that is unambiguous."""
    wanted: set[str] = set()
    for name in names:
        full = [f"{ecosystem}/{name}" for ecosystem in ECOSYSTEMS]
        found = [name] if name in ids or name in packages else sorted(packages & {*full})
        if len(found) != 1:
            raise DataError(
                f"{name} is not in this corpus" if not found else f"{name} is ambiguous",
                got=", ".join(found) or None,
                allowed="the id of a document or ECOSYSTEM/PACKAGE",
                remedy="quipu data why tells what there is",
            )
        wanted.update(found)
    return wanted


def _with(table: pa.Table, name: str, values: list[str]) -> pa.Table:
    place = table.schema.get_field_index(name)
    return table.set_column(place, table.schema.field(name), pa.array(values, pa.string()))


def _replace(path: Path, table: pa.Table) -> None:
    """Put another documents.parquet in place; the next build makes its own of the same bytes."""
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    write_table(partial, table)
    path.with_name(f"{path.name}.done").unlink(missing_ok=True)
    partial.replace(path)


def _mark(folder: Path, numbers: list[int], licences: Mapping[int, str] | None) -> int:
    """Enter numbers into the drop table; how many documents it has, before the shards change.

    The shards are written again without them if the licences of all documents are given.
    """
    former = folder.with_name(f".{folder.name}.former")
    if not (folder / MANIFEST).is_file():
        if not (former / MANIFEST).is_file():
            return 0  # no tokens yet
        former.rename(folder)  # killed between two renames
    manifest = Manifest.read(folder).drop(folder, numbers)
    if licences is not None:
        made = folder.with_name(f".{folder.name}.partial-{os.getpid()}")
        shutil.rmtree(former, ignore_errors=True)
        rewrite(folder, made, licences)
        folder.rename(former)
        made.rename(folder)
        shutil.rmtree(former)
    return len(manifest.dropped)
