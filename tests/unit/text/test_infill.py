"""Infilling prompts and samples. Golden ids are in tests/golden/text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quipu.errors import AbilityError
from quipu.text import infill
from quipu.text.infill import Order
from quipu.text.tokenizer import Tokenizer
from unit.text.vocabularies import handmade_model

texts = st.text(alphabet=st.sampled_from("ab (\n\t▁é🦙<PRE>"), max_size=12)
both_orders = pytest.mark.parametrize("order", ["psm", "spm"])


def _between(ids: list[int], start: int, end: int) -> list[int]:
    return ids[ids.index(start) + 1 : ids.index(end)]


@both_orders
@given(prefix=texts, suffix=texts)
@settings(deadline=None)
def test_prefix_and_suffix_can_be_read_back_from_a_prompt(
    tiny: Tokenizer, order: Order, prefix: str, suffix: str
) -> None:
    ids = infill.prompt(tiny, prefix, suffix, order)
    marks = tiny.infill
    assert marks is not None
    if order == "psm":
        found = _between(ids, marks.pre, marks.suf), _between(ids, marks.suf, marks.mid)
    else:
        found = ids[ids.index(marks.mid) + 1 :], _between(ids, marks.suf, marks.mid)
    assert tiny.decode(found[0]) == prefix
    assert tiny.decode(found[1], dummy_prefix=False) == suffix


@both_orders
@given(prefix=texts, middle=texts, suffix=texts)
@settings(deadline=None)
def test_a_sample_holds_each_special_once_and_the_whole_text(
    tiny: Tokenizer, order: Order, prefix: str, middle: str, suffix: str
) -> None:
    ids = infill.document(tiny, prefix, middle, suffix, order)
    marks = tiny.infill
    assert marks is not None
    assert (ids[0], ids[1], ids[-1]) == (tiny.bos_id, marks.pre, marks.eot)
    specials = [token_id for token_id in ids if token_id in tiny.specials.values()]
    assert specials == [tiny.bos_id, marks.pre, marks.suf, marks.mid, marks.eot]
    before = tiny.decode(_between(ids, marks.pre, marks.suf))
    after_mid = _between(ids, marks.mid, marks.eot)
    if order == "psm":
        assert before == prefix
        assert tiny.decode(after_mid, dummy_prefix=False) == middle
    else:
        assert before == ""
        assert tiny.decode(after_mid) == prefix + middle


def test_a_psm_sample_begins_with_its_prompt(tiny: Tokenizer) -> None:
    ids = infill.document(tiny, "def f(x):\n    ret", "urn", " x\n", "psm")
    prompt = infill.prompt(tiny, "def f(x):\n    ret", " x\n", "psm")
    assert ids[: len(prompt)] == prompt


def test_an_spm_sample_has_no_token_break_at_the_cursor(handmade: Tokenizer) -> None:
    ids = infill.document(handmade, "return", " print", "", "spm")
    assert ids[-3:-1] == handmade.encode("return print")
    broken = infill.document(handmade, "retu", "rn print", "", "spm")
    assert broken == ids


def test_suffix_and_middle_begin_without_a_dummy_space(handmade: Tokenizer) -> None:
    ids = infill.document(handmade, "", "print", "print", "psm")
    print_id = handmade.encode("print", dummy_prefix=False)
    assert ids == [1, 354, 355, *print_id, 356, *print_id, 357]


@both_orders
def test_psm_is_what_is_asked_for_when_nothing_is_said(tiny: Tokenizer, order: Order) -> None:
    default = infill.prompt(tiny, "a", "b")
    assert (default == infill.prompt(tiny, "a", "b", order)) is (order == "psm")


def test_the_text_form_of_the_paper_gives_the_same_ids(tiny: Tokenizer) -> None:
    prefix, suffix = "def f(x):\n  return ", " + 1\n"
    psm = tiny.encode(f"<PRE> {prefix} <SUF>{suffix} <MID>", allow_specials=True)
    assert [1, *psm] == infill.prompt(tiny, prefix, suffix, "psm")
    spm = tiny.encode(f"<PRE> <SUF>{suffix} <MID> {prefix}", allow_specials=True)
    assert [1, *spm] == infill.prompt(tiny, prefix, suffix, "spm")


@both_orders
def test_a_vocabulary_without_specials_is_refused(order: Order) -> None:
    tokenizer = Tokenizer.from_files({"tokenizer.model": handmade_model([])})
    with pytest.raises(AbilityError, match="cannot infill"):
        infill.prompt(tokenizer, "a", "b", order)
    with pytest.raises(AbilityError, match="cannot infill"):
        infill.document(tokenizer, "a", "b", "c", order)
