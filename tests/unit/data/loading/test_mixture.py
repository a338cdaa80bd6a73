"""Shares hold, epochs end, and any row's place is found without those before it."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quipu.data.loading.mixture import Infilling, LoaderRecipe, Schedule, Source
from quipu.errors import UsageError

PARTS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.001, 0.3, 1.0, 7.5]), st.integers(1, 3000)),
    min_size=1,
    max_size=5,
)


@settings(max_examples=30, deadline=None)
@given(PARTS.filter(lambda parts: any(weight for weight, _ in parts)), st.integers(0, 3))
def test_sources_are_walked_in_order_and_in_their_shares(parts, seed):
    sources = [Source(group=f"g{i}", weight=weight) for i, (weight, _) in enumerate(parts)]
    schedule = Schedule(sources, [rows for _, rows in parts], seed)
    count = 2500
    seen = [schedule.at(index) for index in range(count)]
    for number, (weight, _) in enumerate(parts):
        rows = [row for source, row in seen if source == number]
        assert rows == list(range(len(rows)))
        share = weight / sum(weight for weight, _ in parts)
        assert abs(len(rows) - share * count) < 300  # within a cycle the order is random


@settings(max_examples=30, deadline=None)
@given(PARTS, st.integers(0, 10**12))
def test_a_row_far_away_is_found_as_if_all_before_had_been_asked_for(parts, index):
    sources = [Source(group=f"g{i}", weight=weight + 0.1) for i, (weight, _) in enumerate(parts)]
    rows = [rows for _, rows in parts]
    schedule = Schedule(sources, rows, 0)
    schedule.at(index + 1), schedule.at(0)
    assert schedule.at(index) == Schedule(sources, rows, 0).at(index)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 900), st.integers(0, 3)), min_size=1, max_size=4))
def test_without_weights_every_source_ends_exactly_with_its_epochs(parts):
    if not any(rows and epochs for rows, epochs in parts):
        return
    sources = [Source(group=f"g{i}", epochs=epochs) for i, (_, epochs) in enumerate(parts)]
    schedule = Schedule(sources, [rows for rows, _ in parts], 1)
    assert schedule.rows_total == sum(rows * epochs for rows, epochs in parts)
    counts = Counter(schedule.at(index)[0] for index in range(schedule.rows_total))
    assert all(counts[i] == rows * epochs for i, (rows, epochs) in enumerate(parts))


@pytest.mark.parametrize("weight", [0.01, 1.0, 99.0])
def test_with_weights_the_run_ends_where_a_source_would_exceed_its_epochs(weight):
    sources = [Source(group="a", weight=weight, epochs=1.5), Source(group="b", weight=1.0)]
    schedule = Schedule(sources, [100, 100], 1)
    seen = [schedule.at(index)[0] for index in range(schedule.rows_total + 1)]
    assert seen.count(0) == 151
    assert seen[-1] == 0


def test_weights_alone_never_end():
    assert Schedule([Source(group="a", weight=2)], [5], 0).rows_total is None


def test_a_source_of_no_weight_is_never_asked():
    sources = [Source(group="a", weight=0, epochs=1), Source(group="b", weight=3)]
    schedule = Schedule(sources, [5, 5], 0)
    assert {schedule.at(index)[0] for index in range(3000)} == {1}
    assert schedule.rows_total is None


def test_part_of_an_epoch_is_counted_as_it_is_written():
    assert Schedule([Source(group="a", epochs=0.7)], [10], 0).rows_total == 7


def test_less_than_a_row_is_refused():
    with pytest.raises(UsageError, match="less than one row"):
        Schedule([Source(group="a", epochs=0.1)], [5], 0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"row_tokens": 8}, "rows are too short"),
        ({"sources": (Source(group="a"), Source(group="a"))}, "twice"),
        ({"sources": (Source(group="a", weight=1), Source(group="b"))}, "weighs some"),
        ({"sources": (Source(group="a", weight=-1),)}, "impossible"),
        ({"sources": (Source(group="a", epochs=float("nan")),)}, "impossible"),
        ({"sources": (Source(group="a", weight=0),)}, "nothing"),
        ({"sources": ()}, "nothing"),
        ({"infilling": Infilling(rate=1.5)}, "infilling rate"),
        ({"infilling": Infilling(syntax=-0.1)}, "infilling syntax"),
        ({"infilling": Infilling(syntax=0.5, lines=0.6)}, "syntax and lines"),
    ],
)
def test_a_recipe_that_cannot_be_says_why(change, words):
    with pytest.raises(UsageError, match=words):
        LoaderRecipe(**{"sources": (Source(group="a"),), "row_tokens": 64} | change)
