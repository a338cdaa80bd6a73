"""A corpus in small pieces, to be carried to a machine that makes the tokens itself.

Texts compress to about a third of their tokens. A piece is a folder: files of texts, compressed,
with the tokenizer. Files are dealt so that any first pieces hold each group in its share, and all
of what is held out; `unpack` makes token shards of whatever pieces are there.
"""

import dataclasses
import json
import lzma
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from quipu.data.corpus import jobs
from quipu.data.corpus.jobs import Done, Executor, Failed, Job
from quipu.data.corpus.lock import locked
from quipu.data.corpus.recipe import CorpusRecipe
from quipu.data.corpus.tokens import build_tokens, remove_others
from quipu.data.tokens.manifest import Manifest, tokenizer_files
from quipu.data.tokens.texts import PACKED, group_of, is_for_training, read_texts
from quipu.errors import DataError, UsageError

PIECE = "piece-"
VERSION = 1
DICTIONARY = 2**26  # bytes back in which a compressor looks for what comes again
_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": DICTIONARY}]

Told = Callable[[int, int], None]  # jobs done, of how many


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A folder that travels."""

    folder: Path
    bytes: int
    files: int


def pack(
    corpus: Path,
    folder: Path,
    executor: Executor,
    *,
    piece_bytes: int,
    shares: Mapping[str, float],
    told: Told = lambda *_: None,
) -> list[Piece]:
    """Write pieces of up to `piece_bytes` below `folder`; dropped documents stay behind.

    `shares` says how much of a group travels, 0 to 1; of those it does not name, all. Raises
    DataError if the corpus is not built, or one of its files of texts is larger than a piece.
    """
    manifest = Manifest.read(corpus / "tokens")
    chosen = _chosen(sorted((corpus / "texts").glob("*.parquet")), shares)
    with locked(folder):
        dropped = sorted(manifest.dropped)
        made = [
            jobs.make(
                f"pack {source.stem}",
                compress,
                (source, dropped),
                folder / "packed" / f"{source.stem}{PACKED}",
                reads=[source],
                version=VERSION,
                size=source.stat().st_size,
            )
            for source in chosen
        ]
        jobs.complete(_run(executor, made, told))
        packed = {source: job.output for source, job in zip(chosen, made, strict=True)}
        vocabulary = tokenizer_files(corpus / "tokens")
        own = sum(file.stat().st_size for file in vocabulary)
        dealt = list(_dealt([packed[source] for source in _ordered(chosen)], piece_bytes - own))
        for number, files in enumerate(dealt):
            _fill(folder / f"{PIECE}{number:02}", [*files, *vocabulary])
        for old in folder.glob(f"{PIECE}*"):
            if int(old.name.removeprefix(PIECE)) >= len(dealt):
                shutil.rmtree(old)
    return [
        Piece(
            folder=folder / f"{PIECE}{number:02}",
            bytes=own + sum(file.stat().st_size for file in files),
            files=len(files),
        )
        for number, files in enumerate(dealt)
    ]


def compress(output: Path, source: Path, dropped: Sequence[int]) -> dict[str, int]:
    """Texts of a file as compressed lines of JSON, without those that were dropped."""
    gone, count = set(dropped), 0
    with lzma.open(output, "wt", encoding="utf-8", filters=_FILTERS, check=lzma.CHECK_CRC64) as to:
        for text in read_texts(source):
            if text.number not in gone:
                to.write(json.dumps(dataclasses.asdict(text), ensure_ascii=False) + "\n")
                count += 1
    return {"documents": count}


def unpack(
    pieces: Sequence[Path], folder: Path, executor: Executor, *, told: Told = lambda *_: None
) -> Manifest:
    """Make token shards in `folder`/tokens of some pieces of one corpus.

    Raises DataError for what is no piece, or pieces of different corpora.
    """
    found = [_texts_of(piece) for piece in pieces]
    vocabularies = [[file.read_bytes() for file in tokenizer_files(piece)] for piece in pieces]
    if any(one != vocabularies[0] for one in vocabularies):
        raise DataError(
            "pieces of different corpora",
            got=", ".join(map(str, pieces)),
            allowed="pieces with the same tokenizer",
        )
    recipe = CorpusRecipe(name=folder.name, packages=(), tokenizer=pieces[0])
    texts = sorted((path for files in found for path in files), key=lambda path: path.name)
    with locked(folder):
        build_tokens(recipe, folder / "tokens", texts, lambda some, _: _run(executor, some, told))
    return Manifest.read(folder / "tokens")


def _run(executor: Executor, wanted: Sequence[Job], told: Told) -> list[Done | Failed]:
    outcomes = []
    for outcome in executor.run(wanted):
        outcomes.append(outcome)
        told(len(outcomes), len(wanted))
    return sorted(outcomes, key=lambda outcome: outcome.job.name)


def _texts_of(piece: Path) -> list[Path]:
    found = sorted(piece.glob(f"*{PACKED}"))
    if not found:
        raise DataError(f"{piece} is no piece", allowed="a folder that quipu data pack has written")
    return found


def _chosen(texts: Sequence[Path], shares: Mapping[str, float]) -> list[Path]:
    """The first files of each group, as many as its share."""
    if not texts:
        raise DataError("no files of texts", allowed="a folder that quipu data build has written")
    groups: defaultdict[str, list[Path]] = defaultdict(list)
    for path in texts:
        groups[group_of(path)].append(path)
    for name, share in shares.items():
        if name not in groups:
            raise UsageError("group of the corpus", got=name, allowed=", ".join(sorted(groups)))
        if not 0 <= share <= 1:
            raise UsageError(f"share of {name}", got=share, allowed="0 to 1")
    return [
        path
        for name, files in sorted(groups.items())
        for path in files[: -int(-shares.get(name, 1.0) * len(files) // 1)]
    ]


def _ordered(texts: Sequence[Path]) -> Iterator[Path]:
    """What is held out first, then all groups side by side, each evenly spread."""
    sizes = Counter(group_of(path) for path in texts)
    met: Counter[str] = Counter()
    places: dict[Path, float] = {}
    for path in texts:
        group = group_of(path)
        places[path] = (met[group] + 0.5) / sizes[group] if is_for_training(path) else -1.0
        met[group] += 1
    yield from sorted(texts, key=lambda path: (places[path], path.name))


def _dealt(files: Sequence[Path], room: int) -> Iterator[list[Path]]:
    """Files in their order, as many in each piece as fit; a later one may fill what is left."""
    waiting = list(files)
    while waiting:
        piece: list[Path] = []
        left = room
        for file in list(waiting):
            size = file.stat().st_size
            if size > room:
                raise DataError(
                    f"{file.name} is larger than a piece",
                    got=f"{size / 1e6:.1f} MB",
                    allowed=f"{room / 1e6:.1f} MB",
                    remedy="ask for larger pieces, or build the corpus with a lower shard_tokens",
                )
            if size <= left:
                piece.append(file)
                waiting.remove(file)
                left -= size
        yield piece


def _fill(piece: Path, files: Sequence[Path]) -> None:
    piece.mkdir(exist_ok=True)
    for file in files:
        if not (piece / file.name).exists() or not _same(piece / file.name, file):
            shutil.copyfile(file, piece / file.name)
    remove_others(piece, {file.name for file in files})


def _same(one: Path, other: Path) -> bool:
    return jobs.digest_of(one) == jobs.digest_of(other)
