"""Threads with micro-batches of their own: same sums, same bits each time, nobody overloaded."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import small
from quipu.train import start
from quipu.train.crew import LARGEST, MOST, Crew, members, rows_at_once
from quipu.train.loop import open_rows
from quipu.train.placing import place
from quipu.train.ranks import MeshShape, Ranks
from quipu.train.step import Learner

ALONE = Ranks(MeshShape(), torch.device("cpu"))


@pytest.fixture
def threads():
    """Sets PyTorch's threads, for one test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def trained(batch, steps=3):
    recipe = small.recipe(dtype="float32")
    weights = place(recipe.model, ALONE, torch.float32, compiled=False, recompute=False)
    start.fill(weights, recipe)
    made = Learner(weights, recipe, ALONE, micro_tokens=512)
    losses = [made.step(batch, number).loss for number in range(steps)]
    return made, losses


def test_a_crew_computes_what_one_does_and_the_same_bits_each_time(tmp_path, threads):
    batch = open_rows(small.recipe(), small.corpus(tmp_path)).batch(0, 8)
    threads(1)
    alone, alone_losses = trained(batch)
    threads(3)
    (crew, losses), (again, same) = trained(batch), trained(batch)
    assert alone._crew.members == 1
    assert crew._crew.members == 3
    assert losses == pytest.approx(alone_losses, rel=1e-5)  # fp32 sums in another order
    assert losses == same
    for name, master in crew.weights.masters.items():
        assert torch.equal(master, again.weights.masters[name])


def test_shares_come_back_in_order_and_threads_stay_as_they_were(threads):
    threads(4)
    crew = Crew(2)
    for _ in range(2):
        found = crew.each(lambda share: (list(share), torch.get_num_threads()), range(5))
        assert found == [([0, 2, 4], 2), ([1, 3], 2)]
        assert torch.get_num_threads() == 4


def test_the_fault_of_a_member_is_that_of_all(threads):
    threads(2)
    for crew in (Crew(1), Crew(2)):
        with pytest.raises(ZeroDivisionError):
            crew.each(lambda share: [1 // part for part in share], [1, 0])
    assert torch.get_num_threads() == 2


@given(st.integers(1, 200), st.integers(1, 20), st.integers(1, 8))
def test_no_member_has_more_rows_than_need_be(rows, most, count):
    def longest(size):
        return math.ceil(math.ceil(rows / size) / count) * size

    found = rows_at_once(rows, most, count)
    assert 1 <= found <= most
    assert longest(found) == min(longest(size) for size in range(1, most + 1))


def test_large_models_and_few_rows_get_no_crew():
    assert members(LARGEST, 100) == MOST
    assert members(LARGEST + 1, 100) == 1
    assert members(1, 3) == 3
