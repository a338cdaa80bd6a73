import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quipu.checkpoint.names import TABLE, Layout, name_in, our_name
from quipu.counts import weight_shapes
from unit.checkpoint.models import TINY, hf_name

LAYOUTS: tuple[Layout, ...] = ("hf", "meta", "gguf")
OURS = [name for name, _ in weight_shapes(TINY)]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_weight_has_one_name_in_every_layout_and_comes_back(layout: Layout) -> None:
    theirs = [name_in(layout, name) for name in OURS]
    assert len(set(theirs)) == len(OURS)
    assert [our_name(layout, name) for name in theirs] == OURS


@settings(deadline=None)
@given(layer=st.integers(0, 10**6), layout=st.sampled_from(LAYOUTS), entry=st.sampled_from(TABLE))
def test_any_layer_number_survives_the_trip(layer: int, layout: Layout, entry) -> None:
    ours = entry.ours.format(layer)
    assert our_name(layout, name_in(layout, ours)) == ours


@settings(deadline=None)
@given(layout=st.sampled_from(LAYOUTS), name=st.text(string.ascii_lowercase + ".0_", max_size=40))
def test_foreign_names_have_no_place(layout: Layout, name: str) -> None:
    ours = our_name(layout, name)
    assert ours is None or name_in(layout, ours) == name


def test_hugging_face_names_agree_with_a_second_table() -> None:
    assert [name_in("hf", name) for name in OURS] == [hf_name(name) for name in OURS]


def test_gguf_names_agree_with_the_gguf_library() -> None:
    import gguf

    table = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, TINY.layers)
    for name in OURS:
        assert table.get_name(name_in("hf", name), (".weight",)) == name_in("gguf", name)
        assert table.get_name(name_in("meta", name), (".weight",)) == name_in("gguf", name)
