"""Answers under way: from a caller's options to a request, from pieces to completions."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

from quipu.backend.protocol import Stream
from quipu.request import Completion, Piece, Sampling, Timings, TokenLogprob, Usage


class Options(TypedDict, total=False):
    """Keyword options of every method that answers; meanings and ranges as in `Sampling`."""

    max_tokens: int
    temperature: float
    top_p: float
    top_k: int
    min_p: float
    repetition_penalty: float
    logit_bias: Mapping[int, float]
    seed: int | None
    stop: str | Sequence[str]
    logprobs: bool | int  # True: of the chosen tokens; a number: and of so many alternatives


def sampling_of(options: Options, n: int = 1) -> Sampling:
    """The request's options from what a caller wrote. Raises UsageError for values out of range."""
    stop = options.get("stop", ())
    logprobs = options.get("logprobs", False)
    plain = {name: value for name, value in options.items() if name not in ("stop", "logprobs")}
    return Sampling(
        **plain,  # type: ignore[arg-type]
        n=n,
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
        logprobs=None if logprobs is False else int(logprobs),
    )


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request under way: its stream, and what is needed to sum it up."""

    stream: Stream
    prompt_tokens: int
    sampling: Sampling
    started: float  # time.perf_counter()

    def __iter__(self) -> Iterator[Piece]:
        return iter(self.stream)

    def cancel(self) -> None:
        """Stop; unfinished answers end with finish_reason `cancelled`."""
        self.stream.cancel()


def collect(asked: Asked, watch: Callable[[Piece], None] | None = None) -> list[Completion]:
    """Wait for all answers, in the order of their index; `watch` sees each piece as it comes."""
    answers = [_Answer() for _ in range(asked.sampling.n)]
    for piece in asked:
        answers[piece.index].add(piece, time.perf_counter() - asked.started)
        if watch is not None:
            watch(piece)
    return [answer.completion(asked) for answer in answers]


class _Answer:
    """Pieces of one answer, added up."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.token_ids: list[int] = []
        self.logprobs: list[TokenLogprob] = []
        self.last: Piece | None = None
        self.first_s = self.last_s = 0.0

    def add(self, piece: Piece, elapsed_s: float) -> None:
        if not self.token_ids:
            self.first_s = elapsed_s
        self.last_s = elapsed_s
        self.texts.append(piece.text)
        self.token_ids.extend(piece.token_ids)
        self.logprobs.extend(piece.logprobs)
        self.last = piece

    def completion(self, asked: Asked) -> Completion:
        assert self.last is not None
        assert self.last.finish_reason is not None
        wanted = asked.sampling.logprobs
        return Completion(
            text="".join(self.texts),
            token_ids=tuple(self.token_ids),
            finish_reason=self.last.finish_reason,
            usage=Usage(
                prompt_tokens=asked.prompt_tokens,
                completion_tokens=len(self.token_ids),
                cached_tokens=self.last.cached_tokens,
            ),
            timings=Timings(first_token_s=self.first_s, total_s=self.last_s),
            logprobs=tuple(t.logprob for t in self.logprobs) if wanted is not None else None,
            top_logprobs=tuple(t.top for t in self.logprobs) if wanted else None,
        )
