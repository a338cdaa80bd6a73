"""Random documents and packed rows of a corpus, to be looked at."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quipu.data.loading.describe import Segment, describe
from quipu.data.loading.draws import permutation
from quipu.data.loading.mixture import Infilling, LoaderRecipe, Source
from quipu.data.loading.rows import Loader
from quipu.data.report.facts import DOCUMENTS, HELD_OUT, HELD_OUT_PREFIX, KEPT
from quipu.data.tokens.manifest import MANIFEST
from quipu.data.tokens.reading import TokenShards
from quipu.errors import DataError, UsageError
from quipu.text.tokenizer import Tokenizer

_COLUMNS = ["number", "id", "licence", "language", "group", "bytes", "quality", "state", "split"]


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A document with what a person wants to know of it."""

    id: str
    licence: str
    language: str
    bytes: int
    quality: float
    held_out: bool
    text: str


def documents(corpus: Path, count: int, group: str | None, seed: int) -> Iterator[Shown]:
    """Kept documents drawn at random; UsageError when the corpus has no such group."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    path = corpus / DOCUMENTS
    if not path.is_file():
        raise DataError(f"{corpus} is no built corpus", got=f"no {DOCUMENTS}",
                        remedy="build it first: quipu data build")  # fmt: skip
    # Numbers alone of all rows; the rest of the drawn ones.
    kept = pq.read_table(path, columns=["number", "group"], filters=[("state", "=", KEPT)])
    groups = sorted(pc.unique(kept["group"]).to_pylist())
    if group is not None:
        if group not in groups:
            raise UsageError("--group", got=group, allowed=", ".join(groups))
        kept = kept.filter(pc.equal(kept["group"], group))
    drawn = kept["number"].take(permutation(len(kept), seed)[:count]).to_pylist()
    found = pq.read_table(path, columns=_COLUMNS, filters=[("number", "in", drawn)]).to_pylist()
    rows = {row["number"]: row for row in found}
    for number in drawn:
        yield _shown(corpus, rows[number])


def _shown(corpus: Path, row: dict[str, Any]) -> Shown:
    return Shown(
        id=row["id"],
        licence=row["licence"],
        language=row["language"],
        bytes=row["bytes"],
        quality=row["quality"],
        held_out=row["split"] == HELD_OUT,
        text=_text(corpus / "texts", row["number"], row["group"]),
    )


def _text(folder: Path, number: int, group: str) -> str:
    """A document's text; of the files of its group only the row group that holds it is read."""
    import pyarrow.parquet as pq

    names = (f"{group}-[0-9]*.parquet", f"{HELD_OUT_PREFIX}{group}-[0-9]*.parquet")
    for path in sorted(path for name in names for path in folder.glob(name)):
        found = pq.read_table(path, columns=["text"], filters=[("number", "=", number)])
        if len(found):
            text: str = found["text"][0].as_py()
            return text
    raise DataError(f"{folder} lacks a text", got=f"number {number}", remedy="build it again")


@dataclass(frozen=True, kw_only=True)
class PackedRow:
    """A row of training, and which one it is."""

    index: int
    segments: list[Segment]


def packed(
    corpus: Path, count: int, group: str | None, seed: int, row_tokens: int, infilling: Infilling
) -> Iterator[PackedRow]:
    """Rows drawn at random from one epoch, packed as training packs them."""
    folder = corpus / "tokens"
    if not (folder / MANIFEST).is_file():
        raise DataError(f"{corpus} has no token shards", got=f"no tokens/{MANIFEST}",
                        remedy="build it to the end: quipu data build")  # fmt: skip
    tokenizer = Tokenizer.load(folder)
    shards = TokenShards.open(folder, tokenizer)
    training = [name for name in shards.groups if not name.startswith(HELD_OUT_PREFIX)]
    if group is not None and group not in shards.groups:
        raise UsageError("--group", got=group, allowed=", ".join(shards.groups))
    names = [group] if group is not None else training
    recipe = LoaderRecipe(
        sources=tuple(Source(group=name, epochs=1) for name in names),
        row_tokens=row_tokens,
        infilling=infilling,
        seed=seed,
    )
    loader = Loader(shards, tokenizer, recipe)
    for index in permutation(loader.rows_total or 0, seed)[:count].tolist():
        yield PackedRow(index=index, segments=describe(loader.row(index), tokenizer))
