"""Fields of a serialized protocol buffer."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quipu.wire import BYTES, FIXED32, FIXED64, VARINT, Field, read_fields, write_fields

numbers = st.integers(1, 2**20)
fields = st.one_of(
    st.builds(Field, numbers, st.just(VARINT), st.integers(0, 2**63)),
    st.builds(Field, numbers, st.just(BYTES), st.binary(max_size=300)),
    st.builds(Field, numbers, st.just(FIXED32), st.binary(min_size=4, max_size=4)),
    st.builds(Field, numbers, st.just(FIXED64), st.binary(min_size=8, max_size=8)),
)


@given(message=st.lists(fields, max_size=6))
def test_what_was_written_is_read_back(message: list[Field]) -> None:
    assert list(read_fields(write_fields(message))) == message


def test_the_example_of_the_format_description() -> None:
    assert list(read_fields(b"\x08\x96\x01")) == [Field(1, VARINT, 150)]
    assert list(read_fields(b"\x12\x07testing")) == [Field(2, BYTES, b"testing")]


@given(message=st.lists(fields, min_size=1, max_size=3), data=st.data())
def test_a_message_that_is_cut_short_is_an_error_or_a_shorter_message(
    message: list[Field], data: st.DataObject
) -> None:
    whole = write_fields(message)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    try:
        found = list(read_fields(cut))
    except ValueError:
        return
    assert found == message[: len(found)]
    assert len(found) < len(message)


@pytest.mark.parametrize("data", [b"\x0b", b"\xff" * 11, b"\x0a\x05ab", b"\x0d\x00"])
def test_what_is_no_message_is_an_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"at byte|cut off"):
        list(read_fields(data))


def test_values_are_taken_as_what_they_are() -> None:
    assert Field(1, FIXED32, struct.pack("<f", 0.5)).float32() == 0.5
    with pytest.raises(ValueError, match="holds a number"):
        Field(1, VARINT, 1).raw()
    with pytest.raises(ValueError, match="holds bytes"):
        Field(1, BYTES, b"").varint()
    with pytest.raises(ValueError, match="no float"):
        Field(1, BYTES, b"1234").float32()
