"""Duplicates in memory against the obvious way: compare all pairs of token lists."""

import math
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quipu.data.dedup.choose import Duplicate
from quipu.data.dedup.in_memory import drop_duplicates, find_duplicates
from quipu.data.dedup.settings import Near
from quipu.data.documents import Document
from quipu.errors import DataError

WORDS = ("ab", "(c)", "[d]", "=", "x.y", ";", "return", "17")
CERTAIN = Near(bands=64, rows=1)  # misses a pair of similarity 0.7 once in 10^33


def slow_shingles(text, size):
    tokens = re.findall(rb"[0-9A-Za-z_\x80-\xff]+|[\x21-\x7e]", text.encode())
    if len(tokens) < size:
        return {tuple(tokens)}
    return {tuple(tokens[i : i + size]) for i in range(len(tokens) - size + 1)}


def slow_duplicates(documents, near):
    """All pairs, in order of preference."""
    kept, removed = [], []
    for one in sorted(documents, key=lambda d: (-d.quality, d.id)):
        mine, best = slow_shingles(one.text, near.shingle), None
        for other in kept:
            theirs = slow_shingles(other.text, near.shingle)
            similarity = len(mine & theirs) / len(mine | theirs)
            if similarity >= near.jaccard and (best is None or similarity > best.jaccard):
                best = Duplicate(id=one.id, kept_id=other.id, kind="near", jaccard=similarity)
            if one.text == other.text:
                best = Duplicate(id=one.id, kept_id=other.id, kind="exact", jaccard=1.0)
                break
        if best is None:
            kept.append(one)
        else:
            removed.append(best)
    return sorted(removed)


def edited(text, edits, seed):
    """A text with some of its words replaced."""
    chance, words = random.Random(seed), text.split(" ")
    for _ in range(edits):
        words[chance.randrange(len(words))] = f"new{chance.randrange(10**6)}"
    return " ".join(words)


def text_of(length, seed):
    chance = random.Random(seed)
    return " ".join(chance.choice(WORDS) for _ in range(length))


FAMILIES = st.lists(
    st.tuples(
        st.integers(0, 5), st.integers(0, 120), st.integers(0, 8), st.sampled_from([0.0, 0.5, 1.0])
    ),
    max_size=25,
)


def documents_of(family):
    return [
        Document(
            id=f"d{position * 7919 % 1000:03}",
            text=edited(text_of(length, seed), edits, position) if length else "",
            quality=quality,
        )
        for position, (seed, length, edits, quality) in enumerate(family)
    ]


@settings(deadline=None)
@given(FAMILIES)
def test_agrees_with_comparing_all_pairs(family):
    documents = documents_of(family)
    assert find_duplicates(documents, CERTAIN) == slow_duplicates(documents, CERTAIN)


@settings(deadline=None)
@given(FAMILIES, st.randoms(use_true_random=False))
def test_does_not_depend_on_the_order_of_documents(family, chance):
    near = Near(all_pairs=3, stars=1, neighbours=1)
    documents = documents_of(family)
    expected = find_duplicates(documents, near)
    chance.shuffle(documents)
    assert find_duplicates(documents, near) == expected


def test_the_document_of_higher_quality_stays():
    text = text_of(100, 1)
    poor, rich = Document(id="a", text=text), Document(id="b", text=text + " end", quality=1.0)
    assert drop_duplicates([poor, rich], Near()) == {"a": "near duplicate of b 0.99"}


def test_without_near_only_equal_texts_go():
    texts = {"a": "x = 1\n", "b": "x = 1\n", "c": "x  =  1\n"}
    documents = [Document(id=id, text=text) for id, text in texts.items()]
    assert drop_duplicates(documents, None) == {"b": "exact duplicate of a"}
    assert drop_duplicates(documents, Near())["c"] == "near duplicate of a 1.00"


def test_texts_shorter_than_a_shingle_are_alike_only_when_their_tokens_are():
    texts = {"a": "x = 1", "b": "x=1", "c": "x = 2", "d": "", "e": " \n"}
    documents = [Document(id=id, text=text) for id, text in texts.items()]
    assert [one.id for one in find_duplicates(documents, Near())] == ["b", "e"]


def test_a_copy_of_a_removed_document_points_to_the_one_that_stays():
    text = text_of(200, 3)
    texts = {"a": text, "b": text + " end", "c": text + " end"}
    found = find_duplicates([Document(id=id, text=text) for id, text in texts.items()], Near())
    assert [(one.id, one.kept_id, one.kind) for one in found] == [
        ("b", "a", "near"),
        ("c", "a", "near"),
    ]


def test_a_quality_that_is_no_number_is_the_lowest():
    documents = [
        Document(id="a", text="x", quality=math.nan),
        Document(id="b", text="x", quality=-math.inf),
        Document(id="c", text="x", quality=-1.0),
    ]
    assert set(drop_duplicates(documents, None)) == {"a", "b"}


def test_two_documents_with_one_id_are_refused():
    with pytest.raises(DataError, match="'a'"):
        drop_duplicates([Document(id="a", text="x"), Document(id="a", text="y")], Near())


def test_any_unicode_text_passes():
    texts = ["\ud800", "\x00", "é" * 3000, "\u2028", "a" * 200_000, "🪢 = 1"]
    documents = [Document(id=str(i), text=text) for i, text in enumerate(texts)]
    assert drop_duplicates(documents, Near(jaccard=1.0)) == {}


@pytest.mark.parametrize("wrong", [{"jaccard": 0.0}, {"jaccard": 1.1}, {"bands": 0}, {"rows": 0}])
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(DataError, match=next(iter(wrong))):
        Near(**wrong)
