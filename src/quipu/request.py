"""What is asked of a model and what comes back. Token ids are the contract."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from quipu.errors import UsageError

FinishReason = Literal["stop", "length", "cancelled"]


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How tokens are chosen. Filters apply in the order of the fields, penalty and bias first.

    `temperature` 0 is greedy. `top_k` 0, `top_p` 1 and `min_p` 0 switch that filter off. The same
    `seed` gives the same text whatever else runs; `None` draws a new one. `logprobs` is the number
    of alternatives wanted beside each chosen token (0: the chosen one only; None: none).
    Log-probabilities are those of the model itself: before penalty, bias, temperature and filters.
    """

    max_tokens: int = 128
    repetition_penalty: float = 1.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    n: int = 1
    logprobs: int | None = None

    def __post_init__(self) -> None:
        def check(name: str, ok: bool, allowed: str) -> None:
            if not ok:
                raise UsageError(name, got=getattr(self, name), allowed=allowed)

        check("max_tokens", self.max_tokens >= 1, "1 or more")
        check("repetition_penalty", self.repetition_penalty > 0, "> 0 (1 is off)")
        check("temperature", 0 <= self.temperature < float("inf"), "0 (greedy) or more")
        check("top_k", self.top_k >= 0, "0 (off) or more")
        check("top_p", 0 < self.top_p <= 1, "above 0, up to 1 (off)")
        check("min_p", 0 <= self.min_p < 1, "0 (off) up to, not including, 1")
        check("seed", self.seed is None or 0 <= self.seed < 2**63, "0 to 2^63 - 1")
        check("n", 1 <= self.n <= 1024, "1 to 1024")
        check("logprobs", self.logprobs is None or 0 <= self.logprobs <= 100, "0 to 100")
        check("stop", all(self.stop), "strings that are not empty")


@dataclass(frozen=True, kw_only=True)
class Request:
    """One prompt, as token ids, and how to answer it.

    `stop_ids` end the answer and are not part of it. `forced` are bytes that the answer must begin
    with (token healing); they are part of the generated tokens and are cut from the text.
    `drop_space` removes one leading space from the text (SentencePiece's artefact in chat answers).
    """

    prompt: tuple[int, ...]
    sampling: Sampling = field(default_factory=Sampling)
    stop_ids: tuple[int, ...] = ()
    forced: bytes = b""
    drop_space: bool = False


@dataclass(frozen=True, kw_only=True)
class TokenLogprob:
    """Natural log-probability of a generated token, and of the most likely alternatives."""

    token_id: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()  # (token id, log-probability), best first


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A step of one answer: text that is safe to show, and the tokens behind it.

    `text` may be empty (half a UTF-8 character, a possible stop string) while tokens arrive. The
    last piece of an answer carries `finish_reason`; texts of all pieces concatenate to the answer.
    """

    text: str
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    index: int = 0  # which of the n answers
    finish_reason: FinishReason | None = None
    cached_tokens: int = 0  # prompt tokens taken from the prefix cache; set on the last piece


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Token counts of one answer."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0


@dataclass(frozen=True, kw_only=True)
class Timings:
    """Wall-clock seconds of one answer."""

    first_token_s: float
    total_s: float


@dataclass(frozen=True, kw_only=True)
class Completion:
    """A finished answer."""

    text: str
    token_ids: tuple[int, ...]
    finish_reason: FinishReason
    usage: Usage
    timings: Timings
    logprobs: tuple[float, ...] | None = None  # one per token id, natural logarithm
    top_logprobs: tuple[tuple[tuple[int, float], ...], ...] | None = None  # (id, logprob) per token
