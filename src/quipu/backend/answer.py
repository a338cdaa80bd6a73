"""One answer of a remote server, put together from the choices of its events."""

from collections.abc import Sequence

from quipu.backend.connection import Json, Server, malformed
from quipu.errors import BackendError
from quipu.request import FinishReason, Piece, Request, TokenLogprob
from quipu.text.stream import TextStream
from quipu.text.tokenizer import Tokenizer

TOKEN_ID = "token_id:"  # how vLLM spells a token with return_tokens_as_token_ids


class RemoteAnswer:
    """Pieces of one answer: from token ids when the server gives them, else from its text."""

    def __init__(self, server: Server, tokenizer: Tokenizer, request: Request, index: int) -> None:
        self.finish_reason: FinishReason | None = None
        self._by_ids = False  # the server gives ids: its text is not needed
        self.stopped_here = False  # ended by a stop id or stop string that was seen here
        self._server = server
        self._tokenizer = tokenizer
        self._request = request
        self._index = index
        self._text = TextStream(
            tokenizer, stop=request.sampling.stop, drop_space=request.drop_space
        )

    def take(self, choice: Json) -> Piece | None:
        """The piece that a choice brings, without an end; None if there is nothing to show."""
        if self.stopped_here:
            return None
        reason = _finish_reason(choice.get("finish_reason"), self._server)
        wanted = self._request.sampling.logprobs
        logprobs: tuple[TokenLogprob, ...] = ()
        if wanted is not None and choice.get("logprobs") is not None:
            logprobs = read_logprobs(choice["logprobs"], self._tokenizer, wanted, self._server)
        ids = choice.get("token_ids")
        if ids is None and logprobs:
            ids = [logprob.token_id for logprob in logprobs]
        text = choice.get("text") or ""
        if not isinstance(text, str):
            raise malformed(self._server, choice)
        if ids is None:
            self.finish_reason = reason
            return None if self._by_ids else self._from_text(text)
        self._by_ids = True
        if not isinstance(ids, list) or not all(self._known(token_id) for token_id in ids):
            raise malformed(self._server, ids)
        piece = self._from_ids(ids, logprobs)
        self.finish_reason = self.finish_reason or reason
        return piece

    def last_piece(self, cached_tokens: int) -> Piece:
        """The end: held-back text and the finish reason, `cancelled` if there was none."""
        return Piece(
            text=self._text.finish(),
            index=self._index,
            finish_reason=self.finish_reason or "cancelled",
            cached_tokens=cached_tokens,
        )

    def _known(self, token_id: object) -> bool:
        return isinstance(token_id, int) and 0 <= token_id < self._tokenizer.vocab

    def _from_ids(self, ids: list[int], logprobs: Sequence[TokenLogprob]) -> Piece | None:
        shown, used = "", 0
        for token_id in ids:
            if token_id in self._request.stop_ids:
                self.stopped_here = True
                break
            shown += self._text.push(token_id)
            used += 1
            if self._text.stopped:
                self.stopped_here = True
                break
        if self.stopped_here:
            self.finish_reason = "stop"
        if not used:
            return None
        return Piece(
            text=shown,
            token_ids=tuple(ids[:used]),
            logprobs=tuple(logprobs[:used]),
            index=self._index,
        )

    def _from_text(self, text: str) -> Piece | None:
        shown = self._text.push_text(text)
        if self._text.stopped:
            self.stopped_here, self.finish_reason = True, "stop"
        if not shown:
            return None
        ids = self._tokenizer.encode(shown, dummy_prefix=False)
        return Piece(text=shown, token_ids=tuple(ids), index=self._index)


def _finish_reason(value: object, server: Server) -> FinishReason | None:
    match value:
        case None | "":
            return None
        case "stop":
            return "stop"
        case "length":
            return "length"
        case "abort" | "cancelled":
            return "cancelled"
    raise BackendError(
        f"server {server} ended the answer for a reason of its own",
        got=value,
        allowed="stop, length",
    )


def read_logprobs(
    value: object, tokenizer: Tokenizer, wanted: int, server: Server
) -> tuple[TokenLogprob, ...]:
    """Log-probabilities of a choice, in the form of OpenAI's completions or of its chats."""
    if not isinstance(value, dict):
        raise malformed(server, value)
    content = value.get("content")
    if isinstance(content, list):
        return tuple(_from_content(entry, tokenizer, wanted, server) for entry in content)
    tokens, logprobs = value.get("tokens"), value.get("token_logprobs")
    if not isinstance(tokens, list) or not isinstance(logprobs, list):
        raise malformed(server, value)
    tops = value.get("top_logprobs") or [None] * len(tokens)
    found = []
    for token, logprob, top in zip(tokens, logprobs, tops, strict=True):
        if not isinstance(logprob, int | float):
            raise malformed(server, value)
        pairs = list(top.items()) if isinstance(top, dict) else []
        found.append(_logprob(token, logprob, pairs, tokenizer, wanted, server))
    return tuple(found)


def _from_content(entry: object, tokenizer: Tokenizer, wanted: int, server: Server) -> TokenLogprob:
    if not isinstance(entry, dict) or not isinstance(entry.get("logprob"), int | float):
        raise malformed(server, entry)
    top = entry.get("top_logprobs") or []
    pairs = [(_spelling(other), other["logprob"]) for other in top]
    return _logprob(_spelling(entry), entry["logprob"], pairs, tokenizer, wanted, server)


def _spelling(entry: Json) -> object:
    return f"{TOKEN_ID}{entry['id']}" if "id" in entry else entry.get("token")


def _logprob(
    token: object,
    logprob: float,
    top: list[tuple[object, float]],
    tokenizer: Tokenizer,
    wanted: int,
    server: Server,
) -> TokenLogprob:
    token_id = _token_id(token, tokenizer)
    if token_id is None:
        raise BackendError(
            f"server {server} names tokens in a way that has no single id",
            got=repr(token),
            remedy="ask without logprobs, or use a server that gives token ids (vLLM does)",
        )
    named = [(_token_id(other, tokenizer), value) for other, value in top]
    known = [(other, value) for other, value in named if other is not None]
    best = sorted(known, key=lambda pair: (-pair[1], pair[0]))[:wanted]
    return TokenLogprob(token_id=token_id, logprob=logprob, top=tuple(best))


def _token_id(token: object, tokenizer: Tokenizer) -> int | None:
    """Id of a token that a server names; None if the name has not exactly one."""
    if not isinstance(token, str):
        return None
    if token.startswith(TOKEN_ID):
        number = token.removeprefix(TOKEN_ID)
        return int(number) if number.isdecimal() and int(number) < tokenizer.vocab else None
    ids = tokenizer.encode(token, dummy_prefix=False)
    return ids[0] if len(ids) == 1 else None
