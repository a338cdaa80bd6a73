"""Text while tokens arrive, against a twin that looks at the whole text after every character."""

from collections.abc import Iterable, Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from quipu.text.stream import TextStream
from quipu.text.tokenizer import Tokenizer

answers = st.text(alphabet=st.sampled_from("ab ab\néa🦙"), max_size=24)
stop_lists = st.lists(
    st.text(alphabet=st.sampled_from("ab \né"), min_size=1, max_size=4), max_size=3
)


def _run(stream: TextStream, ids: Iterable[int]) -> list[str]:
    return [*(stream.push(token_id) for token_id in ids), stream.finish()]


def cut_slowly(text: str, stops: Sequence[str]) -> tuple[str, bool]:
    """The obvious twin: grow the text letter by letter until it ends with a stop string."""
    for end in range(1, len(text) + 1):
        found = [len(stop) for stop in stops if text[:end].endswith(stop)]
        if found:
            return text[: end - max(found)], True
    return text, False


class TestWholeText:
    @given(data=st.data())
    @settings(deadline=None, max_examples=200)
    def test_pieces_of_any_tokens_concatenate_to_the_whole(
        self, any_tokenizer: Tokenizer, data: st.DataObject
    ) -> None:
        ids = data.draw(st.lists(st.integers(0, any_tokenizer.vocab - 1), max_size=30))
        pieces = _run(TextStream(any_tokenizer), ids)
        assert "".join(pieces) == any_tokenizer.decode(ids, dummy_prefix=False)

    @given(text=st.text(max_size=30))
    @settings(deadline=None)
    def test_no_piece_holds_half_a_character(self, tiny: Tokenizer, text: str) -> None:
        ids = tiny.encode(text, dummy_prefix=False)
        pieces = _run(TextStream(tiny), ids)
        assert "".join(pieces) == text
        assert "\ufffd" in text or not any("\ufffd" in piece for piece in pieces)

    def test_a_character_comes_with_its_last_byte(self, handmade: Tokenizer) -> None:
        ids = handmade.encode("🦙", dummy_prefix=False)
        assert _run(TextStream(handmade), ids) == ["", "", "", "🦙", ""]

    def test_half_a_character_at_the_end_is_replaced(self, handmade: Tokenizer) -> None:
        ids = handmade.encode("a🦙", dummy_prefix=False)[:-1]
        assert "".join(_run(TextStream(handmade), ids)) == "a\ufffd"

    def test_without_stop_strings_nothing_is_held_back(self, handmade: Tokenizer) -> None:
        stream = TextStream(handmade)
        ids = handmade.encode("return print")
        assert [stream.push(token_id) for token_id in ids] == [" return", " print"]


class TestLeadingSpace:
    def test_is_kept(self, handmade: Tokenizer) -> None:
        ids = handmade.encode(" print", dummy_prefix=False)
        assert "".join(_run(TextStream(handmade), ids)) == " print"

    @pytest.mark.parametrize(("text", "shown"), [(" a", "a"), ("  a", " a"), ("a", "a"), ("", "")])
    def test_one_is_dropped_on_request(self, handmade: Tokenizer, text: str, shown: str) -> None:
        ids = handmade.encode(text, dummy_prefix=False)
        assert "".join(_run(TextStream(handmade, drop_space=True), ids)) == shown

    def test_only_the_first_is_dropped(self, handmade: Tokenizer) -> None:
        space = handmade.encode(" ", dummy_prefix=False)
        assert "".join(_run(TextStream(handmade, drop_space=True), space * 3)) == "  "

    def test_specials_before_it_do_not_matter(self, handmade: Tokenizer) -> None:
        ids = [1, *handmade.encode(" a", dummy_prefix=False)]
        assert "".join(_run(TextStream(handmade, drop_space=True), ids)) == "a"


class TestForced:
    @given(text=st.text(alphabet=st.sampled_from("ab 🦙é"), max_size=8), data=st.data())
    @settings(deadline=None)
    def test_bytes_are_cut_from_the_front(
        self, tiny: Tokenizer, text: str, data: st.DataObject
    ) -> None:
        ids = tiny.encode(text, dummy_prefix=False)
        size = data.draw(st.integers(0, len(text)))
        stream = TextStream(tiny, forced=text[:size].encode())
        assert "".join(_run(stream, ids)) == text[size:]

    def test_may_end_inside_a_character(self, handmade: Tokenizer) -> None:
        llama = "🦙".encode()
        ids = [3 + byte for byte in llama[2:]] + handmade.encode("a", dummy_prefix=False)
        assert "".join(_run(TextStream(handmade, forced=llama[2:]), ids)) == "a"

    def test_what_differs_is_shown(self, handmade: Tokenizer) -> None:
        ids = handmade.encode("b", dummy_prefix=False)
        assert "".join(_run(TextStream(handmade, forced=b"a"), ids)) == "b"

    def test_is_cut_before_stop_strings_are_looked_for(self, handmade: Tokenizer) -> None:
        ids = handmade.encode("print", dummy_prefix=False)
        stream = TextStream(handmade, forced=b"pr", stop=("pri", "in"))
        assert "".join(_run(stream, ids)) == ""
        assert stream.stopped


class TestStopStrings:
    @given(text=answers, stops=stop_lists)
    @example(text="abab", stops=["b"])
    @example(text="aab", stops=["aabb", "ab"])
    @example(text="abc", stops=["bc", "abc"])
    @settings(deadline=None, max_examples=300)
    def test_cut_as_the_slow_twin_cuts(self, tiny: Tokenizer, text: str, stops: list[str]) -> None:
        stream = TextStream(tiny, stop=tuple(stops))
        shown = "".join(_run(stream, tiny.encode(text, dummy_prefix=False)))
        assert (shown, stream.stopped) == cut_slowly(text, stops)

    @given(text=answers, stops=stop_lists)
    @settings(deadline=None, max_examples=200)
    def test_how_the_text_is_cut_into_tokens_changes_nothing(
        self, handmade: Tokenizer, tiny: Tokenizer, text: str, stops: list[str]
    ) -> None:
        shown = [
            "".join(_run(TextStream(tokenizer, stop=stops), ids))
            for tokenizer, ids in (
                (tiny, tiny.encode(text, dummy_prefix=False)),
                (handmade, [3 + byte for byte in text.encode()]),
            )
        ]
        assert shown[0] == shown[1]

    def test_what_may_become_one_is_held_back_and_no_more(self, handmade: Tokenizer) -> None:
        stream = TextStream(handmade, stop=("aab",))
        ids = [handmade.encode(letter, dummy_prefix=False)[0] for letter in "xaaab"]
        assert [stream.push(token_id) for token_id in ids] == ["x", "", "", "a", ""]
        assert stream.stopped
        assert stream.finish() == ""

    def test_what_was_held_back_comes_at_the_end(self, handmade: Tokenizer) -> None:
        stream = TextStream(handmade, stop=("print(",))
        ids = handmade.encode("print", dummy_prefix=False)
        assert [stream.push(token_id) for token_id in ids] == [""]
        assert stream.finish() == "print"
        assert not stream.stopped

    def test_nothing_comes_after_one(self, handmade: Tokenizer) -> None:
        stream = TextStream(handmade, stop=("\n",))
        ids = handmade.encode("a\nb", dummy_prefix=False)
        assert "".join(_run(stream, ids)) == "a"
        assert stream.push(ids[0]) == ""

    def test_a_special_is_no_text(self, handmade: Tokenizer) -> None:
        stream = TextStream(handmade, stop=("</s>",))
        assert stream.push(2) == ""
        assert not stream.stopped

    def test_less_is_held_back_than_the_longest_stop_string(self, tiny: Tokenizer) -> None:
        # So each token costs the same, however long the answer has grown.
        stream = TextStream(tiny, stop=("a" * 50 + "b", "ab", "\n\n"))
        pushed = shown = 0
        for token_id in tiny.encode("a" * 2_000, dummy_prefix=False):
            pushed += len(tiny.token_bytes[token_id])
            shown += len(stream.push(token_id))
            assert pushed - shown < 51
        assert not stream.stopped
