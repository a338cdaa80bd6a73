"""Signatures agree as often as their sets are alike, whatever the sets' sizes."""

import numpy as np
import pytest

from quipu.data.dedup.bands import bucket_pairs, unpacked
from quipu.data.dedup.settings import Near, similarity_found
from quipu.data.dedup.shingles import shingles_of
from quipu.data.dedup.signatures import agreement, band_keys, signature
from quipu.data.keyed import generator

BINS = 240


def pair_of_sets(size, shared, key):
    """Two random sets of `size` elements with `shared` in common."""
    numbers = generator("sets", key).integers(0, 2**64, 2 * size - shared, dtype=np.uint64)
    return np.sort(numbers[:size]), np.sort(numbers[size - shared :])


def slow_signature(shingles, bins):
    """Bin by bin, number by number."""
    result = []
    for index in range(bins):
        low, high = index * 2**64 // bins, (index + 1) * 2**64 // bins
        inside = [int(one) for one in shingles if low <= int(one) < high]
        factor = splitmix(index + 1) | 1
        result.append(min(inside or [int(one) * factor % 2**64 for one in shingles]))
    return result


def splitmix(number):
    """The finaliser of splitmix64."""
    number = (number ^ (number >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    number = (number ^ (number >> 27)) * 0x94D049BB133111EB % 2**64
    return number ^ (number >> 31)


@pytest.mark.parametrize("size", [1, 2, 30, 500])
def test_a_signature_is_the_minimum_of_each_bin(size):
    shingles, _ = pair_of_sets(size, 0, "slow")
    assert signature(shingles, 48).tolist() == slow_signature(shingles, 48)


@pytest.mark.parametrize("size", [3, 20, 200, 2000])
@pytest.mark.parametrize("share", [0.2, 0.7, 0.9])
def test_agreement_estimates_the_jaccard_similarity_without_bias(size, share):
    shared = round(2 * share * size / (1 + share))
    true = shared / (2 * size - shared)
    pairs = [pair_of_sets(size, shared, (size, share, trial)) for trial in range(60)]
    found = [agreement(*(signature(one, BINS) for one in pair)) for pair in pairs]
    deviation = np.sqrt(true * (1 - true) / BINS)  # of that many independent permutations
    assert abs(np.mean(found) - true) < 4 * deviation / np.sqrt(len(pairs)) + 1e-9
    assert np.std(found) < 1.4 * deviation + 1e-9


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7])
def test_pairs_become_candidates_as_often_as_the_settings_promise(share):
    near, size, trials = Near(bands=20, rows=4), 300, 300
    shared = round(2 * share * size / (1 + share))
    found = 0
    for trial in range(trials):
        pair = pair_of_sets(size, shared, ("bands", share, trial))
        left, right = (band_keys(one, near) for one in pair)
        found += bool((left == right).any())
    expected = similarity_found(near, shared / (2 * size - shared))
    assert abs(found / trials - expected) < 4 * np.sqrt(expected * (1 - expected) / trials) + 0.01


def test_keys_are_the_same_for_ever():
    near = Near(bands=2, rows=3)
    shingles = shingles_of("def f(x):\n    return x + 1  # é\n")
    assert len(shingles) == 8
    assert [int(one) for one in shingles[:2]] == SHINGLES
    assert band_keys(shingles, near).tolist() == KEYS
    assert shingles_of("x = 1").tolist() == SHORT


SHINGLES = [2229707068728063800, 2628617299202780750]
KEYS = [16246869529417368858, 6105255760512407581]
SHORT = [16758996751088856886]


def slow_pairs(keys, near):
    """What the module's documentation says, pair by pair."""
    found = set()
    for key in set(keys):
        members = [number for number, one in enumerate(keys) if one == key]
        for i, left in enumerate(members):
            for distance, right in enumerate(members[i + 1 :], 1):
                small = len(members) <= near.all_pairs
                if small or distance <= near.neighbours or i < near.stars:
                    found.add((left, right))
    return found


@pytest.mark.parametrize("at_once", [1, 40, 10**6])
@pytest.mark.parametrize("kinds", [1, 3, 30])
def test_a_large_bucket_pairs_with_its_first_and_its_neighbours(kinds, at_once):
    near = Near(all_pairs=6, stars=2, neighbours=3)
    keys = generator("keys", kinds).integers(0, kinds, 60, dtype=np.uint64)
    arrays = list(bucket_pairs(keys, np.arange(60), near, at_once))
    low, high = unpacked(np.concatenate(arrays))
    assert set(zip(low.tolist(), high.tolist(), strict=True)) == slow_pairs(keys.tolist(), near)
    assert len(arrays) > 1 or at_once > 1 or kinds == 1


def test_pairs_of_one_bucket_grow_with_its_documents_not_with_their_square():
    near, count = Near(), 50_000
    arrays = list(bucket_pairs(np.zeros(count, dtype=np.uint64), np.arange(count), near))
    assert sum(map(len, arrays)) <= count * (near.stars + near.neighbours)
    assert max(map(len, arrays)) <= count
