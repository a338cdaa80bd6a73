"""Duplicates among documents that fit in memory, for streams of JSON lines and for tests."""

from collections.abc import Iterable, Sequence

import numpy as np

from quipu.data.dedup.bands import Numbers, bucket_pairs, unpacked
from quipu.data.dedup.choose import (
    Duplicate,
    Preference,
    Similarities,
    choose,
    preference,
    removals,
    text_digest,
)
from quipu.data.dedup.settings import Near
from quipu.data.dedup.shingles import shingles_of, unique
from quipu.data.dedup.signatures import band_keys
from quipu.data.dedup.verify import similarities
from quipu.data.documents import Document
from quipu.data.hashing import Hashes
from quipu.errors import DataError


def drop_duplicates(documents: Iterable[Document], near: Near | None) -> dict[str, str]:
    """Id -> reason of every document to drop; only exact duplicates when `near` is None."""
    return {one.id: one.reason() for one in find_duplicates(documents, near)}


def find_duplicates(documents: Iterable[Document], near: Near | None) -> list[Duplicate]:
    """Documents to remove, by id. Keeps the shingles of unique texts in memory, not the texts."""
    order: list[Preference] = []
    digests: list[bytes] = []
    shingles: dict[bytes, Hashes] = {}
    for document in documents:
        order.append(preference(document.quality, document.id))
        digests.append(text_digest(document.text))
        if near is not None and digests[-1] not in shingles:
            shingles[digests[-1]] = shingles_of(document.text, near.shingle)
    _refuse_equal_ids(order)
    first = _preferred_of_equals(order, digests)
    copies = {
        index: first[digest] for index, digest in enumerate(digests) if first[digest] != index
    }
    removed: dict[int, tuple[int, float]] = {}
    if near is not None:
        # Buckets take the digest in place of the id, as the form on disk does: same candidates.
        texts = sorted(first.values(), key=lambda index: (order[index][0], digests[index]))
        sets = [shingles[digests[index]] for index in texts]
        low, high, similarity = _similar(sets, near)
        numbers = np.array(texts, dtype=np.int64)
        removed = choose(order, numbers[low], numbers[high], similarity)
    return sorted(removals(order, copies, removed))


def _refuse_equal_ids(order: Sequence[Preference]) -> None:
    seen: set[str] = set()
    for _, id in order:
        if id in seen:
            raise DataError("two documents with one id", got=repr(id), allowed="each id once")
        seen.add(id)


def _preferred_of_equals(order: Sequence[Preference], digests: Sequence[bytes]) -> dict[bytes, int]:
    """The preferred document of each text."""
    first: dict[bytes, int] = {}
    for index in sorted(range(len(order)), key=order.__getitem__):
        first.setdefault(digests[index], index)
    return first


def _similar(shingles: Sequence[Hashes], near: Near) -> tuple[Numbers, Numbers, Similarities]:
    """Near duplicates among shingle sets that come with those of highest quality first."""
    numbers = np.arange(len(shingles))
    keys = np.array([band_keys(one, near) for one in shingles], dtype=np.uint64)
    found = (pairs for band in keys.T for pairs in bucket_pairs(band, numbers, near))
    pairs = unique(np.concatenate([np.empty(0, dtype=np.uint64), *found]))
    similarity = similarities(pairs, shingles, near.jaccard)
    enough = similarity >= near.jaccard
    return (*unpacked(pairs[enough]), similarity[enough])
