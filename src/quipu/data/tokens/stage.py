"""From files of texts to token shards: functions that jobs call, and what ends the stage.

    vocabulary   one job          texts -> tokenizer.model, or copies of a given tokenizer's files
    shards       one job per file texts and tokenizer -> the files of one shard
    finish       at the end       what the jobs told -> manifest.json

A job's function is given the paths of its files first, and returns facts that JSON can hold.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from quipu.data.tokens.manifest import Manifest, assemble, tokenizer_files
from quipu.data.tokens.reading import Group, TokenShards
from quipu.data.tokens.sampling import Sample, sampled
from quipu.data.tokens.spans import LIMIT, syntax_spans
from quipu.data.tokens.texts import group_of, read_texts
from quipu.data.tokens.writing import SUFFIXES, ShardRecord, ShardWriter, shard_files
from quipu.errors import DataError
from quipu.text.encoder import Encoder
from quipu.text.tokenizer import Tokenizer
from quipu.text.vocabulary import train_tokenizer

FILES = len(SUFFIXES)  # of one shard


def train_vocabulary(
    output: Path, texts: Sequence[Path], vocab: int, sample: Sample
) -> dict[str, Any]:
    """Train `vocab` pieces on a sample of the training texts; facts: what it was trained on."""
    facts, chosen = sampled(texts, sample)
    output.write_bytes(train_tokenizer(chosen, vocab))
    return facts


def copy_tokenizer(*paths: Any) -> dict[str, Any]:
    """Copy the files of a given tokenizer: as many targets, then as many sources."""
    every = list(map(Path, paths))
    half = len(every) // 2
    for target, source in zip(every[:half], every[half:], strict=True):
        target.write_bytes(source.read_bytes())
    return {"given": [source.name for source in every[half:]]}


def write_shard(*paths: Any) -> dict[str, Any]:
    """Make one shard: the six files of `shard_files`, then the file of texts, then the tokenizer's.

    The shard is named after the file of texts. Facts: its record. Constant memory.
    """
    files, (texts, *vocabulary) = list(map(Path, paths[:FILES])), map(Path, paths[FILES:])
    tokenizer = Tokenizer.from_files({path.name: path.read_bytes() for path in vocabulary})
    encoder = Encoder(tokenizer)
    group, package, first = group_of(texts), None, -1
    seen: set[str] = set()
    with ShardWriter(files, tokenizer.vocab) as writer:
        for document in read_texts(texts):
            if document.package != package:
                package, first = document.package, document.number
                if package in seen:
                    raise _scattered(texts, package)
                seen.add(package)
            writer.add(
                encoder.encode(document.text),
                number=document.number,
                package=first,
                spans=syntax_spans(document.text, group, document.number, LIMIT),
                licence=document.licence,
            )
        return asdict(writer.close(texts.stem))


def finish(
    folder: Path,
    records: Iterable[Mapping[str, Any]],
    *,
    vocabulary: Mapping[str, Any] | None = None,
    dropped: Iterable[int] = (),
) -> Manifest:
    """Write the manifest over the shards whose `records` the jobs gave; `folder` has the tokenizer.

    The order in which jobs ended does not matter.
    """
    tokenizer = Tokenizer.load(folder)
    groups: dict[str, list[ShardRecord]] = {}
    for record in sorted((ShardRecord(**record) for record in records), key=lambda r: r.name):
        groups.setdefault(group_of(Path(record.name)), []).append(record)
    manifest = assemble(
        groups,
        vocab=tokenizer.vocab,
        fingerprint=tokenizer.fingerprint,
        vocabulary=vocabulary,
        dropped=dropped,
    )
    manifest.write(folder)
    return manifest


def rewrite(source: Path, target: Path, licences: Mapping[int, str] | None = None) -> Manifest:
    """Copy shards to another folder without the documents that were dropped.

    Shards keep their names; one that becomes empty stays, empty. `licences` tells those of all
    documents by number (documents.parquet has them); without it the manifest counts none.
    """
    shards = TokenShards.open(source)
    target.mkdir(parents=True, exist_ok=True)
    for file in tokenizer_files(source):
        (target / file.name).write_bytes(file.read_bytes())
    records = [
        _copied(shards, group, place, target, licences or {})
        for group in map(shards.group, shards.groups)
        for place in range(len(group.shards))
    ]
    if licences is None:
        records = [record | {"licences": {}} for record in records]
    return finish(target, records, vocabulary=shards.manifest.vocabulary)


def _copied(
    shards: TokenShards, group: Group, place: int, target: Path, licences: Mapping[int, str]
) -> dict[str, Any]:
    """Write one shard of a group again; its record."""
    shard, first = group.shards[place], group.first_of_shard[place]
    with ShardWriter(shard_files(target, shard.name), shards.manifest.vocab) as writer:
        for index, number in enumerate(shard.documents.tolist()):
            if not group.dropped[first + index]:
                writer.add(
                    shard.ids(index),
                    number=number,
                    package=int(shard.packages[index]),
                    spans=shard.spans_of(index),
                    licence=licences.get(number, ""),
                )
        return asdict(writer.close(shard.name))


def _scattered(texts: Path, package: str | None) -> DataError:
    return DataError(
        f"{texts}: files of one package do not lie together",
        got=package,
        allowed="every package once",
        remedy="build the texts again",
    )
