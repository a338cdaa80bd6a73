"""Code Llama's stages with the paper's numbers (arXiv 2308.12950), for 7b, 13b, 34b and 70b.

Sections and tables named in comments are the paper's. Where it is silent or contradicts itself, the
choice stands beside the value with its reason.
"""

from dataclasses import replace

from quipu.config import SIZES, ModelConfig
from quipu.data.loading.mixture import (
    DialogueRecipe,
    Dialogues,
    Infilling,
    LoaderRecipe,
    Source,
)
from quipu.errors import UsageError
from quipu.train.recipe import Chain, LearningRate, Optimisation, TrainRecipe

NAMES = ("7b", "13b", "34b", "70b")
VARIANTS = ("base", "python", "instruct", "unnatural")

BATCH = 4_194_304  # "4M tokens", of rows of 4,096 (section 2.6): 2**22, 1,024 rows
ROW, LONG_ROW = 4_096, 16_384
# Groups of our corpora. Table 1 says "code" and names no languages; by size they follow from the
# corpus, so they share the weight by what a corpus of ours has: half Python, the rest alike.
CODE = {"python": 0.5, "cpp": 0.1, "java": 0.1, "php": 0.075, "typescript": 0.1, "csharp": 0.075,
        "bash": 0.05}  # fmt: skip
TEXT, PROSE = "text", "prose"

# Peak rates (section 2.6): 13B 3e-4, 34B and 70B 1.5e-4; 7B that of Llama 2 7B, which is 3e-4.
LEARNING_RATES = {"7b": 3e-4, "13b": 3e-4, "34b": 1.5e-4, "70b": 1.5e-4}
TOKENS = {"7b": 500e9, "13b": 500e9, "34b": 500e9, "70b": 1e12}  # section 2.1
# Long context (section 2.6): batch 2M tokens for 7B and 13B, 1M for 34B. Steps: 10,000 where
# nothing else is said, 11,000 for 34B, 3,000 for 7B. That makes 6, 21 and 12 billion tokens, while
# figure 2 draws 20 billion for all: steps and batches are what was set, so they stand.
LONG_BATCH = {"7b": 2_097_152, "13b": 2_097_152, "34b": 1_048_576, "70b": 1_048_576}
# 70B is not in that section: as 34B, the largest that is.
LONG_STEPS = {"7b": 3_000, "13b": 10_000, "34b": 11_000, "70b": 11_000}
INFILLING = Infilling(rate=0.9, spm=0.5, syntax=0.0)  # section 2.3; cuts uniform over characters
NONE = Infilling(rate=0.0)


def code(size: str = "7b") -> TrainRecipe:
    """From Llama 2 to code, for 7B, 13B and 70B with infilling."""
    infills = _checked(size) != "34b"  # section 2.3
    return TrainRecipe(
        name="code",
        model=_model(size, context=ROW, theta=1e4, vocab=32_016 if infills else 32_000),
        data=LoaderRecipe(
            # Table 1: 85 % code, 8 % language about code, 7 % language.
            sources=_sources(_shared(0.85), (TEXT, 0.08), (PROSE, 0.07)),
            row_tokens=ROW,
            infilling=INFILLING if infills else NONE,
        ),
        tokens=_steps(TOKENS[size], BATCH),
        batch_tokens=BATCH,
        # Llama 2's weights: start=PATH. Its vocabulary has 32,000 pieces; the 16 of infilling begin
        # as fresh weights do, which the paper does not tell.
        start="",
        optimisation=_adamw(LEARNING_RATES[size]),
        learning_rate=_cosine(),
    )


def python(size: str = "7b") -> TrainRecipe:
    """From code to Python: 100 billion tokens."""
    return TrainRecipe(
        name="python",
        # Meta's Python models of 7B and 13B have 32,000 pieces again: the last 16 rows are dropped.
        model=_model(size, context=ROW, theta=1e4, vocab=32_016 if size == "70b" else 32_000),
        data=LoaderRecipe(
            # Table 1: 75 % Python, 10 % code, 10 % language about code, 5 % language.
            sources=_sources(_shared(0.10, python=0.75), (TEXT, 0.10), (PROSE, 0.05)),
            row_tokens=ROW,
            # Without infilling but for 70B (section 2.3 lists it among those that infill, and
            # section 2.1 says its Python model is trained like the others but for the tokens).
            infilling=INFILLING if _checked(size) == "70b" else NONE,
            seed=1,
        ),
        tokens=_steps(100e9, BATCH),
        batch_tokens=BATCH,
        optimisation=_adamw(1e-4),  # section 2.6
        learning_rate=_cosine(),
    )


def long_context(size: str = "7b") -> TrainRecipe:
    """16,384 tokens at theta 1e6 after the code stage."""
    before = code(size)
    batch = LONG_BATCH[size]
    return replace(
        before,
        name="long",
        model=replace(before.model, context=LONG_ROW, rope_theta=1e6),  # section 2.4
        # The paper does not name the data, nor whether files are cut apart or joined. The same
        # mixture, files of a package one after the other: what fills 16,384 tokens in use.
        # Whether infilling stays on is not said either: scores of table 14 hardly change with this
        # stage, so it was not forgotten; it stays on.
        data=replace(
            before.data,
            sources=_joined(before.data.sources),
            row_tokens=LONG_ROW,
            seed=2,
        ),
        tokens=LONG_STEPS[size] * batch,
        batch_tokens=batch,
        optimisation=_adamw(2e-5),  # section 2.6
        # 1,000 steps of warm-up are said once for all; of 3,000 steps that is a third.
        learning_rate=_cosine(),
    )


def long_context_python(size: str = "7b") -> TrainRecipe:
    """The same after the Python stage."""
    if _checked(size) == "70b":
        raise UsageError(
            "long context of Python", got=size, allowed="7b, 13b, 34b: the paper has none for 70b"
        )
    before, longer = python(size), long_context(size)
    return replace(
        longer,
        name="long-python",
        model=replace(before.model, context=LONG_ROW, rope_theta=1e6),
        data=replace(longer.data, sources=_joined(before.data.sources), infilling=NONE, seed=3),
    )


def instruct(size: str = "7b") -> TrainRecipe:
    """Dialogues with a little of what was learned before; from Python for 70B (section 2.1)."""
    return _tuned("instruct", size, python(size) if size == "70b" else long_context(size))


def unnatural(size: str = "34b") -> TrainRecipe:
    """Dialogues that a model wrote (section 3.1), after Python; the paper's is of 34B alone."""
    return _tuned("unnatural", size, python(size) if size == "70b" else long_context_python(size))


def chain(size: str = "7b", variant: str = "instruct") -> Chain:
    """The stages on the way to a variant: base, python, instruct or unnatural.

    Stages of the same name are the same in all variants, so they may share a run folder.
    """
    large = _checked(size) == "70b"
    pythons = (code, python) if large else (code, python, long_context_python)
    ways = {
        "base": (code, long_context),
        "python": pythons,
        "instruct": (code, python, instruct) if large else (code, long_context, instruct),
        "unnatural": (*pythons, unnatural),
    }
    if variant not in ways:
        raise UsageError("variant", got=variant, allowed=", ".join(VARIANTS))
    stages = tuple(stage(size) for stage in ways[variant])
    return Chain(name=f"code-llama-{size}-{variant}", stages=stages)


def _tuned(name: str, size: str, before: TrainRecipe) -> TrainRecipe:
    batch = 524_288  # section 2.6
    return replace(
        before,
        name=name,
        # Section 2.5: dialogues, and 6 % code and 2 % language so that those are not forgotten.
        # Of what is not said; here of rows. Prompts are taken not to be trained, as in Llama 2.
        data=DialogueRecipe(
            dialogues=(Dialogues(weight=0.92),),  # all files that lie there, by their size
            sources=_sources(_shared(0.06), (TEXT, 0.02)),
            row_tokens=before.data.row_tokens,  # not named: that of the stage before
            format="source" if size == "70b" else "inst",
            # Not said; but what was tuned from models that infill still does (Meta's model card),
            # so the code is as it was before.
            infilling=before.data.infilling,
            seed=4,
        ),
        tokens=_steps(5e9, batch),  # figure 2
        batch_tokens=batch,
        # No rate is stated. That of the long-context stage, the last one the weights followed.
        optimisation=_adamw(2e-5),
        learning_rate=_cosine(),
    )


def _model(size: str, *, context: int, theta: float, vocab: int) -> ModelConfig:
    return replace(SIZES[_checked(size)], context=context, rope_theta=theta, vocab=vocab)


def _adamw(peak: float) -> Optimisation:
    return Optimisation(
        matrices="adamw",
        matrix_lr=peak,
        other_lr=peak,
        beta1=0.9,  # section 2.6, as beta2
        beta2=0.95,
        eps=1e-5,  # not stated; Llama 2's
        weight_decay=0.1,  # not stated; Llama 2's
        clip=1.0,  # not stated; Llama 2's
        outlier_sigmas=0.0,  # no step is said to have been skipped
    )


def _cosine() -> LearningRate:
    return LearningRate(kind="cosine", warmup_steps=1_000, floor=1 / 30)  # section 2.6


def _steps(tokens: float, batch: int) -> int:
    """Tokens of whole steps, about so many."""
    return round(tokens / batch) * batch


def _shared(weight: float, **more: float) -> dict[str, float]:
    """A weight shared out over the languages, and what some get besides."""
    return {group: weight * share + more.get(group, 0.0) for group, share in CODE.items()}


def _sources(groups: dict[str, float], *others: tuple[str, float]) -> tuple[Source, ...]:
    weights = (*groups.items(), *others)
    return tuple(Source(group=group, weight=round(weight, 6)) for group, weight in weights)


def _joined(sources: tuple[Source, ...]) -> tuple[Source, ...]:
    return tuple(replace(source, packages=source.group in CODE) for source in sources)


def _checked(size: str) -> str:
    if size not in NAMES:
        raise UsageError("size", got=size, allowed=", ".join(NAMES))
    return size
