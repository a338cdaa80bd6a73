"""Small token shards written by hand, for tests of what reads them (docs/formats.md)."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from quipu.data.tokens.reading import TokenShards
from quipu.text.tokenizer import Tokenizer


@dataclass
class Text:
    """A document: its text, its package, and byte ranges of its syntax."""

    text: str
    package: int = 0
    spans: Sequence[tuple[int, int]] = field(default_factory=tuple)


def write(
    folder: Path,
    tokenizer: Tokenizer,
    groups: Mapping[str, Sequence[Text]],
    *,
    dropped: Sequence[int] = (),
    shard_documents: int = 7,
) -> TokenShards:
    """Shards of so many documents each; documents are numbered through, from 100 on."""
    number, listed = 100, {}
    folder.mkdir(parents=True, exist_ok=True)
    for group, texts in groups.items():
        shards = []
        for place, first in enumerate(range(0, len(texts), shard_documents)):
            chosen = texts[first : first + shard_documents]
            name = f"{group}-{place:05}"
            shards.append(_shard(folder, name, tokenizer, chosen, number))
            number += len(chosen)
        listed[group] = {
            "tokens": sum(shard["tokens"] for shard in shards),
            "documents": len(texts),
            "shards": shards,
        }
    manifest = {
        "format": 1,
        "dtype": "uint16",
        "vocab": tokenizer.vocab,
        "tokenizer_fingerprint": tokenizer.fingerprint,
        "groups": listed,
        "licences": {},
        "dropped": list(dropped),
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return TokenShards.open(folder)


def _shard(folder, name, tokenizer, texts, number):
    ids = [tokenizer.encode(text.text) for text in texts]
    arrays = {
        "tokens": np.array([i for document in ids for i in document], dtype="<u2"),
        "offsets": np.cumsum([0, *map(len, ids)], dtype="<i8"),
        "documents": np.arange(number, number + len(texts), dtype="<i4"),
        "packages": np.array([text.package for text in texts], dtype="<i4"),
        "spans": np.array([span for text in texts for span in text.spans], dtype="<i4"),
        "span_offsets": np.cumsum([0, *(len(text.spans) for text in texts)], dtype="<i8"),
    }
    for suffix, array in arrays.items():
        (folder / f"{name}.{suffix}").write_bytes(array.tobytes())
    hashes = {s: hashlib.sha256(array.tobytes()).hexdigest() for s, array in arrays.items()}
    return {
        "name": name,
        "tokens": sum(map(len, ids)),
        "documents": len(texts),
        "sha256": hashes,
    }
