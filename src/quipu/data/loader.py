"""Training batches as a pure function of (seed, step): the loader's state is the step number."""

from collections.abc import Sequence

import numpy as np

from quipu.data.packing import Infilling, Part, Row, generator, pack, sample
from quipu.text.tokenizer import Tokenizer


class Loader:
    """Rows of shuffled, infilled and packed parts, epoch after epoch.

    Each epoch shuffles and cuts anew. An epoch is prepared when first asked for and kept until
    another one is.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        tokenizer: Tokenizer,
        *,
        row_tokens: int,
        batch_rows: int,
        infilling: Infilling,
        seed: int,
    ) -> None:
        assert parts
        self.parts = parts
        self.tokenizer = tokenizer
        self.row_tokens = row_tokens
        self.batch_rows = batch_rows
        self.infilling = infilling
        self.seed = seed
        self._row_counts: list[int] = []  # of the epochs seen so far
        self._epoch: tuple[int, list[Row]] | None = None

    def rows(self, epoch: int) -> list[Row]:
        """All rows of an epoch, in training order."""
        if self._epoch is None or self._epoch[0] != epoch:
            order = generator(self.seed, epoch, "order").permutation(len(self.parts))
            key = (self.seed, epoch)
            samples = (
                sample(self.tokenizer, self.parts[i], self.infilling, key, self.row_tokens)
                for i in order
            )
            rows = list(pack(samples, self.row_tokens))
            # Rows close in order of fullness; shuffle so that a batch is no sample of one length.
            mixed = generator(self.seed, epoch, "rows").permutation(len(rows))
            self._epoch = (epoch, [rows[i] for i in mixed])
        return self._epoch[1]

    def batch(self, step: int) -> Row:
        """The rows of one optimiser step laid end to end: [batch_rows * row_tokens]."""
        wanted = range(step * self.batch_rows, (step + 1) * self.batch_rows)
        chosen = [self._row(number) for number in wanted]
        return Row(
            tokens_T=np.concatenate([r.tokens_T for r in chosen]),
            targets_T=np.concatenate([r.targets_T for r in chosen]),
            positions_T=np.concatenate([r.positions_T for r in chosen]),
            document_T=np.concatenate([r.document_T for r in chosen]),
        )

    def _row(self, number: int) -> Row:
        epoch = 0
        while True:
            if epoch == len(self._row_counts):
                self._row_counts.append(len(self.rows(epoch)))
            if number < self._row_counts[epoch]:
                return self.rows(epoch)[number]
            number -= self._row_counts[epoch]
            epoch += 1
