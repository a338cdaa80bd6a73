"""Whatever the lengths, every token is planned once and every row holds what is planned for it."""

import functools
import itertools

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

import small
from quipu.data.loading.axis import Axis
from quipu.data.loading.facts import Facts
from quipu.data.loading.parts import BOTH_ENDS, Costs, cut
from quipu.data.loading.plan import Plan
from quipu.data.tokens.reading import Group, Shard

LENGTHS = st.one_of(
    st.lists(st.integers(0, 3), min_size=1, max_size=60),
    st.lists(st.integers(20, 35), min_size=1, max_size=40),
    st.lists(st.integers(0, 400), min_size=1, max_size=25),
    st.builds(lambda length, count: [length] * count, st.integers(1, 80), st.integers(1, 40)),
)


@functools.cache
def facts():
    return Facts(small.tokenizer())


def axis_of(lengths, *, packages, spelled):
    """Documents of so many tokens; with `spelled`, of characters that take four tokens each."""
    text = "🦙" if spelled else "x\nxy"
    ids = small.tokenizer().encode(text, dummy_prefix=False)
    count = len(lengths)
    shard = Shard(
        name="a",
        tokens=np.concatenate([np.resize(ids, length) for length in lengths]).astype(np.uint16),
        offsets=np.cumsum([0, *lengths]).astype(np.int64),
        documents=np.arange(count, dtype=np.int32),
        packages=(np.arange(count) // 5).astype(np.int32),
        spans=np.zeros((0, 2), dtype=np.int32),
        span_offsets=np.zeros(count + 1, dtype=np.int64),
    )
    return Axis(Group("python", (shard,)), packages=packages)


@settings(max_examples=150, deadline=None)
@given(
    LENGTHS,
    st.integers(28, 70),
    st.sampled_from([2, 7]),
    st.booleans(),
    st.booleans(),
    st.integers(1, 5),
)
@example([7, 7], 28, 2, False, False, 1)
def test_every_token_is_planned_once_and_rows_hold_them(
    lengths, room, overhead, packages, spelled, block_rows
):
    axis = axis_of(lengths, packages=packages, spelled=spelled)
    costs, least = Costs(axis, overhead), Costs(axis, BOTH_ENDS)
    cuts = cut(axis, facts(), costs, room)
    assert all(costs.of(a, b) <= room for a, b in itertools.pairwise(cuts.tolist()))
    plan = Plan(
        axis, facts(), cuts, costs=costs, room=room, key=(1, "python"), block_rows=block_rows
    )
    for epoch in range(2):
        seen = np.zeros(sum(lengths), dtype=int)
        for row in range(epoch * plan.epoch_rows, (epoch + 1) * plan.epoch_rows):
            number, stretches = plan.at(row)
            assert number == epoch
            assert sum(least.of(*stretch) for stretch in stretches) <= room
            for start, stop in stretches:
                seen[start:stop] += 1
        assert (seen == 1).all()


@settings(max_examples=60, deadline=None)
@given(LENGTHS.filter(any), st.integers(1, 100), st.booleans(), st.data())
def test_a_stretch_reaches_as_far_as_its_cost_allows(lengths, room, packages, data):
    axis = axis_of(lengths, packages=packages, spelled=False)
    costs, end = Costs(axis, 3), int(axis.bounds[-1])
    start = data.draw(st.integers(0, end - 1))
    stop = int(costs.reach(np.array([start]), room)[0])
    fitting = [place for place in range(start + 1, end + 1) if costs.of(start, place) <= room]
    assert stop == max(fitting, default=start)


def test_parts_of_a_block_come_in_another_order_every_epoch():
    axis = axis_of([20] * 200, packages=False, spelled=False)
    costs = Costs(axis, 3)
    plan = Plan(axis, facts(), cut(axis, facts(), costs, 64), costs=costs, room=64, key=(1, "a"))
    epochs = [[plan.at(e * plan.epoch_rows + r)[1] for r in range(40)] for e in (0, 1)]
    assert epochs[0] != epochs[1]
    assert [plan.at(r)[1] for r in range(40)] == epochs[0]
