"""Where a text has stood before: lookup against the obvious search, and what a draft says."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quipu.engine.ngrams import BREAK, ORDERS, Drafter, Ngrams, Texts, ending_keys

texts = st.lists(st.integers(0, 3), min_size=4, max_size=80)


def latest(tokens, order):
    """The place after the latest earlier occurrence of the text's last n-gram."""
    ending = tokens[-order:]
    for place in range(len(tokens) - 1, ORDERS[0] - 1, -1):
        if tokens[place - order : place] == ending:
            return place
    return None


@given(tokens=texts, cuts=st.lists(st.integers(1, 40), max_size=5))
def test_the_latest_occurrence_is_found_however_the_text_has_grown(tokens, cuts):
    ngrams = Ngrams([])
    for cut in cuts:
        ngrams.tokens += tokens[len(ngrams.tokens) : len(ngrams.tokens) + cut]
        ngrams.update()
    ngrams.tokens += tokens[len(ngrams.tokens) :]
    ngrams.update()
    for rank, key in enumerate(ending_keys(tokens)):
        assert ngrams.find(rank, key) == latest(tokens, ORDERS[rank])


def test_large_ids_do_no_harm():
    tokens = [200_000 + i % 9 for i in range(100)]
    ngrams = Ngrams(tokens)
    ngrams.update()
    assert ngrams.find(2, ending_keys(tokens)[2]) == 91


def drafter_of(tokens, *others):
    store = Texts(1000)
    for other in others:
        store.add(other)
    store.update()
    drafter = Drafter(tokens, store)
    drafter.advance()
    return drafter


def test_a_text_is_drafted_from_its_own_past():
    drafter = drafter_of([1, 2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5])
    assert (drafter.run, drafter.draft(3)) == (4, [6, 7, 8])


def test_the_longest_match_goes_first_wherever_it_stands():
    own, other = [1, 2, 3, 4, 0, 0, 8, 4, 9, 9, 2, 3, 4], [7, 7, 2, 3, 4, 50, 51]
    assert drafter_of(own, other).draft(2) == [0, 0]
    assert drafter_of([6, 6, 3, 4, 0, 2, 3, 4], other).draft(2) == [50, 51]


def test_what_repeats_goes_on_repeating():
    assert drafter_of([9, 8, 7, 1, 2, 1, 2, 1, 2]).draft(5) == [1, 2, 1, 2, 1]


def test_a_draft_ends_with_the_text_that_it_is_from():
    drafter = drafter_of([5, 1, 2, 3, 4], [0, 1, 2, 3, 4, 5, 6], [9, 9, 9, 9])
    assert drafter.draft(10) == [5, 6]


def test_predictions_are_judged_token_by_token():
    tokens = [1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4]
    drafter = drafter_of(tokens)
    tokens += [5, 6]
    assert drafter.advance() == [(4, True), (5, True)]
    tokens.append(0)  # not 7
    assert drafter.advance() == [(6, False)]
    assert (drafter.run, drafter.draft(2)) == (1, [8, 9])  # one token may have been replaced
    tokens.append(8)
    assert drafter.advance() == [(1, True)]
    tokens += [0, 0]
    assert drafter.advance() == [(2, False), (1, False)]
    assert drafter.run == 0


def test_a_store_keeps_the_newest_texts():
    store = Texts(40)
    for number in range(10):
        store.add([number] * 9)
    assert len(store.young.tokens) + len(store.old.tokens) <= 42
    assert set(store.young.tokens + store.old.tokens) == {BREAK, 6, 7, 8, 9}


@pytest.mark.parametrize("length", [1000, 16000])
def test_following_a_text_takes_the_same_time_however_long_it_is(length):
    tokens = [(i * i) % 977 for i in range(length)]
    drafter = drafter_of(tokens)
    spent = []
    for i in range(200):
        tokens.append(i % 7)
        began = time.perf_counter()
        drafter.advance()
        spent.append(time.perf_counter() - began)
    assert sorted(spent)[100] < 200e-6  # a few microseconds; a search would take milliseconds
