"""Chat prompts and training samples: the one place where both formats are written.

`inst` (7B to 34B), every turn one string, the system message folded into the first user message:

    BOS "[INST] {user} [/INST] {answer} " EOS   for each past turn
    BOS "[INST] {user} [/INST]"                 to ask for an answer, ended by EOS

`source` (70B), every quoted string encoded on its own, an empty system message where there is none:

    BOS
    " Source: {role}" "\\n\\n {content}" <step>           for each past message
    " Source: assistant\\nDestination: user" "\\n\\n "   to ask for an answer, ended by <step>

Contents are stripped. The space that an answer begins with belongs to the format: such a request
sets `drop_space`. A training sample is the prompt for its last answer, then that answer; past
answers are trained in the form in which that prompt shows them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, assert_never

from quipu.config import ChatFormat
from quipu.errors import AbilityError, UsageError
from quipu.text.tokenizer import Tokenizer

Role = Literal["system", "user", "assistant"]

# Spelled in a content, these would look like the format's own to a model.
TAGS = ("[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "<step>")


@dataclass(frozen=True, kw_only=True)
class Message:
    """One message of a conversation."""

    role: Role
    content: str


class _Part(NamedTuple):
    """Tokens of a sample, and whether they are trained."""

    ids: Sequence[int]
    trained: bool = False


def prompt(
    tokenizer: Tokenizer,
    messages: Sequence[Message],
    format: ChatFormat | None = None,
    *,
    allow_tags: bool = False,
) -> list[int]:
    """Token ids that ask for the answer to the last message, which is the user's.

    `format` None is `source` for a vocabulary with `<step>`, else `inst`. A system message, if any,
    comes first; then user and assistant alternate. Contents never become control tokens; one that
    spells a tag of the formats is refused unless `allow_tags`.

    Raises UsageError for a wrong order or a tag, AbilityError if the vocabulary lacks the format's
    end token.
    """
    _check(messages, last="user", allow_tags=allow_tags)
    return [token_id for part in _prompt(tokenizer, messages, format) for token_id in part.ids]


def document(
    tokenizer: Tokenizer,
    messages: Sequence[Message],
    format: ChatFormat | None = None,
    *,
    allow_tags: bool = False,
) -> tuple[list[int], list[bool]]:
    """Token ids of a training sample that ends with an answer, and which of them are trained.

    Trained are the tokens of every answer and the token that ends it. Raises as `prompt` does.
    """
    _check(messages, last="assistant", allow_tags=allow_tags)
    answer = messages[-1].content.strip()
    chosen = _format(tokenizer, format)
    ids = tokenizer.encode(f" {answer} " if chosen == "inst" else answer, dummy_prefix=False)
    parts = _prompt(tokenizer, messages[:-1], format)
    parts.append(_Part([*ids, _end_id(tokenizer, chosen)], True))
    tokens = [token_id for part in parts for token_id in part.ids]
    return tokens, [part.trained for part in parts for _ in part.ids]


def stop_ids(tokenizer: Tokenizer, format: ChatFormat | None = None) -> tuple[int, ...]:
    """Ids that end an answer, the format's own first. Raises AbilityError if it is missing."""
    own = _end_id(tokenizer, _format(tokenizer, format))
    return (own,) if tokenizer.eos_id in (None, own) else (own, tokenizer.eos_id)


def _prompt(
    tokenizer: Tokenizer, messages: Sequence[Message], format: ChatFormat | None
) -> list[_Part]:
    chosen = _format(tokenizer, format)
    if chosen == "inst":
        return _inst_prompt(tokenizer, messages)
    if chosen == "source":
        return _source_prompt(tokenizer, messages)
    assert_never(chosen)


def _inst_prompt(tokenizer: Tokenizer, messages: Sequence[Message]) -> list[_Part]:
    texts = _folded(messages)
    parts = []
    for user, answer in zip(texts[:-1:2], texts[1::2], strict=True):
        parts += _inst_turn(tokenizer, user, answer)
    _end_id(tokenizer, "inst")
    parts.append(_Part([*_begin(tokenizer), *tokenizer.encode(_inst_question(texts[-1]))]))
    return parts


def _inst_turn(tokenizer: Tokenizer, user: str, answer: str) -> list[_Part]:
    question = _inst_question(user)
    ids = tokenizer.encode(f"{question} {answer} ")
    split = _first_token_beyond(tokenizer, ids, len(question.encode()))
    return [
        _Part([*_begin(tokenizer), *ids[:split]]),
        _Part([*ids[split:], _end_id(tokenizer, "inst")], True),
    ]


def _inst_question(user: str) -> str:
    return f"[INST] {user} [/INST]"


def _folded(messages: Sequence[Message]) -> list[str]:
    """Contents of user and assistant in turn, the system's put into the first."""
    contents = [message.content for message in messages]
    if messages[0].role == "system":
        contents[:2] = [f"<<SYS>>\n{contents[0]}\n<</SYS>>\n\n{contents[1]}"]
    return [content.strip() for content in contents]


def _source_prompt(tokenizer: Tokenizer, messages: Sequence[Message]) -> list[_Part]:
    step_id = _end_id(tokenizer, "source")
    if messages[0].role != "system":
        messages = [Message(role="system", content=""), *messages]
    parts = [_Part(_begin(tokenizer))]
    for message in messages:
        parts.append(_Part(tokenizer.encode(f" Source: {message.role}")))
        parts += _source_content(tokenizer, message, step_id)
    parts.append(_Part(tokenizer.encode(" Source: assistant\nDestination: user")))
    parts.append(_Part(tokenizer.encode("\n\n ")))
    return parts


def _source_content(tokenizer: Tokenizer, message: Message, step_id: int) -> list[_Part]:
    content = message.content.strip()
    ids = tokenizer.encode(f"\n\n {content}") if content else []
    trained = message.role == "assistant"
    split = _first_token_beyond(tokenizer, ids, len("\n\n"))
    return [_Part(ids[:split]), _Part([*ids[split:], step_id], trained)]


def _first_token_beyond(tokenizer: Tokenizer, ids: Sequence[int], size: int) -> int:
    """Position of the first token that holds a byte beyond the first `size` of the text."""
    size += tokenizer.adds_space
    for position, token_id in enumerate(ids):
        size -= len(tokenizer.token_bytes[token_id])
        if size < 0:
            return position
    return len(ids)


def _begin(tokenizer: Tokenizer) -> list[int]:
    return [] if tokenizer.bos_id is None else [tokenizer.bos_id]


def _format(tokenizer: Tokenizer, format: ChatFormat | None) -> ChatFormat:
    return format or ("inst" if tokenizer.step_id is None else "source")


def _end_id(tokenizer: Tokenizer, format: ChatFormat) -> int:
    end_id = tokenizer.eos_id if format == "inst" else tokenizer.step_id
    if end_id is None:
        raise AbilityError(
            "vocabulary has no token that ends an answer",
            got=f"chat format {format}",
            allowed="inst needs an end token, source needs <step>",
            remedy="use a model tuned for chat",
        )
    return end_id


def _check(messages: Sequence[Message], *, last: Role, allow_tags: bool) -> None:
    turns = messages[1:] if messages and messages[0].role == "system" else messages
    for position, message in enumerate(turns):
        expected = "assistant" if position % 2 else "user"
        if message.role != expected:
            raise _wrong_order(f"{message.role!r} where {expected!r} was due", last)
    if not turns:
        raise _wrong_order("no messages" if not messages else "a system message alone", last)
    if turns[-1].role != last:
        raise _wrong_order(f"{turns[-1].role!r} last", last)
    if allow_tags:
        return
    for message in messages:
        for tag in TAGS:
            if tag in message.content:
                raise UsageError(
                    f"{message.role} message spells a tag of the chat format",
                    got=tag,
                    remedy="take it out, or allow tags in contents",
                )


def _wrong_order(got: str, last: Role) -> UsageError:
    return UsageError(
        "conversation out of order",
        got=got,
        allowed=f"system (first, or not at all), then user and assistant in turn, {last} last",
    )
