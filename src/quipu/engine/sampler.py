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

_WORD = 2**64 - 1
_HEADS = (1e-1, 1e-2, 1e-4, 0.0)  # weights beside the largest, tried in turn


def uniform(seed: int, index: int, position: int) -> float:
    """A number in [0, 1): Philox 4x64-10 (Salmon et al. 2011), key (seed, index)."""
    # One block in plain integers: half the time that numpy takes to set its generator up.
    c0, c1, c2, c3 = 1, position, 0, 0
    for _ in range(10):
        low, high = 0xD2E7470EE14C6C93 * c0, 0xCA5A826395121157 * c2
        c0, c1 = (high >> 64) ^ c1 ^ seed, high & _WORD
        c2, c3 = (low >> 64) ^ c3 ^ index, low & _WORD
        seed, index = (seed + 0x9E3779B97F4A7C15) & _WORD, (index + 0xBB67AE8584CAA73B) & _WORD
    return (c0 >> 11) * 2.0**-53


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
    if allowed is not None:
        assert allowed.size, "a constraint that allows nothing"
        allowed = np.sort(allowed)
        scores = scores[allowed]
    chosen = scores.argmax() if sampling.temperature == 0 else _draw(scores, sampling, number)
    return int(chosen if allowed is None else allowed[chosen])


def _penalise(scores: Scores, seen: abc.Collection[int], penalty: float) -> None:
    if penalty == 1 or not seen:
        return
    ids = np.fromiter(seen, dtype=np.int64, count=len(seen))
    found = scores[ids]
    scores[ids] = np.where(found > 0, found / penalty, found * penalty)


def _draw(scores: Scores, sampling: Sampling, number: float) -> int:
    """Position of one of the scores that pass the filters, by its weight. Changes `scores`."""
    scores -= scores.max()
    scores /= sampling.temperature
    weights = np.exp(scores, out=scores)  # in place: fresh pages cost more than the sum
    kept = None
    floor = _floor(weights, sampling)
    if floor > 0:
        kept = np.flatnonzero(weights >= floor)
        weights = weights[kept]
    cumulative = np.cumsum(weights, out=weights)
    drawn = np.searchsorted(cumulative, number * cumulative[-1], side="right")
    # The product may round up to the sum itself; then it is the last weight that is not 0.
    drawn = min(drawn, np.searchsorted(cumulative, cumulative[-1], side="left"))
    return int(drawn if kept is None else kept[drawn])


def _floor(weights: Scores, sampling: Sampling) -> float:
    """The smallest weight that passes the filters: each keeps the largest; the largest is 1."""
    floor = 0.0
    if 0 < sampling.top_k < weights.size:
        floor = _kth(weights, sampling.top_k)
    if sampling.top_p < 1:
        floor = _nucleus(weights, floor, sampling.top_p)
    return max(floor, sampling.min_p)


# To order all weights takes the longest by far, and a small head nearly always holds the answer.


def _kth(weights: Scores, k: int) -> float:
    """The k-th largest weight."""
    for bound in _HEADS:
        head = weights[weights >= bound]
        if head.size >= k:
            break
    return float(np.partition(head, -k)[-k])


def _nucleus(weights: Scores, floor: float, top_p: float) -> float:
    """Smallest of the fewest largest weights whose share of all from `floor` on is `top_p`."""
    needed = top_p * float((weights[weights >= floor] if floor else weights).sum())
    for bound in _HEADS:
        head: Scores = np.sort(weights[weights >= max(bound, floor)])[::-1]
        mass = np.cumsum(head)
        if mass[-1] >= needed:
            break
    last = int(np.searchsorted(mass, needed, side="left"))
    return float(head[min(last, head.size - 1)])


def check_logits(logits: npt.NDArray[np.float32], best: int | None = None) -> None:
    """Raise BackendError for logits that are not numbers: damaged weights, or an overflow.

    `best` is what a runner told of them (see `StepResult`): then they need not be searched.
    """
    finite = best >= 0 if best is not None else np.isfinite(logits).all()
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
