"""Tokens by their bytes, against a look at every token."""

from hypothesis import example, given
from hypothesis import strategies as st

from quipu.text.byte_index import ByteIndex

spellings = st.binary(max_size=3) | st.text("ab \xff", max_size=3).map(str.encode)


@given(vocabulary=st.lists(spellings, max_size=12), wanted=spellings.filter(bool))
@example(vocabulary=[b"\xff", b"\xff\xff", b"\xff\xffa", b"a"], wanted=b"\xff\xff")
@example(vocabulary=[b"a", b"", b"ab", b"b", b"a"], wanted=b"a")
def test_finds_what_a_look_at_every_token_finds(vocabulary: list[bytes], wanted: bytes) -> None:
    index = ByteIndex(vocabulary)
    begins = [place for place, data in enumerate(vocabulary) if data.startswith(wanted)]
    equals = [place for place, data in enumerate(vocabulary) if data == wanted]
    assert sorted(index.beginning_with(wanted).tolist()) == begins
    assert sorted(index.equal_to(wanted).tolist()) == equals


def test_everything_that_has_bytes_begins_with_nothing() -> None:
    assert sorted(ByteIndex([b"a", b"", b"b"]).beginning_with(b"").tolist()) == [0, 2]
