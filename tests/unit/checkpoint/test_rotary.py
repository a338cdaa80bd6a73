import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quipu.checkpoint.rotary import rotated_heads, to_halves, to_neighbours
from quipu.config import SIZES


def slow_to_halves(rows: np.ndarray, heads: int) -> np.ndarray:
    """Row by row: of each head, first the rows 0, 2, 4, ..., then 1, 3, 5, ..."""
    size = len(rows) // heads
    order = [
        head * size + 2 * pair + half
        for head in range(heads)
        for half in (0, 1)
        for pair in range(size // 2)
    ]
    return rows[order]


shapes = st.tuples(st.integers(1, 8), st.integers(1, 8), st.integers(1, 5))


@settings(deadline=None)
@given(shape=shapes, dtype=st.sampled_from(["f4", "f2", "u2", "u1"]))
def test_halves_and_neighbours_undo_each_other(shape: tuple[int, int, int], dtype: str) -> None:
    heads, pairs, columns = shape
    rows = np.random.default_rng(0).integers(0, 200, (heads * pairs * 2, columns)).astype(dtype)
    assert np.array_equal(to_neighbours(to_halves(rows, heads), heads), rows)
    assert np.array_equal(to_halves(to_neighbours(rows, heads), heads), rows)


@settings(deadline=None)
@given(shape=shapes)
def test_halves_equal_the_slow_twin(shape: tuple[int, int, int]) -> None:
    heads, pairs, columns = shape
    rows = np.arange(heads * pairs * 2 * columns).reshape(-1, columns)
    assert np.array_equal(to_halves(rows, heads), slow_to_halves(rows, heads))


@pytest.mark.parametrize(
    ("name", "heads"),
    [("attention.wq", 64), ("attention.wk", 8), ("attention.wv", 0), ("feed_forward.w1", 0)],
)
def test_only_queries_and_keys_rotate_each_by_its_own_heads(name: str, heads: int) -> None:
    assert rotated_heads(SIZES["34b"], f"layers.3.{name}.weight") == heads


def test_both_orders_give_the_same_attention_scores() -> None:
    """Rotating halves of our rows equals rotating neighbours of Meta's rows."""
    random = np.random.default_rng(0)
    heads, size, width = 2, 8, 16
    meta_q, meta_k = random.normal(size=(2, heads * size, width))
    x, y = random.normal(size=(2, width))
    angle = 3.0 / 10000 ** (np.arange(size // 2) / (size // 2))

    def turn_neighbours(vector: np.ndarray, turns: float) -> np.ndarray:
        pairs = vector.reshape(heads, -1, 2)
        number = (pairs[..., 0] + 1j * pairs[..., 1]) * np.exp(1j * turns * angle)
        return np.stack((number.real, number.imag), -1).reshape(heads, -1)

    def turn_halves(vector: np.ndarray, turns: float) -> np.ndarray:
        first, second = np.split(vector.reshape(heads, -1), 2, axis=1)
        number = (first + 1j * second) * np.exp(1j * turns * angle)
        return np.concatenate((number.real, number.imag), 1)

    meta = (turn_neighbours(meta_q @ x, 5) * turn_neighbours(meta_k @ y, 2)).sum(1)
    our_q, our_k = to_halves(meta_q, heads), to_halves(meta_k, heads)
    ours = (turn_halves(our_q @ x, 5) * turn_halves(our_k @ y, 2)).sum(1)
    assert np.allclose(meta, ours)
