"""Rows of token shards: a pure function of (shards, recipe, row number)."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from quipu.data.loading import identity
from quipu.data.loading.axis import Axis
from quipu.data.loading.facts import Facts
from quipu.data.loading.infilling import Arranger, Sample, Slice
from quipu.data.loading.mixed import Mixed
from quipu.data.loading.mixture import LoaderRecipe, Source
from quipu.data.loading.parts import Costs, cut
from quipu.data.loading.plan import BLOCK_ROWS, Plan, Stretch
from quipu.data.loading.row import NO_TARGET, Row
from quipu.data.tokens.reading import TokenShards
from quipu.errors import DataError
from quipu.text.tokenizer import Tokenizer

# What a file takes besides its tokens, and what is kept free once for all files of a row: both
# ends, and what the dummy space adds where a part continues a file; or the five specials of
# infilling, and what cuts through tokens add: 1.5 on average, in 99.9 % of samples at most 6.
PLAIN_OVERHEAD, PLAIN_SPARE = 2, 2
INFILLING_OVERHEAD, INFILLING_SPARE = 7, 4


class Loader(Mixed):
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
        super().__init__(
            tokenizer,
            recipe.sources,
            streams(shards, tokenizer, recipe, block_rows=block_rows),
            seed=recipe.seed,
            identity=identity.of_mixture(recipe, tokenizer) | identity.of_shards(shards, recipe),
        )
        self.recipe = recipe


def streams(
    shards: TokenShards,
    tokenizer: Tokenizer,
    recipe: LoaderRecipe,
    *,
    block_rows: int = BLOCK_ROWS,
) -> "list[Stream]":
    """A stream for each source of a recipe. Raises DataError as `Loader` does."""
    if tokenizer.fingerprint != shards.manifest.tokenizer_fingerprint:
        raise DataError(
            "shards were written with another tokenizer",
            got=f"fingerprint {tokenizer.fingerprint[:16]}",
            allowed=shards.manifest.tokenizer_fingerprint[:16],
            remedy="use the tokenizer.model that lies beside the shards",
        )
    facts = Facts(tokenizer)
    arranger = Arranger(tokenizer, facts, recipe.infilling, recipe.seed)
    shared = (recipe, facts, arranger, block_rows)
    return [Stream(shards, source, *shared) for source in recipe.sources]


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

    @property
    def epoch_rows(self) -> int:
        """Rows that one epoch of the source fills."""
        return self.plan.epoch_rows

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
