"""Fine-tuning: a corpus that is read first decides the mixture and the length of the run on it."""

from dataclasses import dataclass, replace

from quipu.config import ModelConfig
from quipu.data.corpus.recipe import CorpusRecipe
from quipu.data.loading.mixture import Infilling, LoaderRecipe, Source
from quipu.data.loading.rows import Loader
from quipu.data.tokens.reading import TokenShards
from quipu.text.tokenizer import Tokenizer
from quipu.train.held_out import PREFIX
from quipu.train.recipe import LearningRate, Lora, Optimisation, TrainRecipe

LEAST_STEPS = 20  # of a run, where the text is enough for as many rows


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """A model, and a corpus that it is trained on further, in the model's own tokens.

    Groups of the corpus are mixed by their size; all text is seen `epochs` times. Where there is
    little of it batches are smaller than `batch_tokens`, so that there are LEAST_STEPS steps.
    """

    name: str
    start: str  # a run folder, or any checkpoint that can be opened
    model: ModelConfig
    corpus: CorpusRecipe
    row_tokens: int
    epochs: float
    optimisation: Optimisation
    batch_tokens: int = 16_384
    infilling: Infilling = Infilling()
    learning_rate: LearningRate = LearningRate(kind="cosine", warmup_steps=20, floor=0.1)
    lora: Lora | None = None
    dtype: str = "float32"
    seed: int = 1

    def recipe(self, shards: TokenShards) -> TrainRecipe:
        """The run on these shards. Raises UsageError if they do not fill a row."""
        wanted = [
            name
            for name in shards.groups
            if not name.startswith(PREFIX) and shards.group(name).lengths.any()
        ]
        data = LoaderRecipe(
            sources=tuple(Source(group=name, epochs=self.epochs) for name in wanted),
            row_tokens=self.row_tokens,
            infilling=self.infilling,
            seed=self.seed,
        )
        rows = Loader(shards, Tokenizer.load(shards.folder), data).rows_total
        assert rows, "a loader refuses a mixture of less than one row"
        at_once = max(1, min(self.batch_tokens // self.row_tokens, rows // LEAST_STEPS))
        steps = rows // at_once
        warmup = min(self.learning_rate.warmup_steps, max(1, steps // 10))
        return TrainRecipe(
            name=self.name,
            start=self.start,
            model=self.model,
            data=data,
            tokens=steps * at_once * self.row_tokens,
            batch_tokens=at_once * self.row_tokens,
            optimisation=self.optimisation,
            learning_rate=replace(self.learning_rate, warmup_steps=warmup),
            lora=self.lora,
            dtype="bfloat16" if self.dtype == "bfloat16" else "float32",
            products="plain" if self.dtype == "bfloat16" else "fixed",
            milestones=1,
            seed=self.seed,
        )
