"""Safe boundaries: the ids of chunks, end to end, are those of the text."""

import functools
import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quipu.errors import TextError
from quipu.text.boundaries import Boundaries
from quipu.text.encoder import LONGEST_CACHED, Encoder
from quipu.text.tokenizer import Tokenizer
from quipu.wire import BYTES, VARINT, Field, write_fields
from unit.text.vocabularies import (
    BYTE,
    CONTROL,
    NORMAL,
    UNKNOWN,
    USER_DEFINED,
    from_json,
    llama_json,
    piece_field,
    source_texts,
)

UNUSED = 5
LETTERS = "abc▁.(é\n9"

odd = st.sampled_from(
    [
        *("\t", "\r\n", "\n", "\0", " ", "  ", "    ", "\x0c", "\u00a0", "\u3000", "\ufeff", "_"),
        *("▁", "▁▁", " ▁ ", "🦙", "👩\u200d👧", "\u00e9", "e\u0301", "\ufb01", "\u200d", "\ufffd"),
        *(
            "<PRE>",
            " <PRE>",
            "▁<PRE>",
            "<s>",
            "</s>",
            "<unk>",
            "<0x0A>",
            "def ",
            "return",
            "print(",
        ),
        *(
            "\U0010ffff",
            "\uffff",
            "ab",
            "abc",
            "aabb",
            "(a.",
            ".(",
            "éa",
            "99",
            "aaaaaaa",
            " a b c",
        ),
    ]
)
texts = st.lists(st.one_of(odd, st.text(max_size=4), st.text("abc .(é\n9", max_size=9))).map(
    "".join
)


def model(pieces: list[tuple[str, float, int]], charsmap: bytes = b"", kind: int = 2) -> bytes:
    """A SentencePiece model of just these pieces, ends and bytes."""
    fields = [piece_field("<unk>", kind=UNKNOWN)]
    fields += [piece_field(name, kind=CONTROL) for name in ("<s>", "</s>")]
    fields += [piece_field(f"<0x{byte:02X}>", kind=BYTE) for byte in range(256)]
    fields += [piece_field(*piece) for piece in pieces]
    trainer = [Field(3, VARINT, kind), Field(35, VARINT, 1)]
    normalizer = [Field(1, BYTES, b"identity"), Field(2, BYTES, charsmap), Field(4, VARINT, 0)]
    return write_fields(
        [*fields, Field(2, BYTES, write_fields(trainer)), Field(3, BYTES, write_fields(normalizer))]
    )


def tokenizer_of(pieces: list[tuple[str, float, int]]) -> Tokenizer:
    pieces = [("▁", -99.0, NORMAL), *pieces]  # without it no space could be spelled
    return Tokenizer.from_files({"tokenizer.model": model(pieces)})


@st.composite
def vocabularies(draw: st.DrawFn) -> Tokenizer:
    """Random pieces, equal scores among them; some letters are pieces only beside others."""
    found = draw(st.lists(st.text(LETTERS, min_size=1, max_size=4), unique=True, max_size=40))
    pieces = [
        (
            text,
            -float(draw(st.integers(0, 20))),
            draw(st.sampled_from([NORMAL, NORMAL, NORMAL, USER_DEFINED, CONTROL])),
        )
        for text in found
        if text != "▁"
    ]
    return tokenizer_of(pieces)


@functools.lru_cache(maxsize=4)
def known(tokenizer: Tokenizer) -> tuple[Boundaries, str]:
    """Boundaries, and all pieces apart from each other: half a character is in no text."""
    boundaries = Boundaries.of(tokenizer)
    assert boundaries is not None
    assert tokenizer.joined is not None
    return boundaries, "\ud800".join(tokenizer.joined)


def check(tokenizer: Tokenizer, text: str) -> None:
    """The chunks of a text, and the places between its ids, are what they claim to be."""
    boundaries, joined = known(tokenizer)
    ids = tokenizer.encode(text)
    whole = " " + text if text and tokenizer.adds_space else text
    chunks = boundaries.chunks(whole)
    assert "".join(chunks) == whole
    assert [i for c in chunks for i in tokenizer.encode(c, dummy_prefix=False)] == ids
    for a, b in pairwise(whole):
        assert boundaries.safe(a, b) == (a + b not in joined)
    for left, right in pairwise(chunks):
        assert boundaries.safe(left[-1], right[0])
    for chunk in chunks:
        assert not any(boundaries.safe(a, b) for a, b in pairwise(chunk))
    places = boundaries.between(ids)
    data = [tokenizer.token_bytes[token_id] for token_id in ids]
    for place in range(len(ids) + 1):
        before, after = boundaries.before(ids, place), boundaries.after(ids, place)
        assert places[before]
        assert places[after]
        assert not places[before + 1 : place + 1].any()
        assert not places[place:after].any()
        if places[place]:
            begin = b"".join(data[:place]).decode()  # a whole number of characters
            end = b"".join(data[place:]).decode()
            assert tokenizer.encode(begin, dummy_prefix=False) == ids[:place]
            assert tokenizer.encode(end, dummy_prefix=False) == ids[place:]


@given(tokenizer=vocabularies(), text=texts)
@settings(deadline=None, max_examples=200)
def test_chunks_of_any_vocabulary_encode_alone_as_they_do_together(
    tokenizer: Tokenizer, text: str
) -> None:
    check(tokenizer, text)


@given(text=texts)
@settings(deadline=None, max_examples=200)
def test_chunks_of_a_trained_vocabulary_do(tiny: Tokenizer, text: str) -> None:
    check(tiny, text)


@given(text=texts)
@settings(deadline=None, max_examples=100)
def test_chunks_of_a_vocabulary_made_by_hand_do(handmade: Tokenizer, text: str) -> None:
    check(handmade, text)


@given(text=texts)
@settings(deadline=None, max_examples=50)
def test_chunks_of_code_llama_do(code_llama: Tokenizer, text: str) -> None:
    check(code_llama, text)


@pytest.mark.parametrize("metaspace", [False, True])
def test_chunks_of_its_tokenizer_json_do(tiny_model: bytes, metaspace: bool) -> None:
    tokenizer = from_json(llama_json(tiny_model, metaspace=metaspace))

    @given(text=texts)
    @settings(deadline=None, max_examples=100)
    def any_text(text: str) -> None:
        check(tokenizer, text)

    any_text()


def test_chunks_of_source_code_do(tiny: Tokenizer) -> None:
    boundaries = Boundaries.of(tiny)
    assert boundaries is not None
    for text in filter(None, source_texts()):
        ids = tiny.encode(text)
        chunks = boundaries.chunks(" " + text)
        assert [i for c in chunks for i in tiny.encode(c, dummy_prefix=False)] == ids
        # Here every letter is a piece, so ids tell all that the text does.
        assert boundaries.between(ids).sum() == len(chunks) + 1
        assert len(chunks) > len(text) / 6


def test_what_a_piece_joins_is_not_safe() -> None:
    boundaries = Boundaries.of(tokenizer_of([("▁a", -1.0, NORMAL), ("ab", -2.0, USER_DEFINED)]))
    assert boundaries is not None
    assert boundaries.chunks(" abba a▁a") == [" ab", "b", "a", " a", "▁", "a"]
    assert boundaries.chunks("") == []


def test_bytes_of_a_letter_that_is_a_piece_only_beside_others_are_not_safe() -> None:
    tokenizer = tokenizer_of([("éa", -1.0, NORMAL), ("a", -2.0, NORMAL)])
    boundaries = Boundaries.of(tokenizer)
    assert boundaries is not None
    ids = tokenizer.encode("éza", dummy_prefix=False)  # two bytes, then z, which is a byte too
    assert boundaries.between(ids).tolist() == [True, False, True, True, True]
    ids = tokenizer.encode("🦙a", dummy_prefix=False)
    assert boundaries.between(ids).tolist() == [True, False, False, False, False, True]


def test_vocabularies_that_are_not_local_have_no_boundaries(tiny_model: bytes) -> None:
    unused = tokenizer_of([("ab", -1.0, UNUSED), ("abc", -2.0, NORMAL)])
    unigram = Tokenizer.from_files({"tokenizer.model": model([("▁", -1.0, NORMAL)], kind=1)})
    added = {"id": 9999, "content": "return", "special": False, "single_word": False}
    added |= {"lstrip": False, "rstrip": False, "normalized": False}
    parsed = json.loads(llama_json(tiny_model))
    matched = parsed | {"added_tokens": [*parsed["added_tokens"], added]}
    eager = parsed | {"model": parsed["model"] | {"ignore_merges": True}}
    split = parsed | {"pre_tokenizer": {"type": "Digits", "individual_digits": True}}
    others = [from_json(json.dumps(data).encode()) for data in (matched, eager, split)]
    for tokenizer in [unused, unigram, *others]:
        assert Boundaries.of(tokenizer) is None
        assert Encoder(tokenizer).encode("return ab").tolist() == tokenizer.encode("return ab")


class TestEncoder:
    @given(text=texts, dummy_prefix=st.booleans())
    @settings(deadline=None, max_examples=200)
    def test_gives_the_ids_of_the_tokenizer(
        self, any_tokenizer: Tokenizer, text: str, dummy_prefix: bool
    ) -> None:
        encoder = Encoder(any_tokenizer, cached_chunks=3)
        expected = any_tokenizer.encode(text, dummy_prefix=dummy_prefix)
        for _ in range(2):
            assert encoder.encode(text, dummy_prefix=dummy_prefix).tolist() == expected

    def test_gives_the_ids_of_texts_longer_than_a_block(
        self, tiny: Tokenizer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("quipu.text.encoder._BLOCK", 7)
        encoder = Encoder(tiny)
        for text in [*source_texts()[:2], "x" * 100, " " * 50, "abcdefg", "abcdefgh"]:
            assert encoder.encode(text).tolist() == tiny.encode(text)

    def test_keeps_no_more_chunks_than_it_may(self, tiny: Tokenizer) -> None:
        encoder = Encoder(tiny, cached_chunks=10)
        encoder.encode(source_texts()[0])
        assert len(encoder._known) <= 10
        encoder.encode("x" * (LONGEST_CACHED + 1))
        assert max(map(len, encoder._known)) <= LONGEST_CACHED

    def test_refuses_a_lone_surrogate(self, any_tokenizer: Tokenizer) -> None:
        with pytest.raises(TextError, match="lone surrogate"):
            Encoder(any_tokenizer).encode("a\udfffb")

    def test_ids_are_as_wide_as_the_vocabulary(self, tiny_model: bytes) -> None:
        tokenizer = Tokenizer.from_files({"tokenizer.model": tiny_model})
        for vocab, dtype in ((2**16, "uint16"), (2**16 + 1, "uint32")):
            tokenizer.vocab = vocab
            ids = Encoder(tokenizer).encode("return x")
            assert ids.dtype == dtype
            assert ids.tolist() == tokenizer.encode("return x")
