"""What is dropped on request is out at once, in every file, and in later builds."""

import json

import pyarrow.parquet as pq
import pytest

import small_corpus
from quipu.data.corpus.build import build
from quipu.data.corpus.dropping import drop
from quipu.data.corpus.executors.local import LocalExecutor
from quipu.data.corpus.provenance import why
from quipu.data.tokens.reading import TokenShards
from quipu.errors import DataError

HERE = LocalExecutor(0)
ALPHA, M1 = "folder/alpha", "folder/beta/1/m1.py"


@pytest.fixture
def sources(tmp_path):
    return small_corpus.write_sources(tmp_path / "sources")


@pytest.fixture
def corpus(sources, tmp_path):
    build(small_corpus.recipe_of(sources), tmp_path / "corpus", HERE, until="tokens")
    return tmp_path / "corpus"


def in_shards(corpus):
    shards = TokenShards.open(corpus / "tokens")
    shards.verify()
    return {
        int(number): group.ids(index).tolist()
        for group in map(shards.group, shards.groups)
        for index, number in enumerate(group.documents)
        if not group.dropped[index]
    }


def rows(corpus):
    return pq.read_table(corpus / "documents.parquet").to_pylist()


@pytest.mark.parametrize("rewrite", [False, True], ids=["marked", "rewritten"])
def test_dropped_documents_are_out_and_all_others_are_as_they_were(corpus, rewrite):
    before, seen = rows(corpus), in_shards(corpus)
    dropped = drop(corpus, ["alpha", M1], rewrite_shards=rewrite)
    assert dropped.requests == (ALPHA, M1)
    gone = {row["number"] for row in before if row["package"] == ALPHA or row["id"] == M1}
    gone &= {row["number"] for row in before if row["state"] == "kept"}
    assert dropped.documents == dropped.marked == len(gone) == 5
    assert in_shards(corpus) == {n: ids for n, ids in seen.items() if n not in gone}
    for old, new in zip(before, rows(corpus), strict=True):
        if old["number"] in gone:
            assert (new["state"], new["split"]) == ("request: dropped", "")
        else:
            assert new == old
    assert why(corpus, M1).found[0].state == "request: dropped"
    assert (why(corpus, M1).found[0].tokens is None) == rewrite
    told = json.loads((corpus / "manifest.json").read_text())
    assert told["dropped"]["request"] == 5
    kept = [row for row in rows(corpus) if row["state"] == "kept"]
    counted = json.loads((corpus / "tokens/manifest.json").read_text())["licences"]
    assert sum(counted.values()) == len(kept) + (not rewrite) * 5


def test_a_later_build_leaves_them_out_too(sources, corpus):
    drop(corpus, [ALPHA])
    marked = (corpus / "documents.parquet").read_bytes()
    build(small_corpus.recipe_of(sources), corpus, HERE, until="tokens")
    assert (corpus / "documents.parquet").read_bytes() == marked
    numbers = {row["number"] for row in rows(corpus) if row["state"] == "kept"}
    assert set(in_shards(corpus)) == numbers
    assert not any(row["package"] == ALPHA for row in rows(corpus) if row["state"] == "kept")


def test_dropping_twice_is_dropping_once(corpus):
    drop(corpus, [M1])
    before = small_corpus.contents(corpus)
    assert drop(corpus, [M1]).documents == 1
    assert small_corpus.contents(corpus) == before


def test_a_rewrite_that_was_killed_half_way_is_ended_by_the_same_call(corpus):
    whole = in_shards(corpus)
    (corpus / "tokens").rename(corpus / ".tokens.former")
    assert drop(corpus, [M1], rewrite_shards=True).marked == 1
    assert len(in_shards(corpus)) == len(whole) - 1


def test_a_name_that_is_not_there_is_refused_and_nothing_changes(corpus):
    before = small_corpus.contents(corpus)
    with pytest.raises(DataError, match="nothing is not in this corpus"):
        drop(corpus, ["alpha", "nothing"])
    assert small_corpus.contents(corpus) == before
