"""Rows of dialogues: a pure function of (files, tokenizer, recipe, row number).

A file holds one dialogue a line, {"messages": [{"role": ..., "content": ...}, ...]}, in the order
that `quipu.text.chat` wants, an answer last; other keys stand for themselves. That module alone
says which ids a dialogue becomes and which of them are trained: answers, and what ends each.

Several dialogues share a row, each a document of its own. Which ones is decided once, for all
epochs, since they do not see each other; the order of the rows is each epoch's own.
"""

import bisect
import hashlib
import json
import zlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from quipu.data.loading import draws, identity
from quipu.data.loading.infilling import Sample
from quipu.data.loading.mixed import Mixed, RowStream
from quipu.data.loading.mixture import DialogueRecipe, Dialogues, LoaderRecipe
from quipu.data.loading.plan import BLOCK_ROWS
from quipu.data.loading.row import NO_TARGET, Row
from quipu.data.loading.rows import laid, streams
from quipu.data.tokens.reading import TokenShards
from quipu.errors import DataError, UsageError
from quipu.text import chat
from quipu.text.chat import Message, Role
from quipu.text.tokenizer import Tokenizer

FOLDER = "dialogues"  # of a corpus
SUFFIX = ".jsonl"
ORDER = "1"  # raised whenever the same recipe and dialogues give other rows than before
_SHAPE = '{"messages": [{"role": "system", "user" or "assistant", "content": text}, ...]}'


def folder_of(corpus: Path) -> Path:
    """Where a corpus has its dialogues; it may also be named by its token shards."""
    beside = corpus.parent if corpus.name == "tokens" else corpus
    return beside / FOLDER


class DialogueLoader(Mixed):
    """Rows of dialogues and of token shards as a recipe wants them. Opening encodes dialogues."""

    def __init__(
        self,
        folder: Path,
        tokenizer: Tokenizer,
        recipe: DialogueRecipe,
        shards: TokenShards | None = None,
        *,
        block_rows: int = BLOCK_ROWS,
    ) -> None:
        """`shards` may be left out if the recipe has no sources.

        Raises DataError for dialogues that are missing or wrong, AbilityError if the vocabulary
        cannot end an answer, and what `Loader` raises for the shards.
        """
        chat.stop_ids(tokenizer, recipe.format)
        spoken = [DialogueStream(folder, tokenizer, source, recipe) for source in recipe.dialogues]
        mixed: list[RowStream] = list(spoken)
        told = identity.of_mixture(recipe, tokenizer) | {
            "dialogue order": ORDER,
            "chat format": recipe.format,
        }
        for source, stream in zip(recipe.dialogues, spoken, strict=True):
            told |= {f"source {source.name}": repr(source), source.name: stream.described}
        if recipe.sources:
            assert shards is not None
            others = LoaderRecipe(
                sources=recipe.sources,
                row_tokens=recipe.row_tokens,
                infilling=recipe.infilling,
                seed=recipe.seed,
            )
            mixed += streams(shards, tokenizer, others, block_rows=block_rows)
            told |= identity.of_shards(shards, others)
        super().__init__(
            tokenizer,
            [*recipe.dialogues, *recipe.sources],
            mixed,
            seed=recipe.seed,
            identity=told,
        )
        self.recipe = recipe


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """D dialogues as token ids, end to end."""

    ids: npt.NDArray[np.int32]
    trained: npt.NDArray[np.bool_]  # of each id
    bounds: npt.NDArray[np.int64]  # [D + 1] into both
    cut: int  # of them end with an earlier answer, so that they fit a row
    skipped: int  # dialogues whose first answer does not fit

    @property
    def fingerprint(self) -> str:
        """Hash of all of it."""
        digest = hashlib.sha256()
        for values in (self.ids, self.trained, self.bounds):
            digest.update(np.ascontiguousarray(values).data)
        return digest.hexdigest()[:16]


class DialogueStream:
    """Rows of the dialogues of some files."""

    def __init__(
        self, folder: Path, tokenizer: Tokenizer, source: Dialogues, recipe: DialogueRecipe
    ) -> None:
        """Raises DataError if there are none, or one is wrong."""
        self._row_tokens = recipe.row_tokens
        self.encoded = encoded(_files(folder, source), tokenizer, recipe)
        self._key = (recipe.seed, zlib.crc32(source.name.encode()))
        lengths = np.diff(self.encoded.bounds)
        self.packed = packed(lengths, recipe.row_tokens, self._key)
        if not self.packed:
            raise DataError(
                f"{source.name} in {folder}",
                got=f"{self.encoded.skipped} whose first answer ends beyond a row"
                if self.encoded.skipped
                else "empty files",
                allowed=f"dialogues of up to {recipe.row_tokens} tokens",
                remedy="use longer rows (data.row_tokens), or other dialogues",
            )
        self._order = lru_cache(maxsize=1)(self._new_order)

    @property
    def epoch_rows(self) -> int:
        """Rows that hold each dialogue once."""
        return len(self.packed)

    @property
    def described(self) -> str:
        """What there is, in words."""
        found = self.encoded
        return (
            f"{len(found.bounds) - 1} dialogues of {len(found.ids)} tokens in {self.epoch_rows} "
            f"rows, {found.cut} cut after an answer to fit, {found.skipped} skipped as too long, "
            f"{found.fingerprint}"
        )

    def row(self, index: int) -> Row:
        """Row number `index` of the source, through all epochs."""
        epoch, place = divmod(index, self.epoch_rows)
        found = self.encoded
        parts = [
            slice(found.bounds[number], found.bounds[number + 1])
            for number in self.packed[self._order(epoch)[place]]
        ]
        samples = [[Sample("plain", [found.ids[part]])] for part in parts]
        row = laid(samples, self._row_tokens, joined=False)
        trained = np.concatenate([found.trained[part] for part in parts])
        row.targets_T[: len(trained) - 1][~trained[1:]] = NO_TARGET
        return row

    def _new_order(self, epoch: int) -> npt.NDArray[np.int64]:
        return draws.permutation(self.epoch_rows, *self._key, epoch)


def _files(folder: Path, source: Dialogues) -> list[Path]:
    found = sorted(path for path in folder.glob(source.files + SUFFIX) if path.is_file())
    if not found:
        present = sorted(path.name for path in folder.glob(f"*{SUFFIX}"))
        raise DataError(
            f"no {source.files}{SUFFIX} in {folder}",
            got=", ".join(present[:10]) or "no dialogues",
            allowed=f"JSON lines of {_SHAPE}",
            remedy=f"put dialogues into the corpus' folder {FOLDER}, beside its tokens",
        )
    return found


def encoded(files: Sequence[Path], tokenizer: Tokenizer, recipe: DialogueRecipe) -> Encoded:
    """Token ids of the dialogues of files, in their order, none longer than a row.

    Raises DataError that names the file and the line of a dialogue that cannot be used.
    """
    ids, trained, bounds = array("i"), bytearray(), array("q", [0])
    cut = skipped = 0
    for path in files:
        for number, messages in _dialogues(path):
            try:
                found = fitted(tokenizer, messages, recipe)
            except UsageError as error:  # order, tags, what cannot be encoded
                raise DataError(
                    f"{path} line {number}: {error}", remedy="mend or delete that line"
                ) from error
            if found is None:
                skipped += 1
                continue
            count, tokens, marks = found
            cut += count < len(messages)
            ids.extend(tokens)
            trained.extend(marks)
            bounds.append(len(ids))
    return Encoded(
        ids=np.frombuffer(ids, dtype=np.int32) if ids else np.zeros(0, np.int32),
        trained=np.frombuffer(trained, dtype=np.bool_) if ids else np.zeros(0, np.bool_),
        bounds=np.frombuffer(bounds, dtype=np.int64),
        cut=cut,
        skipped=skipped,
    )


def fitted(
    tokenizer: Tokenizer, messages: Sequence[Message], recipe: DialogueRecipe
) -> tuple[int, list[int], list[bool]] | None:
    """As many messages as fit a row and end with an answer, their ids, and which are trained.

    None if not even the first answer fits. Raises UsageError for what is no dialogue.
    """

    def document(count: int) -> tuple[list[int], list[bool]]:
        return chat.document(tokenizer, messages[:count], recipe.format)

    ids, trained = document(len(messages))
    if len(ids) <= recipe.row_tokens:
        return len(messages), ids, trained
    ends = [place for place, message in enumerate(messages, 1) if message.role == "assistant"]
    fit = bisect.bisect_right(ends, recipe.row_tokens, key=lambda end: len(document(end)[0]))
    return (ends[fit - 1], *document(ends[fit - 1])) if fit else None


def packed(lengths: npt.NDArray[np.int64], room: int, key: Sequence[int]) -> list[list[int]]:
    """Numbers of the dialogues of each row: best fit, longest first, equals in a keyed order."""
    mixed = draws.permutation(len(lengths), *key) if len(lengths) else lengths
    rows: list[list[int]] = []
    with_left: dict[int, list[int]] = {}  # rows by the room they have left
    lefts: list[int] = []  # rooms that there are, sorted
    for number in mixed[np.argsort(-lengths[mixed], kind="stable")].tolist():
        length = int(lengths[number])
        place = bisect.bisect_left(lefts, length)
        if place == len(lefts):
            row, left = len(rows), room
            rows.append([])
        else:
            left = lefts[place]
            row = with_left[left].pop()
            if not with_left[left]:
                lefts.pop(place)
        rows[row].append(number)
        left -= length
        if not with_left.get(left):
            bisect.insort(lefts, left)
        with_left.setdefault(left, []).append(row)
    return rows


def _dialogues(path: Path) -> Iterator[tuple[int, list[Message]]]:
    """Line numbers and messages of a file."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, _messages(line, f"{path} line {number}")
    except OSError as error:
        raise DataError(f"{path} cannot be read", got=error.strerror) from error


def _messages(line: bytes, where: str) -> list[Message]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:  # no UTF-8 either
        raise _wrong(where, f"no JSON ({error})") from error
    listed = found.get("messages") if isinstance(found, dict) else None
    if not isinstance(listed, list) or not listed:
        raise _wrong(where, "no messages" if isinstance(found, dict) else _short(found))
    return [
        _message(message, f"{where}, message {place}") for place, message in enumerate(listed, 1)
    ]


def _message(found: Any, where: str) -> Message:
    if not isinstance(found, dict) or not isinstance(found.get("content"), str):
        raise _wrong(where, _short(found))
    content = found["content"]
    role = next((role for role in get_args(Role) if role == found.get("role")), None)
    if role is None:
        raise _wrong(where, f"role {_short(found.get('role'))}")
    if role != "system" and not content.strip():
        raise _wrong(where, f"an empty content of {role}")
    return Message(role=role, content=content)


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def _wrong(where: str, got: str) -> DataError:
    return DataError(where, got=got, allowed=_SHAPE, remedy="mend or delete that line")
