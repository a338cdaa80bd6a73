"""Choosing the next token from logits. Pure functions of their arguments, the same on any machine.

Order: repetition penalty, logit bias, constraint, temperature, top-k, top-p, min-p. Randomness is a
counter, not a state: the number behind a token depends on (seed, answer index, position in the
answer) alone, so batching, chunking and pre-emption cannot change a text.
"""

import collections.abc as abc

import numpy as np
import numpy.typing as npt

from quipu.errors import BackendError
from quipu.request import Sampling, TokenLogprob

Scores = npt.NDArray[np.float64]


def uniform(seed: int, index: int, position: int) -> float:
    """A number in [0, 1): Philox 4x64-10 (Salmon et al. 2011), key (seed, index)."""
    key = np.array([seed, index], dtype=np.uint64)
    counter = np.array([0, position, 0, 0], dtype=np.uint64)
    word = int(np.random.Philox(counter=counter, key=key).random_raw())
    return (word >> 11) * 2.0**-53


def is_plain(sampling: Sampling) -> bool:
    """Whether the next token is that of the largest logit, unless a constraint forbids it."""
    return (
        sampling.temperature == 0 and sampling.repetition_penalty == 1 and not sampling.logit_bias
    )


def choose(
    logits_V: npt.NDArray[np.float32],
    sampling: Sampling,
    *,
    seen: abc.Collection[int],
    allowed: npt.NDArray[np.integer] | None,
    number: float,
) -> int:
    """The next token id.

    `seen` are the ids that the repetition penalty is for (prompt and answer, as in transformers),
    `allowed` the ids of the constraint, `number` a uniform draw from [0, 1).
    """
    if allowed is None and is_plain(sampling):
        return int(logits_V.argmax())
    scores = logits_V.astype(np.float64)
    _penalise(scores, seen, sampling.repetition_penalty)
    for token_id, bias in sampling.logit_bias.items():
        scores[token_id] += bias
    ids = np.arange(scores.size) if allowed is None else np.sort(allowed)
    assert ids.size, "a constraint that allows nothing"
    scores = scores[ids]
    if sampling.temperature == 0:
        return int(ids[np.argmax(scores)])
    scores = (scores - scores.max()) / sampling.temperature
    weights = _filter(scores, sampling)
    kept = np.flatnonzero(weights)
    cumulative = np.cumsum(weights[kept])
    drawn = np.searchsorted(cumulative, number * cumulative[-1], side="right")
    return int(ids[kept[min(int(drawn), kept.size - 1)]])


def _penalise(scores: Scores, seen: abc.Collection[int], penalty: float) -> None:
    if penalty == 1 or not seen:
        return
    ids = np.fromiter(seen, dtype=np.int64, count=len(seen))
    found = scores[ids]
    scores[ids] = np.where(found > 0, found / penalty, found * penalty)


def _filter(scores: Scores, sampling: Sampling) -> Scores:
    """Weights exp(score) with those that a filter drops set to 0. Equal scores fare equally."""
    weights = np.exp(scores)
    if 0 < sampling.top_k < scores.size:
        smallest = np.partition(scores, -sampling.top_k)[-sampling.top_k]
        weights[scores < smallest] = 0
    if sampling.top_p < 1:
        descending = np.sort(weights)[::-1]
        mass = np.cumsum(descending)
        last = int(np.searchsorted(mass, sampling.top_p * mass[-1], side="left"))
        weights[weights < descending[min(last, mass.size - 1)]] = 0
    if sampling.min_p > 0:
        weights[weights < sampling.min_p * weights.max()] = 0
    return weights


def check_logits(
    logits_NV: npt.NDArray[np.float32], best_N: npt.NDArray[np.int32] | None = None
) -> None:
    """Raise BackendError for logits that are not numbers: damaged weights, or an overflow.

    The logits themselves are searched only if no runner has done so (see `StepResult.best_N`).
    """
    finite = np.isfinite(logits_NV).all() if best_N is None else (best_N >= 0).all()
    if not finite:
        raise BackendError(
            "the model's logits are not finite numbers",
            remedy="check the weights with `quipu info`, or load them as float32",
        )


def log_softmax(logits_NV: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Natural log-probabilities along the last axis: fp32, summed in fp64."""
    shifted: npt.NDArray[np.float32] = logits_NV - logits_NV.max(axis=-1, keepdims=True)
    total = np.exp(shifted).sum(axis=-1, keepdims=True, dtype=np.float64)
    logprobs: npt.NDArray[np.float32] = shifted - np.log(total).astype(np.float32)
    return logprobs


def describe(logits_V: npt.NDArray[np.float32], token_id: int, top: int) -> TokenLogprob:
    """The model's own log-probability of a token and its `top` best alternatives, best first."""
    logprobs = log_softmax(logits_V)
    best: list[tuple[int, float]] = []
    if top:
        candidates = np.argpartition(-logprobs, min(top, logprobs.size) - 1)[:top]
        order = sorted(candidates.tolist(), key=lambda i: (-logprobs[i], i))
        best = [(i, float(logprobs[i])) for i in order]
    return TokenLogprob(token_id=token_id, logprob=float(logprobs[token_id]), top=tuple(best))
