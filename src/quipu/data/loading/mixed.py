"""Rows of a run, mixed of several streams by a schedule: a loader's state is one number.

Any loader of the same identity gives the same row for the same number, whatever it gave before, on
however many machines: rank r of W takes rows r, r + W, ... of each batch.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Protocol

import numpy as np

from quipu.data.loading import identity
from quipu.data.loading.mixture import Schedule, Weighed
from quipu.data.loading.row import Row
from quipu.errors import UsageError
from quipu.text.tokenizer import Tokenizer


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


class RowStream(Protocol):
    """Rows of one source, through all epochs."""

    @property
    def epoch_rows(self) -> int:
        """Rows that one epoch fills."""

    def row(self, index: int) -> Row:
        """Row number `index`, counted from the first epoch on."""


class Mixed:
    """Rows of streams, one for each source."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        sources: Sequence[Weighed],
        streams: Sequence[RowStream],
        *,
        seed: int,
        identity: dict[str, str],
    ) -> None:
        """Raises UsageError if a source has no text but is weighed, or none has."""
        self.tokenizer, self.identity = tokenizer, identity
        self._streams = list(streams)
        for source, rows in zip(sources, self.epoch_rows, strict=True):
            _refuse_nothing(source, rows)
        if not any(self.epoch_rows):
            _refuse_nothing(sources[0], 0, wanted=True)
        self._schedule = Schedule(sources, self.epoch_rows, seed)

    @property
    def epoch_rows(self) -> list[int]:
        """Rows that one epoch of each source fills."""
        return [stream.epoch_rows for stream in self._streams]

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


def _refuse_nothing(source: Weighed, rows: int, *, wanted: bool = False) -> None:
    """A source without text must not be weighed, and cannot be all that is wanted."""
    if not rows and (wanted or (source.weight and source.epochs != 0)):
        raise UsageError(
            f"source {source.name} has no text",
            got="no documents that are kept",
            allowed="a group with tokens, or weight 0",
        )
