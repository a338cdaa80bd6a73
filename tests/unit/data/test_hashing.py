"""Token and n-gram hashes, against a slow and obvious twin."""

import re
from collections import defaultdict

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from quipu.data import hashing
from quipu.data.hashing import CHUNK, ngrams, tokens

TOKEN = re.compile(rb"[0-9A-Za-z_\x80-\xff]+|[\x21-\x7e]")
CODE = st.text(st.sampled_from("ab_1 \n+=(é🦙'"), max_size=60)


def spans(text):
    return [match.span() for match in TOKEN.finditer(text.encode())]


def slow_hash(token):
    values = hashing._byte_values(False)
    total = sum(int(values[b]) * pow(hashing._BASE, i, 2**64) for i, b in enumerate(token))
    return int(hashing.mixed(np.array([total % 2**64], np.uint64))[0])


@given(CODE | st.text(max_size=60))
def test_tokens_lie_where_a_regular_expression_finds_them(text):
    found = tokens(text)
    assert list(zip(found.starts.tolist(), found.ends.tolist(), strict=True)) == spans(text)
    data = text.encode()
    assert found.words.tolist() == [
        data[start : start + 1] not in b"!\"#$%&'()*+,-./:;<=>?@[\\]^`{|}~"
        for start, _ in spans(text)
    ]


@given(CODE)
def test_a_hash_depends_on_the_bytes_of_its_token_alone(text):
    data = text.encode()
    assert tokens(text).hashes.tolist() == [slow_hash(data[a:b]) for a, b in spans(text)]


@given(CODE, st.integers(1, 11))
def test_ngrams_are_equal_where_their_tokens_are(text, n):
    data = text.encode()
    parts = [data[a:b] for a, b in spans(text)]
    slices = [tuple(parts[i : i + n]) for i in range(len(parts) - n + 1)]
    grams = ngrams(tokens(text).hashes, n).tolist()
    assert len(grams) == len(slices)
    by_slice = defaultdict(set)
    for part, gram in zip(slices, grams, strict=True):
        by_slice[part].add(gram)
    assert all(len(found) == 1 for found in by_slice.values())
    assert len(set(grams)) == len(by_slice)


def test_a_chunk_ends_between_tokens():
    text = "name_of_a_variable + " * (3 * CHUNK // 20)
    found = tokens(text)
    assert len(set(found.hashes.tolist())) == 2
    assert len(found.hashes) == 2 * text.count("+")
    shifted = tokens("x" + " " * (CHUNK - 30) + text)
    assert shifted.hashes[1:].tolist() == found.hashes.tolist()


def test_a_token_longer_than_a_chunk_is_cut_and_no_byte_is_lost():
    found = tokens("a" * (2 * CHUNK + 5))
    assert found.starts.tolist() == [0, CHUNK, 2 * CHUNK]
    assert found.ends.tolist() == [CHUNK, 2 * CHUNK, 2 * CHUNK + 5]


def test_case_counts_unless_folded():
    upper, lower = tokens("Add(X)").hashes, tokens("add(x)").hashes
    assert (upper != lower).tolist() == [True, False, True, False]
    folded = [tokens(text, fold_case=True).hashes.tolist() for text in ("Add(X)", "add(x)")]
    assert folded[0] == folded[1] == lower.tolist()


def test_the_hashes_are_the_same_on_every_machine():
    grams = ngrams(tokens("def add(a, b): return a + b").hashes, 5)
    assert grams[:2].tolist() == [8161646415817179945, 12365912731748550285]


def test_no_text_no_tokens():
    assert len(tokens("").hashes) == len(tokens(" \n\t").hashes) == 0
    assert len(ngrams(tokens("a b").hashes, 3)) == 0
