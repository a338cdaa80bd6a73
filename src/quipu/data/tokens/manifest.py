"""The manifest of a folder of token shards: what is there, what it hashes to, what was dropped."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from quipu.data.tokens.writing import ShardRecord, token_type, write_whole
from quipu.errors import DataError, TokenizerError
from quipu.text.tokenizer import FILE_NAMES

MANIFEST = "manifest.json"
TOKENIZER = "tokenizer.model"
# What may lie beside it, or instead of it; the last three only go where the model goes.
TOKENIZER_FILES = (
    *FILE_NAMES,
    "special_tokens_map.json",
    "chat_template.jinja",
    "generation_config.json",
)
FORMAT = 1
_BLOCK = 2**20


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Groups of shards, each group in the order in which its shards were given."""

    vocab: int
    tokenizer_fingerprint: str
    groups: Mapping[str, tuple[ShardRecord, ...]]
    licences: Mapping[str, int]  # documents by licence, the dropped ones among them
    dropped: tuple[int, ...] = ()  # document numbers, sorted
    vocabulary: Mapping[str, Any] | None = None  # what it was trained on, where that is known

    def write(self, folder: Path) -> None:
        """Put the manifest in place, replacing another as a whole."""
        parsed = {
            "format": FORMAT,
            "dtype": _type_name(self.vocab),
            "vocab": self.vocab,
            "tokenizer_fingerprint": self.tokenizer_fingerprint,
            "groups": {name: _group(shards) for name, shards in sorted(self.groups.items())},
            "licences": dict(sorted(self.licences.items())),
            "dropped": list(self.dropped),
        }
        if self.vocabulary is not None:
            parsed["vocabulary"] = self.vocabulary
        write_whole(folder / MANIFEST, json.dumps(parsed, indent=1, ensure_ascii=False) + "\n")

    @staticmethod
    def read(folder: Path) -> "Manifest":
        """Read the manifest of a folder. Raises DataError if there is none, or of another kind."""
        path = folder / MANIFEST
        try:
            parsed = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(
                f"{path} cannot be read",
                got=getattr(error, "strerror", None) or error,
                allowed="the manifest of token shards",
                remedy="write the shards first, or name the folder that holds them",
            ) from error
        try:
            return _parse(parsed)
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{path} is no manifest of token shards",
                got=f"an unexpected shape ({error!r})",
                allowed=f"format {FORMAT}",
                remedy="write the shards again",
            ) from error

    def drop(self, folder: Path, numbers: Iterable[int]) -> "Manifest":
        """Add documents to the drop table, and write the manifest."""
        changed = replace(self, dropped=tuple(sorted({*self.dropped, *map(int, numbers)})))
        changed.write(folder)
        return changed


def assemble(
    groups: Mapping[str, Sequence[ShardRecord]],
    *,
    vocab: int,
    fingerprint: str,
    vocabulary: Mapping[str, Any] | None = None,
    dropped: Iterable[int] = (),
) -> Manifest:
    """The manifest of shards that were written."""
    licences: Counter[str] = Counter()
    for shards in groups.values():
        for shard in shards:
            licences.update(shard.licences)
    return Manifest(
        vocab=vocab,
        tokenizer_fingerprint=fingerprint,
        groups={name: tuple(shards) for name, shards in groups.items()},
        licences=licences,
        vocabulary=vocabulary,
        dropped=tuple(sorted({*map(int, dropped)})),
    )


def tokenizer_files(folder: Path) -> list[Path]:
    """Files of the tokenizer in a folder. Raises TokenizerError if there is none."""
    found = [folder / name for name in TOKENIZER_FILES if (folder / name).is_file()]
    if not any(path.name in (TOKENIZER, "tokenizer.json") for path in found):
        raise TokenizerError(
            f"{folder} has no tokenizer", allowed="a folder with tokenizer.model or tokenizer.json"
        )
    return found


def sha256_of(path: Path) -> str:
    """Hash of a file's bytes, in constant memory."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _group(shards: Sequence[ShardRecord]) -> dict[str, object]:
    return {
        "tokens": sum(shard.tokens for shard in shards),
        "documents": sum(shard.documents for shard in shards),
        "shards": [shard.json() for shard in shards],
    }


def _type_name(vocab: int) -> str:
    return f"uint{8 * token_type(vocab).itemsize}"


def _parse(parsed: Mapping[str, Any]) -> Manifest:
    if parsed["format"] != FORMAT:
        raise KeyError(f"format {parsed['format']!r}")
    if parsed["dtype"] != _type_name(parsed["vocab"]):
        raise KeyError(f"dtype {parsed['dtype']!r} for {parsed['vocab']} pieces")
    return Manifest(
        vocab=parsed["vocab"],
        tokenizer_fingerprint=parsed["tokenizer_fingerprint"],
        groups={
            name: tuple(ShardRecord(**shard, licences={}) for shard in group["shards"])
            for name, group in parsed["groups"].items()
        },
        licences=parsed["licences"],
        dropped=tuple(parsed["dropped"]),
        vocabulary=parsed.get("vocabulary"),
    )
