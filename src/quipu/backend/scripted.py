"""A backend that answers from a script: the fake for everything above the seam."""

import itertools
import threading
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from quipu.backend.protocol import ModelInfo
from quipu.backend.script import Line, Script
from quipu.errors import BackendError, PromptTooLong, UsageError
from quipu.request import FinishReason, Piece, Request, TokenLogprob
from quipu.text.stream import TextStream
from quipu.text.tokenizer import Tokenizer


class ScriptedBackend:
    """Implements `Backend` from a script. Its streams work while they are iterated."""

    def __init__(self, script: Script, tokenizer: Tokenizer) -> None:
        self._lines = script.lines
        self._tokenizer = tokenizer
        self._info = ModelInfo(
            name=script.model, context=script.context, abilities=script.abilities
        )
        self._closed = threading.Event()

    @property
    def tokenizer(self) -> Tokenizer:
        return self._tokenizer

    @property
    def info(self) -> ModelInfo:
        return self._info

    def submit(self, request: Request) -> "ScriptedStream":
        """See `Backend`. Forced bytes are taken as said: the script's text follows them."""
        line = self._find(request.prompt)
        room = self.info.context - len(request.prompt)
        if room < 1:
            raise PromptTooLong(
                f"prompt and one token must fit the context of {self.info.context} tokens",
                got=f"{len(request.prompt)} tokens",
                allowed=f"up to {self.info.context - 1}",
                remedy="shorten the prompt",
            )
        return ScriptedStream(line, request, self._tokenizer, room, self._closed)

    def score(self, token_ids: Sequence[int]) -> npt.NDArray[np.float32]:
        """The `logprob` of the line that matches, for every token."""
        logprob = self._find(token_ids).logprob if len(token_ids) != 1 else 0.0
        return np.full(len(token_ids) - 1, logprob, dtype=np.float32)

    def logits(self, token_ids: Sequence[int]) -> npt.NDArray[np.float32]:  # noqa: ARG002
        raise BackendError("a script has no logits", remedy="use a torch backend")

    def close(self) -> None:
        self._closed.set()

    def _find(self, ids: Sequence[int]) -> Line:
        if self._closed.is_set():
            raise BackendError("the backend is closed", remedy="open it again")
        if not ids:
            raise UsageError("empty prompt", got="0 tokens", allowed="1 or more")
        prompt = self._tokenizer.decode(ids)
        for line in self._lines:
            if line.fits(prompt):
                return line
        raise BackendError(
            "no line of the script matches the prompt",
            got=repr(prompt[-80:]),
            remedy='add a last line {"text": "…"} for any prompt',
        )


class ScriptedStream:
    """Implements `Stream`: pieces of the answers in turn, one token each."""

    def __init__(
        self, line: Line, request: Request, tokenizer: Tokenizer, room: int, closed: threading.Event
    ) -> None:
        self._line = line
        self._request = request
        self._tokenizer = tokenizer
        self._limit = min(room, request.sampling.max_tokens)
        self._closed = closed
        self._cancelled = threading.Event()
        self._pieces = self._all_pieces()

    def __iter__(self) -> Iterator[Piece]:
        return self._pieces

    def cancel(self) -> None:
        self._cancelled.set()

    def _all_pieces(self) -> Iterator[Piece]:
        answers = [self._answer(index) for index in range(self._request.sampling.n)]
        for turn in itertools.zip_longest(*answers):
            yield from (piece for piece in turn if piece is not None)

    def _answer(self, index: int) -> Iterator[Piece]:
        if self._line.error is not None:
            raise BackendError(self._line.error)
        text = self._line.texts[index % len(self._line.texts)]
        ids = self._tokenizer.encode(text, dummy_prefix=False)
        stream = TextStream(self._tokenizer, stop=self._request.sampling.stop)
        for number, token_id in enumerate(ids[: self._limit], 1):
            self._cancelled.wait(self._line.delay_s)
            if self._cancelled.is_set() or self._closed.is_set():
                yield Piece(text=stream.finish(), index=index, finish_reason="cancelled")
                return
            if token_id in self._request.stop_ids:
                yield Piece(text=stream.finish(), index=index, finish_reason="stop")
                return
            shown = stream.push(token_id)
            if stream.stopped:
                yield self._piece(index, shown, token_id, "stop")
                return
            if number == self._limit:
                yield self._piece(index, shown + stream.finish(), token_id, "length")
                return
            yield self._piece(index, shown, token_id, None)
        yield Piece(text=stream.finish(), index=index, finish_reason=self._line.finish_reason)

    def _piece(
        self, index: int, text: str, token_id: int, finish_reason: FinishReason | None
    ) -> Piece:
        wanted = self._request.sampling.logprobs
        logprob = TokenLogprob(
            token_id=token_id,
            logprob=self._line.logprob,
            top=((token_id, self._line.logprob),) if wanted else (),
        )
        return Piece(
            text=text,
            token_ids=(token_id,),
            logprobs=() if wanted is None else (logprob,),
            index=index,
            finish_reason=finish_reason,
        )
