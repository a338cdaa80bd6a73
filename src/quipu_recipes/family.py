"""Our own small models: code and infilling, then long context, then Python with exercises.

    60m   50M matrix parameters, 755M tokens: 3e17 FLOPs, half an hour of one H200
    6m    for processors: fp32, short rows, a small vocabulary (give the corpus tokenizer=, the
          folder of an older 6m, or vocab=4096); code.start= goes on from older weights

The order differs from Code Llama's Python models, which get their context last: here the last
stage is the one in which the learning rate ends, and it shall end on what is asked of the model.
"""

from dataclasses import dataclass, replace

from quipu.config import SIZES, ModelConfig
from quipu.data.loading.mixture import Infilling, LoaderRecipe, Source
from quipu.errors import UsageError
from quipu.train.recipe import Chain, LearningRate, Optimisation, TrainRecipe

OTHERS = ("cpp", "java", "php", "typescript", "csharp", "bash")
# Half of the samples, half of those in each order, as is usual since StarCoder: 0.9, as Code Llama
# has it, infills no better and completes worse (DeepSeek-Coder). Three middles in four are what
# editors ask for, lines and stretches of syntax; others are any characters, so that words may be
# cut. With middles a hundred tokens long on average a small model is late to learn to end one.
INFILLING = Infilling(rate=0.5, spm=0.5, syntax=0.25, lines=0.5)
PYTHON = 0.20  # share of all tokens; code has what the stage of long context leaves


@dataclass(frozen=True, kw_only=True)
class Size:
    """What differs between the sizes."""

    model: ModelConfig
    tokens: int
    batch_tokens: int
    row_tokens: int
    long_tokens: int  # of a row in the stage of long context: what the model is made for
    long_share: float  # of all tokens, in that stage
    last_row_tokens: int  # in the stage after it
    optimisation: Optimisation
    dtype: str
    warmup_steps: int


FAMILY = {
    "60m": Size(
        model=SIZES["quipu-60m"],
        tokens=755_000_000,
        batch_tokens=2**18,
        row_tokens=1_024,
        long_tokens=16_384,
        long_share=0.03,
        last_row_tokens=16_384,
        # Muon is scaled to AdamW's updates: 0.02 on its author's scale, for matrices of this width,
        # is lr * 0.2 * sqrt(640), so 4e-3. 3e-3 is what OLMo's ladder has for AdamW.
        # The corpus is read several times: more decay than the usual 0.1 (arXiv 2509.14786).
        optimisation=Optimisation(matrix_lr=4e-3, other_lr=3e-3, weight_decay=0.2),
        dtype="bfloat16",
        warmup_steps=80,
    ),
    "6m": Size(
        model=replace(SIZES["quipu-6m"], context=512),
        tokens=12_000_000,  # two hours of two cores
        batch_tokens=8_192,  # in so short a run it is steps that are scarce
        row_tokens=512,
        long_tokens=16_384,
        long_share=0.10,  # 22 steps, a share of 0.03, made short Python 3 % worse
        last_row_tokens=4_096,  # a third of the time that the longest take
        optimisation=Optimisation(matrix_lr=4e-3, other_lr=2e-3),
        dtype="float32",  # many processors have no bf16
        warmup_steps=50,
    ),
}


def code(size: str = "60m", tokens: int = 0) -> TrainRecipe:
    """Code with infilling; `tokens` of the whole chain, 0 for the size's own."""
    how = _size(size)
    recipe = _stage(
        "code", how, _tokens(how, tokens, 1 - how.long_share - PYTHON, how.batch_tokens)
    )
    # The rate stays at its peak: the stages that follow bring it down.
    return replace(
        recipe, learning_rate=LearningRate(warmup_steps=how.warmup_steps, decay=0.1, floor=0.5)
    )


def long_context(size: str = "60m", tokens: int = 0, packages: float = 0.25) -> TrainRecipe:
    """Longer rows at theta 1e6: whole packages in import order, and single files as before.

    `packages` is the share of whole packages; rows of those alone made short code worse.
    """
    how = _size(size)
    batch_tokens = max(how.batch_tokens, how.long_tokens)
    recipe = _stage("long", how, _tokens(how, tokens, how.long_share, batch_tokens))
    files, *others = recipe.data.sources
    files, whole = _with_packages(files, packages)
    return replace(
        _longer(recipe, how),
        batch_tokens=batch_tokens,
        data=replace(
            recipe.data, sources=(whole, files, *others), row_tokens=how.long_tokens, seed=1
        ),
        optimisation=_slower(how, 0.5),  # where the code stage left it
        learning_rate=LearningRate(warmup_steps=5, decay=1.0, floor=0.6),
    )


def python(size: str = "60m", tokens: int = 0, packages: float = 0.10) -> TrainRecipe:
    """Python with exercises; `packages` is the share of whole packages."""
    how = _size(size)
    recipe = _stage("python", how, _tokens(how, tokens, PYTHON, how.batch_tokens))
    sources = (
        *_with_packages(Source(group="python", weight=0.60), packages),
        # Exercises are short and alike: 30 % is within what others found to help, not to overfit.
        Source(group="exercises", weight=0.30),
        Source(group="text", weight=0.07),
        Source(group="prose", weight=0.03),
    )
    return replace(
        _longer(recipe, how),
        data=replace(recipe.data, sources=sources, row_tokens=how.last_row_tokens, seed=2),
        optimisation=_slower(how, 0.3),
        learning_rate=LearningRate(warmup_steps=5, decay=1.0, floor=0.02),
    )


def chain(size: str = "60m", tokens: int = 0) -> Chain:
    """All stages."""
    stages = (code(size, tokens), long_context(size, tokens), python(size, tokens))
    return Chain(name=f"quipu-{size}", stages=stages)


def _stage(name: str, how: Size, tokens: int) -> TrainRecipe:
    assert how.dtype in ("bfloat16", "float32")
    return TrainRecipe(
        name=name,
        model=how.model,
        data=LoaderRecipe(
            sources=(
                Source(group="python", weight=0.85),
                *(Source(group=group, weight=round(0.05 / len(OTHERS), 6)) for group in OTHERS),
                Source(group="text", weight=0.08),
                Source(group="prose", weight=0.02),
            ),
            row_tokens=how.row_tokens,
            infilling=INFILLING,
        ),
        tokens=tokens,
        batch_tokens=how.batch_tokens,
        optimisation=how.optimisation,
        dtype="bfloat16" if how.dtype == "bfloat16" else "float32",
        products="plain" if how.dtype == "bfloat16" else "fixed",
        milestones=2,
    )


def _with_packages(files: Source, packages: float) -> tuple[Source, Source]:
    """Single files and, out of their share of tokens, whole packages."""
    share = files.weight
    assert share is not None
    if not 0 < packages < share:
        raise UsageError("packages", got=packages, allowed=f"between 0 and {share}")
    return (
        replace(files, weight=round(share - packages, 6)),
        replace(files, weight=packages, packages=True),
    )


def _longer(recipe: TrainRecipe, how: Size) -> TrainRecipe:
    return replace(recipe, model=replace(how.model, context=how.long_tokens, rope_theta=1e6))


def _slower(how: Size, factor: float) -> Optimisation:
    peak = how.optimisation
    return replace(peak, matrix_lr=peak.matrix_lr * factor, other_lr=peak.other_lr * factor)


def _tokens(how: Size, tokens: int, share: float, batch_tokens: int) -> int:
    steps = round((tokens or how.tokens) * share / batch_tokens)
    return max(1, steps) * batch_tokens


def _size(size: str) -> Size:
    if size not in FAMILY:
        raise UsageError("size", got=size, allowed=", ".join(FAMILY))
    return FAMILY[size]
