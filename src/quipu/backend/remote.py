"""A backend over any server with OpenAI's /v1/completions, above all vLLM.

The prompt travels as token ids, so a remote model sees what a local one would. Ids of the answer
come from `token_ids` (vLLM's `return_token_ids`) or from log-probabilities that name tokens as
`token_id:N` or with an `id`; then the text is made here, byte for byte like that of a local
backend. A server that gives text alone is taken at its word: its text is passed on, and
`Piece.token_ids` are the tokens of each piece of text encoded as a continuation, which need not be
those that the model chose.

Not to be had from a server: forced bytes (token healing), logits. Seeds, biases and penalties are
the server's own: the same seed gives another text than a local backend does.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from quipu.backend.answer import TOKEN_ID, RemoteAnswer
from quipu.backend.connection import Call, Json, Server, malformed, parse_object
from quipu.backend.protocol import ModelInfo
from quipu.backend.queued import QueuedStream
from quipu.config import Abilities, ChatFormat
from quipu.errors import BackendError, PromptTooLong, UsageError
from quipu.request import Request
from quipu.text.tokenizer import Tokenizer

BAD_REQUEST = (400, 422)
MOST_STOPS = 4  # that OpenAI's own protocol allows


@dataclass(frozen=True, kw_only=True)
class ServedModel:
    """A model in a server's list."""

    name: str
    context: int | None  # tokens; None when the server does not say


def find_model(server: Server, name: str | None) -> ServedModel:
    """The server's model of that name, or its only one. Raises BackendError."""
    entries = server.ask("/models").get("data")
    if not isinstance(entries, list):
        raise malformed(server, entries)
    models = {str(entry.get("id")): entry for entry in entries if isinstance(entry, dict)}
    if name is None and len(models) == 1:
        name = next(iter(models))
    if name is None or name not in models:
        raise BackendError(
            f"server {server} has no model of that name",
            got=name or "no name",
            allowed=", ".join(models) or "none is loaded",
            remedy=f"name one: {server}#MODEL",
        )
    contexts = (models[name].get(key) for key in ("max_model_len", "context_length"))
    return ServedModel(name=name, context=next((c for c in contexts if isinstance(c, int)), None))


class RemoteBackend:
    """Implements `Backend`. One thread and one connection for each open request."""

    def __init__(
        self, server: Server, model: ServedModel, tokenizer: Tokenizer, context: int | None = None
    ) -> None:
        """`context` is needed when the server does not say it, and overrules it otherwise."""
        context = context or model.context
        if context is None:
            raise BackendError(
                f"server {server} does not say how many tokens the context of {model.name} has",
                remedy="give the context as an option",
            )
        self._server = server
        self._tokenizer = tokenizer
        self._info = ModelInfo(
            name=model.name,
            context=context,
            abilities=_abilities(model.name, tokenizer),
            heals=False,
        )
        self._lock = threading.Lock()
        self._open: set[_Exchange] = set()
        self._closed = False

    @property
    def tokenizer(self) -> Tokenizer:
        return self._tokenizer

    @property
    def info(self) -> ModelInfo:
        return self._info

    def submit(self, request: Request) -> QueuedStream:
        """See `Backend`. Raises UsageError for forced bytes: `info.heals` is false."""
        room = self._check(request.prompt, answer=True)
        if request.forced:
            raise UsageError("forced bytes: a server cannot heal tokens", got=request.forced)
        exchange = _Exchange(self._server, self._info.name, request, self._tokenizer, room)
        with self._lock:
            self._check_open()
            self._open = {other for other in self._open if other.alive} | {exchange}
        exchange.start()
        return exchange.stream

    def score(self, token_ids: Sequence[int]) -> npt.NDArray[np.float32]:
        """See `Backend`. Raises BackendError if the server does not echo prompts with logprobs."""
        ids = list(token_ids)
        self._check(ids, answer=False)
        if len(ids) == 1:
            return np.empty(0, dtype=np.float32)
        body = {
            "model": self._info.name,
            "prompt": ids,
            "echo": True,
            "logprobs": 1,
            # Some servers refuse to generate nothing; the one token is thrown away.
            "max_tokens": 1 if len(ids) < self._info.context else 0,
            "temperature": 0.0,
            "return_tokens_as_token_ids": True,
        }
        return self._prompt_logprobs(self._server.ask("/completions", body), ids)

    def logits(self, token_ids: Sequence[int]) -> npt.NDArray[np.float32]:  # noqa: ARG002
        raise BackendError("a server gives no logits", remedy="use score, or a torch backend")

    def close(self) -> None:
        with self._lock:
            self._closed = True
            exchanges, self._open = self._open, set()
        for exchange in exchanges:
            exchange.cancel()

    def _check_open(self) -> None:
        if self._closed:
            raise BackendError("the backend is closed", remedy="open it again")

    def _check(self, ids: Sequence[int], *, answer: bool) -> int:
        """Tokens that an answer may have after `ids`. Raises as `submit` does."""
        self._check_open()
        if not ids:
            raise UsageError("empty prompt", got="0 tokens", allowed="1 or more")
        vocab, context = self._tokenizer.vocab, self._info.context
        for token_id in (min(ids), max(ids)):
            if not 0 <= token_id < vocab:
                raise UsageError(
                    "token id outside the vocabulary", got=token_id, allowed=f"0 to {vocab - 1}"
                )
        if len(ids) + answer > context:
            raise PromptTooLong(
                f"prompt{' and one token' if answer else ''} must fit {context} tokens of context",
                got=f"{len(ids)} tokens",
                allowed=f"up to {context - answer}",
                remedy="shorten the prompt",
            )
        return context - len(ids)

    def _prompt_logprobs(self, reply: Json, ids: list[int]) -> npt.NDArray[np.float32]:
        choices = reply.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        logprobs = choice.get("logprobs") if isinstance(choice, dict) else None
        found = logprobs if isinstance(logprobs, dict) else {}
        values = found.get("token_logprobs") or []
        # The first token has nothing before it: its entry is null.
        scores = [value for value in values[1 : len(ids)] if isinstance(value, int | float)]
        if len(scores) != len(ids) - 1:
            raise BackendError(
                f"server {self._server} does not score prompts",
                got="no log-probabilities of the prompt for echo with logprobs",
                remedy="use a server that echoes prompts (vLLM does), or a torch backend",
            )
        for token, token_id in zip(found.get("tokens") or [], ids, strict=False):
            if str(token).startswith(TOKEN_ID) and token != f"{TOKEN_ID}{token_id}":
                raise malformed(self._server, f"scored {token} in place of {token_id}")
        return np.array(scores, dtype=np.float32)


def _abilities(name: str, tokenizer: Tokenizer) -> Abilities:
    """What tokenizer and name suggest: a server does not say what its model was trained for."""
    chat: ChatFormat | None = None
    if tokenizer.step_id is not None:
        chat = "source"
    elif "instruct" in name.lower():
        chat = "inst"
    return Abilities(infill=tokenizer.infill is not None, chat=chat)


class _Exchange:
    """One request to the server: a thread that reads its events and fills the stream."""

    def __init__(
        self, server: Server, model: str, request: Request, tokenizer: Tokenizer, room: int
    ) -> None:
        self.stream = QueuedStream(self.cancel)
        self._server = server
        self._body, self._extras = _body(model, request, tokenizer, room)
        self._answers = {
            index: RemoteAnswer(server, tokenizer, request, index)
            for index in range(request.sampling.n)
        }
        self._cached_tokens = 0
        self._cancelled = threading.Event()
        self._lock = threading.Lock()  # guards the call
        self._call: Call | None = None
        self._thread = threading.Thread(target=self._run, name="quipu-remote", daemon=True)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        self._thread.start()

    def cancel(self) -> None:
        """Hang up, which is how a server learns of it."""
        self._cancelled.set()
        with self._lock:
            if self._call is not None:
                self._call.abort()

    def _run(self) -> None:
        try:
            self._read()
        except BackendError as error:
            if not self._cancelled.is_set():
                self.stream.fail(error)
                return
        except Exception as error:  # whatever it was, those who wait must hear of it
            failure = BackendError(
                f"reading from server {self._server} failed", got=f"{type(error).__name__}: {error}"
            )
            failure.__cause__ = error
            self.stream.fail(failure)
            return
        for answer in self._answers.values():
            self.stream.put(answer.last_piece(self._cached_tokens))
        self.stream.end()

    def _read(self) -> None:
        """Send the request and use every event, until all answers have ended or a cancel."""
        call = self._send({**self._body, **self._extras})
        try:
            status = call.send()
            if status in BAD_REQUEST and self._extras:
                # A strict server knows nothing beyond OpenAI's own fields.
                call.close()
                call = self._send(_plain(self._body))
                status = call.send()
            if status != 200:
                raise call.refusal()
            self._read_events(call)
        finally:
            call.close()

    def _send(self, body: Json) -> Call:
        call = Call(self._server, "/completions", body)
        with self._lock:
            self._call = call
        if self._cancelled.is_set():
            call.abort()
        return call

    def _read_events(self, call: Call) -> None:
        for data in call.events():
            if data == "[DONE]":
                break
            self._use(parse_object(data, self._server))
            if self._cancelled.is_set():
                return
            if all(answer.stopped_here for answer in self._answers.values()):
                return  # by our own reading; the server may not know, and hanging up tells it
        if not all(answer.finish_reason for answer in self._answers.values()):
            raise BackendError(
                f"server {self._server} hung up before the answer was complete",
                remedy="check that the server still runs, and try again",
            )

    def _use(self, event: Json) -> None:
        if event.get("error"):
            raise BackendError(f"server {self._server} failed", got=event["error"])
        choices = event.get("choices")
        if not isinstance(choices, list):
            raise malformed(self._server, event)
        for choice in choices:
            answer = self._answers.get(choice.get("index", 0)) if isinstance(choice, dict) else None
            if answer is None:
                raise malformed(self._server, choice)
            piece = answer.take(choice)
            if piece is not None:
                self.stream.put(piece)
        self._cached_tokens = _cached_tokens(event) or self._cached_tokens


def _cached_tokens(event: Json) -> int:
    usage = event.get("usage")
    details = usage.get("prompt_tokens_details") if isinstance(usage, dict) else None
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    return cached if isinstance(cached, int) else 0


def _plain(body: dict[str, object]) -> dict[str, object]:
    """A body for a strict server: of the stop strings, which are looked for here too, the first."""
    stops = body.get("stop")
    return {**body, "stop": stops[:MOST_STOPS]} if isinstance(stops, list) else body


def _body(
    model: str, request: Request, tokenizer: Tokenizer, room: int
) -> tuple[dict[str, object], dict[str, object]]:
    """The request in OpenAI's fields, and vLLM's fields that a strict server may do without."""
    sampling = request.sampling
    body: dict[str, object] = {
        "model": model,
        "prompt": list(request.prompt),
        "max_tokens": min(sampling.max_tokens, room),
        "n": sampling.n,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if sampling.seed is not None:
        body["seed"] = sampling.seed
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    if sampling.logprobs is not None:
        body["logprobs"] = sampling.logprobs
    if sampling.logit_bias:
        body["logit_bias"] = {str(token): bias for token, bias in sampling.logit_bias.items()}
    extras: dict[str, object] = {"return_token_ids": True, "return_tokens_as_token_ids": True}
    # Sent even when off: a server may have other defaults, from the model's generation_config.
    filters = {"top_k": sampling.top_k, "min_p": sampling.min_p}
    filters["repetition_penalty"] = sampling.repetition_penalty
    off = {"top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0}
    for name, value in filters.items():
        (extras if value == off[name] else body)[name] = value
    others = [token for token in request.stop_ids if token != tokenizer.eos_id]
    if others:
        body["stop_token_ids"] = others
    if tokenizer.eos_id not in request.stop_ids:
        body["ignore_eos"] = True
    return body, extras
