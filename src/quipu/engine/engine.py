"""Requests in, steps, events out. One thread owns an engine; others may only call `check…`."""

import collections.abc as abc
import secrets
import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from quipu.engine.batch import make_batch
from quipu.engine.pages import Pages
from quipu.engine.runner import Runner, StepResult
from quipu.engine.sampler import check_logits, choose, describe, is_plain, uniform
from quipu.engine.scheduler import Scheduler, Share
from quipu.engine.sequence import Constraint, Sequence
from quipu.engine.speculation import Speculation
from quipu.errors import PromptTooLong, UsageError
from quipu.request import FinishReason, Request, Sampling, TokenLogprob


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """A token of one answer, its end, or both. A stop id ends an answer without being its token."""

    request_id: int
    index: int
    token_id: int | None = None
    logprob: TokenLogprob | None = None
    finish_reason: FinishReason | None = None
    cached_tokens: int = 0


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class Rows:
    """Logits of prompt tokens `start` and on. After a pre-emption rows may come a second time."""

    request_id: int
    start: int
    logits_NV: npt.NDArray[np.float32]  # valid until the next step
    last: bool


class Engine:
    """Continuous batching over one runner."""

    def __init__(
        self,
        runner: Runner,
        *,
        context: int,
        vocab: int,
        tokens_per_step: int = 512,
        max_sequences: int = 64,
        speculate: bool | None = None,
        draw_seed: abc.Callable[[], int] = lambda: secrets.randbits(63),
        clock: abc.Callable[[], float] = time.perf_counter,
    ) -> None:
        """`context` bounds prompt and answer together; ids from `vocab` on are never chosen.

        `speculate` None: where it cannot change an answer, that is if the runner's rows do not
        depend on each other. `clock` tells seconds, for speculation to weigh its gains.
        """
        self.runner = runner
        self.context = context
        self.vocab = vocab
        self._capacity = runner.num_pages * runner.page_size  # tokens
        self._draw_seed = draw_seed
        self._clock = clock
        if speculate is None:
            speculate = runner.batch_invariant
        self.speculation = Speculation() if speculate else None
        self._next_id = 0
        self._next_arrival = 0
        self._sequences: dict[int, list[Sequence]] = {}  # unfinished, by request
        self.scheduler = Scheduler(
            Pages(runner.num_pages, runner.page_size),
            tokens_per_step=tokens_per_step,
            max_sequences=max_sequences,
            speculation=self.speculation,
        )

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do."""
        return not self._sequences

    def is_open(self, request_id: int) -> bool:
        """Whether an answer of this request is still unfinished."""
        return request_id in self._sequences

    def check(self, request: Request) -> int:
        """Tokens the answer may have. Safe from any thread.

        Raises PromptTooLong if not even one fits, UsageError for an empty prompt, an id outside the
        vocabulary or a bias that is not a finite number.
        """
        self.check_ids(request.prompt)
        for token_id, bias in request.sampling.logit_bias.items():
            self._check_id("logit_bias", token_id)
            if not np.isfinite(bias):
                raise UsageError("logit_bias", got=bias, allowed="finite numbers, e.g. -100 to 100")
        prompt = len(request.prompt)
        # The last token of an answer is never fed back, so it needs no room in the pages.
        room = min(self.context - prompt, self._capacity + 1 - prompt)
        if room < 1:
            raise self._too_long(prompt, "prompt and one token", self.context - 1, self._capacity)
        return min(request.sampling.max_tokens, room)

    def check_ids(self, ids: abc.Sequence[int]) -> None:
        """Raise UsageError for no ids or one outside the vocabulary. Safe from any thread."""
        if not ids:
            raise UsageError("empty prompt", got="0 tokens", allowed="1 or more")
        for token_id in (min(ids), max(ids)):
            self._check_id("token id", token_id)

    def check_rows(self, ids: abc.Sequence[int]) -> None:
        """Raise as `check` does, for a prompt that `add_rows` would run. Safe from any thread."""
        self.check_ids(ids)
        if len(ids) > min(self.context, self._capacity):
            raise self._too_long(len(ids), "tokens to score", self.context, self._capacity)

    def add(self, request: Request, constraint: Constraint | None = None) -> int:
        """Queue a request and return its number. Raises as `check` does."""
        limit = self.check(request)
        seed = self._draw_seed() if request.sampling.seed is None else request.sampling.seed
        leader: Sequence | None = None
        found: list[Sequence] = []
        for index in range(request.sampling.n):
            sequence = Sequence(
                request_id=self._next_id,
                index=index,
                arrival=self._next_arrival,
                tokens=list(request.prompt),
                prompt_length=len(request.prompt),
                limit=limit,
                sampling=request.sampling,
                plain=is_plain(request.sampling),
                seen=set(request.prompt) if request.sampling.repetition_penalty != 1 else set(),
                seed=seed,
                stop_ids=frozenset(request.stop_ids),
                constraint=constraint,
                leader=leader,
            )
            leader = leader or sequence
            self._next_arrival += 1
            found.append(sequence)
        return self._enter(found)

    def add_rows(self, ids: abc.Sequence[int]) -> int:
        """Queue a prompt whose logits are wanted row by row; they come as `Rows`."""
        self.check_rows(ids)
        sequence = Sequence(
            request_id=self._next_id,
            index=0,
            arrival=self._next_arrival,
            tokens=list(ids),
            prompt_length=len(ids),
            limit=0,
            sampling=Sampling(),
            seed=0,
            scored=True,
        )
        self._next_arrival += 1
        return self._enter([sequence])

    def step(self) -> list[Event | Rows]:
        """Compute one step and say what it brought. Nothing to do: no events."""
        shares = self.scheduler.schedule()
        if not shares:
            return []
        batch = make_batch(shares)
        began = self._clock()
        result = self.runner.step(batch)
        seconds = self._clock() - began
        self.scheduler.commit(shares)
        events: list[Event | Rows] = []
        row = 0
        for share in shares:
            if share.sequence.scored:
                events.append(self._score(share, result, row))
                row += share.size
            elif share.sequence.remaining == 0:
                events += self._answer(share, result, row)
                row += 1 + len(share.draft)
        assert row == len(result.logits_NV)
        if self.speculation is not None and self.scheduler.weighed:
            self.speculation.record(len(shares), row, len(events), seconds)
        return events

    def end(self, request_id: int, index: int) -> None:
        """Stop one answer without an event: its text met a stop string. Idempotent."""
        for sequence in list(self._sequences.get(request_id, ())):
            if sequence.index == index:
                self._finish(sequence)

    def cancel(self, request_id: int) -> list[Event]:
        """Stop what is unfinished of a request; one `cancelled` event each. Idempotent."""
        events = []
        for sequence in list(self._sequences.get(request_id, ())):
            self._finish(sequence)
            if not sequence.scored:
                events.append(_event(sequence, finish_reason="cancelled"))
        return events

    def _enter(self, sequences: list[Sequence]) -> int:
        request_id = self._next_id
        self._next_id += 1
        self._sequences[request_id] = sequences
        for sequence in sequences:
            self.scheduler.add(sequence)
        return request_id

    def _finish(self, sequence: Sequence) -> None:
        self.scheduler.remove(sequence)
        if self.speculation is not None and not sequence.scored:
            # What the cache gave of the prompt has been learned with an earlier one.
            self.speculation.learn(sequence.tokens[sequence.cached or 0 :])
        left = self._sequences[sequence.request_id]
        left.remove(sequence)
        if not left:
            del self._sequences[sequence.request_id]

    def _score(self, share: Share, result: StepResult, row: int) -> Rows:
        sequence, size = share.sequence, share.size
        logits_NV = result.logits_NV[row : row + size]
        check_logits(logits_NV)
        start, last = sequence.computed - size, sequence.remaining == 0
        if last:
            self._finish(sequence)
        return Rows(request_id=sequence.request_id, start=start, logits_NV=logits_NV, last=last)

    def _answer(self, share: Share, result: StepResult, row: int) -> list[Event]:
        """Choose the tokens that the rows from `row` on are for, and end the answer if it is over.

        The row after a drafted token is valid if that token is the one that was chosen.
        """
        sequence = share.sequence
        events = []
        for place, drafted in enumerate((*share.draft, None), row):
            best = None if result.best_N is None else int(result.best_N[place])
            logits_V = result.logits_NV[place]
            check_logits(logits_V, best)
            event = self._choose(sequence, logits_V, best)
            events.append(event)
            if event.finish_reason or event.token_id != drafted:
                break
        if share.draft:
            self.scheduler.accept(sequence, len(events) - 1)
        if events[-1].finish_reason:
            self._finish(sequence)
        return events

    def _choose(
        self, sequence: Sequence, logits_V: npt.NDArray[np.float32], best: int | None
    ) -> Event:
        """Choose the next token of a sequence and record it; the event says if it is the last.

        `best` is the id of the largest logit, if the runner has told it.
        """
        sampling = sequence.sampling
        position = len(sequence.tokens) - sequence.prompt_length
        allowed = None
        if sequence.constraint is not None:
            allowed = sequence.constraint.allowed(sequence.generated)
            if allowed is None:
                sequence.constraint = None
        if best is not None and sequence.plain and allowed is None:
            token_id = best
        else:
            drawn = sampling.temperature > 0
            token_id = choose(
                logits_V[: self.vocab],
                sampling,
                seen=sequence.seen,
                allowed=allowed,
                number=uniform(sequence.seed, sequence.index, position) if drawn else 0.0,
            )
        if token_id in sequence.stop_ids:
            return _event(sequence, finish_reason="stop")
        sequence.append(token_id)
        logprob = None
        if sampling.logprobs is not None:
            logprob = describe(logits_V, token_id, sampling.logprobs)
        reason: FinishReason | None = "length" if position + 1 == sequence.limit else None
        return _event(sequence, token_id=token_id, logprob=logprob, finish_reason=reason)

    def _check_id(self, what: str, token_id: int) -> None:
        if not 0 <= token_id < self.vocab:
            raise UsageError(
                f"{what} outside the vocabulary", got=token_id, allowed=f"0 to {self.vocab - 1}"
            )

    def _too_long(self, tokens: int, what: str, context: int, capacity: int) -> PromptTooLong:
        if context <= capacity:
            return PromptTooLong(
                f"{what} must fit the model's context of {self.context} tokens",
                got=f"{tokens} tokens",
                allowed=f"up to {context}",
                remedy="shorten the prompt",
            )
        return PromptTooLong(
            f"{what} must fit the key/value memory of {self._capacity} tokens",
            got=f"{tokens} tokens",
            allowed=f"up to {capacity}",
            remedy="shorten the prompt, or give the backend more memory for keys and values",
        )


def _event(
    sequence: Sequence,
    *,
    token_id: int | None = None,
    logprob: TokenLogprob | None = None,
    finish_reason: FinishReason | None = None,
) -> Event:
    return Event(
        request_id=sequence.request_id,
        index=sequence.index,
        token_id=token_id,
        logprob=logprob,
        finish_reason=finish_reason,
        cached_tokens=sequence.cached or 0,
    )
