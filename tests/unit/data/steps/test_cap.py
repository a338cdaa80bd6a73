"""A limit on what one package may contribute."""

import random

from hypothesis import given
from hypothesis import strategies as st

from quipu.data.steps.cap import Sized, over_cap

LISTS = st.lists(
    st.tuples(st.sampled_from("pq"), st.floats(0, 1), st.integers(0, 50)), max_size=30
).map(
    lambda found: [
        Sized(id=str(i), package=p, quality=q, bytes=b) for i, (p, q, b) in enumerate(found)
    ]
)


@given(LISTS, st.integers(0, 200), st.randoms())
def test_no_package_exceeds_its_bytes_whatever_the_order(documents, limit, draw):
    over = over_cap(documents, limit)
    for package in "pq":
        assert sum(d.bytes for d in documents if d.package == package and d.id not in over) <= limit
    shuffled = random.Random(draw.random()).sample(documents, len(documents))
    assert over_cap(shuffled, limit) == over


def test_the_best_stay_and_small_ones_fill_what_is_left():
    found = [("a", 0.9, 60), ("b", 0.8, 50), ("c", 0.1, 40)]
    documents = [Sized(id=i, package="p", quality=q, bytes=n) for i, q, n in found]
    assert over_cap(documents, 100) == {"b"}
