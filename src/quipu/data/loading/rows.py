"""Rows of a run as a pure function of (shards, recipe, row number): a loader's state is one number.

Any loader of the same identity gives the same row for the same number, whatever it gave before, on
however many machines: rank r of W takes rows r, r + W, ... of each batch.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property, partial
from typing import Protocol

import numpy as np

from quipu.data.loading import identity
from quipu.data.loading.axis import Axis
from quipu.data.loading.facts import Facts
from quipu.data.loading.infilling import Arranger, Sample, Slice
from quipu.data.loading.mixture import LoaderRecipe, Schedule, Source
from quipu.data.loading.parts import Costs, cut
from quipu.data.loading.plan import BLOCK_ROWS, Plan, Stretch
from quipu.data.packing import NO_TARGET, Row
from quipu.data.tokens.reading import TokenShards
from quipu.errors import DataError, UsageError
from quipu.text.tokenizer import Tokenizer

# What a file takes besides its tokens, and what is kept free once for all files of a row: both
# ends, and what the dummy space adds where a part continues a file; or the five specials of
# infilling, and what cuts through tokens add: 1.5 on average, in 99.9 % of samples at most 6.
PLAIN_OVERHEAD, PLAIN_SPARE = 2, 2
INFILLING_OVERHEAD, INFILLING_SPARE = 7, 4


class Rows(Protocol):
    """What a run trains on: rows by their number, and in words what they depend on."""

    identity: dict[str, str]
    tokenizer: Tokenizer

    @property
    def rows_total(self) -> int | None:
        """Rows until a source would exceed its epochs; None without end."""

    def check(self, saved: Mapping[str, str]) -> None:
        """Raises DataError with the differences if `saved` is not this identity."""

    def row(self, index: int) -> Row:
        """Row number `index` of the run."""

    def batch(self, step: int, batch_rows: int, rank: int = 0, world: int = 1) -> Row:
        """A rank's rows of one optimiser step end to end."""


class Loader:
    """Rows of shards as a recipe wants them. Opening reads lengths, and cuts long documents."""

    def __init__(
        self,
        shards: TokenShards,
        tokenizer: Tokenizer,
        recipe: LoaderRecipe,
        *,
        block_rows: int = BLOCK_ROWS,
    ) -> None:
        """Raises DataError for a missing group or another tokenizer, UsageError for no text."""
        if tokenizer.fingerprint != shards.manifest.tokenizer_fingerprint:
            raise DataError(
                "shards were written with another tokenizer",
                got=f"fingerprint {tokenizer.fingerprint[:16]}",
                allowed=shards.manifest.tokenizer_fingerprint[:16],
                remedy="use the tokenizer.model that lies beside the shards",
            )
        self.recipe, self.tokenizer = recipe, tokenizer
        facts = Facts(tokenizer)
        arranger = Arranger(tokenizer, facts, recipe.infilling, recipe.seed)
        self._streams = [
            Stream(shards, source, recipe, facts, arranger, block_rows) for source in recipe.sources
        ]
        for source, rows in zip(recipe.sources, self.epoch_rows, strict=True):
            _refuse_nothing(source, rows)
        if not any(self.epoch_rows):
            _refuse_nothing(recipe.sources[0], 0, wanted=True)
        self._schedule = Schedule(recipe.sources, self.epoch_rows, recipe.seed)
        self.identity = identity.identity(shards, recipe)

    @property
    def epoch_rows(self) -> list[int]:
        """Rows that one epoch of each source fills."""
        return [stream.plan.epoch_rows for stream in self._streams]

    @cached_property
    def rows_total(self) -> int | None:
        """Rows until a source would exceed its epochs; None without end."""
        return self._schedule.rows_total

    @cached_property
    def fingerprint(self) -> str:
        """Hash of `identity`: loaders with the same one give the same rows."""
        return identity.fingerprint(self.identity)

    def check(self, saved: Mapping[str, str]) -> None:
        """Raises DataError with the differences if `saved` is not this loader's identity."""
        identity.check(saved, self.identity)

    def row(self, index: int) -> Row:
        """Row number `index` of the run. Raises UsageError beyond `rows_total`."""
        if index < 0 or (self.rows_total is not None and index >= self.rows_total):
            raise UsageError(
                "the run has no such row",
                got=index,
                allowed=f"0 to {(self.rows_total or 0) - 1}" if self.rows_total else "0 or more",
                remedy="give the sources more epochs",
            )
        source, row = self._schedule.at(index)
        return self._streams[source].row(row)

    def batch(self, step: int, batch_rows: int, rank: int = 0, world: int = 1) -> Row:
        """A rank's rows of one optimiser step end to end: [batch_rows / world * row_tokens].

        Documents are numbered anew in each row, as in each row alone.
        """
        if batch_rows < 1 or batch_rows % world or not 0 <= rank < world:
            raise UsageError(
                "rows of a batch cannot be shared out",
                got=f"{batch_rows} rows, rank {rank} of {world}",
                allowed="a multiple of the ranks, ranks from 0",
            )
        first = step * batch_rows
        chosen = [self.row(first + place) for place in range(rank, batch_rows, world)]
        return Row(
            tokens_T=np.concatenate([row.tokens_T for row in chosen]),
            targets_T=np.concatenate([row.targets_T for row in chosen]),
            positions_T=np.concatenate([row.positions_T for row in chosen]),
            document_T=np.concatenate([row.document_T for row in chosen]),
        )


def _refuse_nothing(source: Source, rows: int, *, wanted: bool = False) -> None:
    """A group without text must not be weighed, and cannot be all that is wanted."""
    if not rows and (wanted or (source.weight and source.epochs != 0)):
        raise UsageError(
            f"source {source.name} has no text",
            got="no documents that are kept",
            allowed="a group with tokens, or weight 0",
        )


class Stream:
    """Rows of one source."""

    def __init__(
        self,
        shards: TokenShards,
        source: Source,
        recipe: LoaderRecipe,
        facts: Facts,
        arranger: Arranger,
        block_rows: int,
    ) -> None:
        self._joined = source.packages and source.joined
        self._arranger = arranger
        self._row_tokens = recipe.row_tokens
        self.axis = Axis(shards.group(source.group), packages=source.packages)
        infills = recipe.infilling.rate > 0
        costs = Costs(self.axis, INFILLING_OVERHEAD if infills else PLAIN_OVERHEAD)
        room = recipe.row_tokens - (INFILLING_SPARE if infills else PLAIN_SPARE)
        self.plan = Plan(
            self.axis,
            facts,
            cut(self.axis, facts, costs, room),
            costs=costs,
            room=room,
            key=(recipe.seed, source.name),
            block_rows=block_rows,
        )

    def row(self, index: int) -> Row:
        """Row number `index` of the source, through all epochs."""
        epoch, stretches = self.plan.at(index)
        if not stretches:  # fewer tokens than rows
            return laid([], self._row_tokens, self._joined)
        found = [list(self.slices(stretch)) for stretch in stretches]
        flat = [source for slices in found for source in slices]
        samples = iter(self._arranger.samples(flat, epoch, self._row_tokens))
        return laid(
            [[next(samples) for _ in slices] for slices in found], self._row_tokens, self._joined
        )

    def slices(self, stretch: Stretch) -> Iterator[Slice]:
        """Documents of a stretch."""
        for document, start, stop in self.axis.files(*stretch):
            yield Slice(
                ids=self.axis.ids(document, start, stop),
                number=int(self.axis.numbers[document]),
                start=start,
                ends=stop == self.axis.length(document),
                before=partial(self.axis.ids, document, 0, start),
                spans=partial(self.axis.spans, document),
            )


def laid(stretches: list[list[Sample]], row_tokens: int, joined: bool) -> Row:
    """Lay samples end to end and pad; what follows the last token of a sample is no target.

    Samples of one stretch are one document if `joined`.
    """
    tokens_T, targets_T, positions_T, document_T = np.zeros((4, row_tokens), dtype=np.int64)
    document_T[:] = -1
    last: list[int] = []
    first = end = number = 0
    for samples in stretches:
        for sample in samples:
            for piece in sample.pieces:
                tokens_T[end : end + len(piece)] = piece
                end += len(piece)
            last.append(end - 1)
            if not joined or sample is samples[-1]:
                positions_T[first:end] = np.arange(end - first)
                document_T[first:end] = number
                first, number = end, number + 1
    targets_T[: max(end - 1, 0)] = tokens_T[1:end]
    targets_T[last] = NO_TARGET
    targets_T[end:] = NO_TARGET
    return Row(
        tokens_T=tokens_T, targets_T=targets_T, positions_T=positions_T, document_T=document_T
    )
