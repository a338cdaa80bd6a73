"""The whole recipe in miniature, on `quipu_recipes.corpus.tiny:tiny`: seconds a stage on one core.

It teaches a model hardly anything. It is there to try every stage with, and for the tests.
"""

from dataclasses import replace

from quipu.config import ModelConfig
from quipu.data.loading.mixture import (
    DialogueRecipe,
    Dialogues,
    Infilling,
    LoaderRecipe,
    Source,
)
from quipu.train.recipe import Chain, LearningRate, TrainRecipe

MODEL = ModelConfig(
    dim=64, layers=2, heads=2, kv_heads=2, ffn=192, vocab=1024, context=256, rope_theta=1e4,
    tied=True,
)  # fmt: skip


def code(steps: int = 60) -> TrainRecipe:
    """Code and infilling."""
    return TrainRecipe(
        name="code",
        model=MODEL,
        data=LoaderRecipe(
            sources=(Source(group="python", weight=0.95), Source(group="text", weight=0.05)),
            row_tokens=256,
            infilling=Infilling(rate=0.5, spm=0.5, syntax=0.5),
        ),
        tokens=steps * 2_048,
        batch_tokens=2_048,
        learning_rate=LearningRate(warmup_steps=5),
        dtype="float32",  # many processors have no bf16
        milestones=1,
    )


def long_context(steps: int = 8) -> TrainRecipe:
    """Rows four times as long, of whole packages, at another rotary base."""
    before = code()
    return replace(
        before,
        name="long",
        model=replace(MODEL, context=1_024, rope_theta=1e6),
        data=replace(
            before.data,
            sources=(Source(group="python", weight=1.0, packages=True),),
            row_tokens=1_024,
            seed=1,
        ),
        tokens=steps * 2_048,
        optimisation=replace(before.optimisation, matrix_lr=1e-3, other_lr=6e-4),
        learning_rate=LearningRate(warmup_steps=2),
    )


def python(steps: int = 15) -> TrainRecipe:
    """Python alone, at the longer context."""
    before = long_context()
    return replace(
        before,
        name="python",
        data=replace(
            before.data,
            sources=(Source(group="python", weight=1.0),),
            seed=2,
        ),
        tokens=steps * 2_048,
    )


def instruct(steps: int = 15) -> TrainRecipe:
    """Dialogues with some code; to follow the chain, give start=RUN/python."""
    before = python()
    return replace(
        before,
        name="instruct",
        data=DialogueRecipe(
            dialogues=(Dialogues(weight=0.9),),
            sources=(Source(group="python", weight=0.1),),
            row_tokens=before.data.row_tokens,
            infilling=before.data.infilling,
            seed=3,
        ),
        tokens=steps * 2_048,
    )


def chain(share: float = 1.0) -> Chain:
    """All stages that need nothing but a corpus; `share` of their steps."""
    stages = (code(round(60 * share)), long_context(round(8 * share)), python(round(15 * share)))
    return Chain(name="tiny", stages=stages)
