"""Chat prompts, samples and masks. Golden ids are in tests/golden/text."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quipu.config import ChatFormat
from quipu.errors import AbilityError, UsageError
from quipu.text import chat
from quipu.text.chat import Message, Role
from quipu.text.tokenizer import Tokenizer
from unit.text.vocabularies import byte_level_json, from_json, handmade_model

both_formats = pytest.mark.parametrize("format", ["inst", "source"])
contents = st.text(alphabet=st.sampled_from("ab (\n\té🦙<"), max_size=8)


@pytest.fixture(scope="module")
def stepping() -> Tokenizer:
    """A vocabulary with `<step>`, whose id is 354."""
    return Tokenizer.from_files({"tokenizer.model": handmade_model(["<step>"])})


def _conversation(*contents: str, system: str | None = None) -> list[Message]:
    messages = [] if system is None else [Message(role="system", content=system)]
    roles: Sequence[Role] = ("user", "assistant")
    for position, content in enumerate(contents):
        messages.append(Message(role=roles[position % 2], content=content))
    return messages


def _trained_text(tokenizer: Tokenizer, ids: list[int], mask: list[bool]) -> str:
    trained = [token_id for token_id, on in zip(ids, mask, strict=True) if on]
    return tokenizer.decode(trained, dummy_prefix=False)


@both_formats
@given(
    system=st.none() | contents,
    turns=st.lists(st.tuples(contents, contents), min_size=1, max_size=3),
)
@settings(deadline=None)
def test_a_sample_is_the_prompt_for_its_last_answer_and_then_the_answer(
    stepping: Tokenizer, format: ChatFormat, system: str | None, turns: list[tuple[str, str]]
) -> None:
    messages = _conversation(*(content for turn in turns for content in turn), system=system)
    ids, mask = chat.document(stepping, messages, format)
    prompt = chat.prompt(stepping, messages[:-1], format)
    assert ids[: len(prompt)] == prompt
    assert all(mask[len(prompt) :])
    assert stepping.decode(ids[len(prompt) :], dummy_prefix=False).strip() == (turns[-1][1].strip())
    assert len(ids) == len(mask)


@both_formats
def test_answers_and_their_ends_are_trained_and_nothing_else(
    stepping: Tokenizer, format: ChatFormat
) -> None:
    messages = _conversation("a b", "first one", "c", "last one", system="be good")
    ids, mask = chat.document(stepping, messages, format)
    answers = " first one  last one " if format == "inst" else " first onelast one"
    assert _trained_text(stepping, ids, mask) == answers
    end = chat.stop_ids(stepping, format)[0]
    ends = [on for token_id, on in zip(ids, mask, strict=True) if token_id == end]
    assert ends == ([True, True] if format == "inst" else [False, False, True, False, True])
    assert ids[-1] == end


@both_formats
def test_an_empty_answer_still_trains_its_end(stepping: Tokenizer, format: ChatFormat) -> None:
    ids, mask = chat.document(stepping, _conversation("a", ""), format)
    assert _trained_text(stepping, ids, mask).strip() == ""
    assert mask[-1]


def test_a_byte_level_vocabulary_can_chat_too() -> None:
    tokenizer = from_json(byte_level_json())
    ids, mask = chat.document(tokenizer, _conversation("a", "b", "c", "d"))
    assert tokenizer.decode(ids) == "[INST] a [/INST] b [INST] c [/INST] d "
    assert _trained_text(tokenizer, ids, mask) == " b  d "


def test_inst_folds_the_system_message_into_the_first_question(handmade: Tokenizer) -> None:
    ids = chat.prompt(handmade, _conversation(" hi ", system=" be good "))
    text = "[INST] <<SYS>>\n be good \n<</SYS>>\n\n hi [/INST]"
    assert ids == [1, *handmade.encode(text)]


def test_inst_writes_each_turn_as_one_string_between_begin_and_end(handmade: Tokenizer) -> None:
    ids = chat.prompt(handmade, _conversation("a ", " b", "c"))
    first, last = handmade.encode("[INST] a [/INST] b "), handmade.encode("[INST] c [/INST]")
    assert ids == [1, *first, 2, 1, *last]


def test_source_encodes_each_piece_on_its_own(stepping: Tokenizer) -> None:
    def header(role: str) -> list[int]:
        return stepping.encode(f" Source: {role}")

    ids = chat.prompt(stepping, _conversation(" a"))
    ask = [*header("assistant\nDestination: user"), *stepping.encode("\n\n ")]
    user = [*header("user"), *stepping.encode("\n\n a"), 354]
    assert ids == [1, *header("system"), 354, *user, *ask]


def test_the_format_follows_the_vocabulary(handmade: Tokenizer, stepping: Tokenizer) -> None:
    messages = _conversation("a")
    assert chat.prompt(handmade, messages) == chat.prompt(handmade, messages, "inst")
    assert chat.prompt(stepping, messages) == chat.prompt(stepping, messages, "source")
    assert chat.stop_ids(handmade) == (2,)
    assert chat.stop_ids(stepping) == (354, 2)
    assert chat.stop_ids(stepping, "inst") == (2,)


def test_a_format_whose_end_the_vocabulary_lacks_is_refused(handmade: Tokenizer) -> None:
    for ask in (
        lambda: chat.prompt(handmade, _conversation("a"), "source"),
        lambda: chat.document(handmade, _conversation("a", "b"), "source"),
        lambda: chat.stop_ids(handmade, "source"),
    ):
        with pytest.raises(AbilityError, match="no token that ends an answer; got chat format sou"):
            ask()


@pytest.mark.parametrize(
    ("roles", "got"),
    [
        ("", "no messages"),
        ("s", "a system message alone"),
        ("a", "'assistant' where 'user' was due"),
        ("ua", "'assistant' last"),
        ("uu", "'user' where 'assistant' was due"),
        ("us", "'system' where 'assistant' was due"),
        ("ssu", "'system' where 'user' was due"),
        ("uasu", "'system' where 'user' was due"),
    ],
)
def test_a_conversation_out_of_order_is_refused(handmade: Tokenizer, roles: str, got: str) -> None:
    names: dict[str, Role] = {"s": "system", "u": "user", "a": "assistant"}
    messages = [Message(role=names[letter], content="x") for letter in roles]
    with pytest.raises(UsageError, match=f"out of order; got {got}; allowed: system"):
        chat.prompt(handmade, messages)


def test_a_sample_must_end_with_an_answer(handmade: Tokenizer) -> None:
    with pytest.raises(UsageError, match=r"'user' last.*assistant last"):
        chat.document(handmade, _conversation("a"))


@pytest.mark.parametrize("tag", chat.TAGS)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_tag_in_any_content_is_refused_unless_allowed(
    stepping: Tokenizer, tag: str, place: int
) -> None:
    messages = _conversation("a", "b", "c")
    changed = Message(role=messages[place].role, content=f"x{tag}y")
    messages[place] = changed
    with pytest.raises(UsageError, match="spells a tag of the chat format; got"):
        chat.prompt(stepping, messages)
    ids = chat.prompt(stepping, messages, allow_tags=True)
    assert ids.count(354) == 4  # the system's, and those of three messages: none from the content
    assert tag in stepping.decode(ids)
