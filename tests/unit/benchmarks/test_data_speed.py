"""The truth that MinHash is held against is true."""

from itertools import combinations

import numpy as np
from data_speed.all_pairs import similar_pairs
from hypothesis import given, settings
from hypothesis import strategies as st

SETS = st.lists(st.sets(st.integers(0, 12), min_size=1, max_size=9), min_size=2, max_size=12)


@settings(deadline=None)
@given(SETS, st.sampled_from([0.3, 0.5, 0.7, 1.0]))
def test_the_inverted_index_has_every_similar_pair(sets, least):
    expected = {
        (low, high): len(left & right) / len(left | right)
        for (low, left), (high, right) in combinations(enumerate(sets), 2)
        if len(left & right) >= least * len(left | right)
    }
    arrays = [np.array(sorted(one), dtype=np.uint64) for one in sets]
    assert similar_pairs(arrays, least) == expected
