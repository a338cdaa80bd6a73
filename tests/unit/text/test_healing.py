"""Healing of prompts that end inside a token."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quipu.text import infill
from quipu.text.healing import CUT_LIMIT, PrefixConstraint, heal
from quipu.text.stream import TextStream
from quipu.text.tokenizer import Tokenizer
from unit.text.vocabularies import handmade_model

texts = st.lists(
    st.sampled_from(["def ", "ret", "urn", " x", "pri", "(", "\n", "    ", "é", "🦙", "▁", "in"]),
    max_size=6,
).map("".join)


def allowed_slowly(tokenizer: Tokenizer, forced: bytes, done: bytes) -> list[int] | None:
    """The obvious twin: look at every token of the vocabulary."""
    if len(done) >= len(forced):
        return None
    rest = forced[len(done) :]
    return [
        token_id
        for token_id, data in enumerate(tokenizer.token_bytes)
        if data and (data.startswith(rest) or rest.startswith(data))
    ]


def _text(tokenizer: Tokenizer, ids: list[int]) -> bytes:
    return b"".join(tokenizer.token_bytes[token_id] for token_id in ids)


class TestHeal:
    def test_a_word_that_goes_on_is_cut(self, handmade: Tokenizer) -> None:
        ids = [1, *handmade.encode("x = pri")]
        kept, forced = heal(handmade, ids)
        assert handmade.decode(kept) == "x ="
        assert forced == b" pri"

    def test_several_tokens_are_cut_when_they_begin_one_longer_token(
        self, handmade: Tokenizer
    ) -> None:
        ids = [1, *handmade.encode("retur")]
        assert [handmade.token_bytes[token_id] for token_id in ids[-2:]] == [b" retu", b"r"]
        assert heal(handmade, ids) == ([1], b" retur")

    @pytest.mark.parametrize("text", ["x\n", "x = 1", "return", "", "f(🦙", "▁"])
    def test_a_text_that_no_token_goes_on_with_is_left_alone(
        self, handmade: Tokenizer, text: str
    ) -> None:
        ids = [1, *handmade.encode(text)]
        assert heal(handmade, ids) == (ids, b"")

    def test_a_trailing_space_is_cut(self, handmade: Tokenizer) -> None:
        kept, forced = heal(handmade, [1, *handmade.encode("x = ")])
        assert (handmade.decode(kept), forced) == ("x =", b" ")

    def test_the_first_id_is_never_cut(self, handmade: Tokenizer) -> None:
        ids = handmade.encode("pri", dummy_prefix=False)
        assert heal(handmade, ids)[0][:1] == ids[:1]
        assert heal(handmade, ids[:1]) == (ids[:1], b"")
        assert heal(handmade, []) == ([], b"")

    def test_the_limit_is_kept(self, handmade: Tokenizer) -> None:
        letters = [handmade.encode(letter, dummy_prefix=False)[0] for letter in "prin"]
        assert heal(handmade, [1, *letters]) == ([1], b"prin")
        assert heal(handmade, [1, *letters], limit=0) == ([1, *letters], b"")
        assert len(heal(handmade, [1, *letters], limit=2)[0]) >= 3

    @given(text=texts)
    @settings(deadline=None)
    def test_what_is_cut_is_the_end_of_the_text(self, any_tokenizer: Tokenizer, text: str) -> None:
        begin = [any_tokenizer.specials["<s>"]] if "<s>" in any_tokenizer.specials else [0]
        ids = [*begin, *any_tokenizer.encode(text)]
        kept, forced = heal(any_tokenizer, ids)
        assert kept == ids[: len(kept)]
        assert len(ids) - len(kept) <= CUT_LIMIT
        assert _text(any_tokenizer, kept) + forced == _text(any_tokenizer, ids)

    @given(text=texts)
    @settings(deadline=None)
    def test_something_is_cut_if_and_only_if_a_longer_token_goes_on(
        self, tiny: Tokenizer, text: str
    ) -> None:
        ids = [1, *tiny.encode(text)]
        endings = [
            _text(tiny, ids[-count:]) for count in range(1, min(CUT_LIMIT, len(ids) - 1) + 1)
        ]
        goes_on = [
            ending
            for ending in endings
            if any(data.startswith(ending) and data != ending for data in tiny.token_bytes)
        ]
        assert heal(tiny, ids)[1] == (goes_on[-1] if goes_on else b"")


class TestInfilling:
    def test_spm_prompts_are_healed_at_the_end_of_the_prefix(self, handmade: Tokenizer) -> None:
        ids = infill.prompt(handmade, "pri", "(x)", "spm")
        kept, forced = heal(handmade, ids)
        assert kept == ids[: len(kept)]
        assert forced == b" pri"
        assert kept[-1] == 356

    def test_psm_prompts_are_left_alone(self, handmade: Tokenizer) -> None:
        ids = infill.prompt(handmade, "pri", "(x)", "psm")
        assert heal(handmade, ids) == (ids, b"")


class TestPrefixConstraint:
    @given(text=texts, data=st.data())
    @settings(deadline=None)
    def test_allows_what_the_slow_twin_allows_on_every_way(
        self, any_tokenizer: Tokenizer, text: str, data: st.DataObject
    ) -> None:
        forced = text.encode()[-8:]  # may begin inside a character
        constraint = PrefixConstraint(any_tokenizer, forced)
        generated: list[int] = []
        while True:
            done = _text(any_tokenizer, generated)
            allowed = constraint.allowed(generated)
            expected = allowed_slowly(any_tokenizer, forced, done)
            assert (None if allowed is None else allowed.tolist()) == expected
            if allowed is None:
                break
            assert len(allowed)
            generated.append(int(data.draw(st.sampled_from(allowed.tolist()))))
        assert done.startswith(forced)

    def test_the_longer_token_is_among_the_allowed(self, handmade: Tokenizer) -> None:
        _, forced = heal(handmade, [1, *handmade.encode("pri")])
        allowed = PrefixConstraint(handmade, forced).allowed([])
        assert allowed is not None
        assert set(handmade.encode("print")) <= set(allowed.tolist())

    def test_nothing_is_forced_by_nothing(self, handmade: Tokenizer) -> None:
        assert PrefixConstraint(handmade, b"").allowed([]) is None

    def test_specials_are_never_allowed(self, any_tokenizer: Tokenizer) -> None:
        allowed = PrefixConstraint(any_tokenizer, b" ").allowed([])
        assert allowed is not None
        assert not set(any_tokenizer.specials.values()) & set(allowed.tolist())


def test_a_healed_answer_shows_only_what_follows_the_cursor() -> None:
    tokenizer = Tokenizer.from_files({"tokenizer.model": handmade_model()})
    _, forced = heal(tokenizer, [1, *tokenizer.encode("x = pri")])
    stream = TextStream(tokenizer, forced=forced)
    answer = tokenizer.encode(" print(x)", dummy_prefix=False)
    assert "".join([*(stream.push(i) for i in answer), stream.finish()]) == "nt(x)"
