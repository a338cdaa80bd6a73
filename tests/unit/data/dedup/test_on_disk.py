"""Duplicates of parquet parts against the form in memory, its twin."""

import random
import resource
from itertools import pairwise

import pyarrow
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from quipu.data.corpus.executors.local import LocalExecutor
from quipu.data.corpus.executors.ray import RayExecutor
from quipu.data.corpus.jobs import Done
from quipu.data.dedup import on_disk
from quipu.data.dedup.choose import Duplicate
from quipu.data.dedup.in_memory import find_duplicates
from quipu.data.dedup.settings import Near
from quipu.data.documents import Document
from quipu.errors import DataError

SMALL_BUCKETS = Near(bands=6, rows=2, all_pairs=3, stars=1, neighbours=1)
HERE = LocalExecutor(0)
WORDS = ("ab", "(c)", "[d]", "=", "x.y", ";", "return", "17")


def corpus(count, seed=0):
    """Families of documents, from equal to barely alike."""
    chance = random.Random(seed)
    originals = [[chance.choice(WORDS) for _ in range(chance.randrange(150))] for _ in range(6)]
    documents = []
    for number in range(count):
        words = list(chance.choice(originals))
        for _ in range(chance.choice((0, 1, 2, 5, 20)) if words else 0):
            words[chance.randrange(len(words))] = f"new{chance.randrange(10**6)}"
        quality = chance.choice((0.0, 0.5, 1.0))
        documents.append(Document(id=f"p/{number}", text=" ".join(words), quality=quality))
    chance.shuffle(documents)
    return documents


def write_part(path, documents):
    columns = {
        name: [getattr(one, name) for one in documents] for name in ("id", "text", "quality")
    }
    types = [("id", "string"), ("text", "string"), ("quality", "float64")]
    parquet.write_table(pyarrow.table(columns, schema=pyarrow.schema(types)), path)
    return path


def write_parts(folder, documents, cuts):
    folder.mkdir(exist_ok=True)
    ends = [0, *sorted(cuts), len(documents)]
    return [
        write_part(folder / f"{number}.parquet", documents[start:end])
        for number, (start, end) in enumerate(pairwise(ends))
    ]


def read(path):
    return [Duplicate(**row) for row in parquet.read_table(path).to_pylist()]


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 2**32),
    count=st.integers(0, 60),
    cuts=st.lists(st.integers(0, 60), max_size=4),
    near=st.sampled_from([SMALL_BUCKETS, Near(bands=8)]),
)
def test_parts_in_any_order_and_cut_anywhere_give_what_memory_gives(
    tmp_path_factory, seed, count, cuts, near
):
    folder, documents = tmp_path_factory.mktemp("parts"), corpus(count, seed)
    parts = write_parts(folder, documents, [min(cut, count) for cut in cuts])
    found = on_disk.duplicates(parts, folder / "work", near, HERE)
    assert read(found) == find_duplicates(documents, near)


@pytest.mark.parametrize("memory", [2_000, 20_000])
def test_a_memory_limit_changes_nothing(tmp_path, memory):
    documents = corpus(80)
    parts = write_parts(tmp_path, documents, [20, 30])
    expected = on_disk.duplicates(parts, tmp_path / "large", SMALL_BUCKETS, HERE)
    found = on_disk.duplicates(parts, tmp_path / "small", SMALL_BUCKETS, HERE, memory)
    assert found.read_bytes() == expected.read_bytes()
    assert len(read(found)) > 20


def test_more_parts_than_a_process_may_open_files(tmp_path):
    documents = corpus(200)
    parts = write_parts(tmp_path, documents, range(1, 200))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (180, hard))
    try:
        found = on_disk.duplicates(parts, tmp_path / "work", SMALL_BUCKETS, HERE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert read(found) == find_duplicates(documents, SMALL_BUCKETS)


def test_two_processes_give_the_same_bytes(tmp_path):
    parts = write_parts(tmp_path, corpus(80), [20, 30])
    expected = on_disk.duplicates(parts, tmp_path / "one", SMALL_BUCKETS, HERE)
    found = on_disk.duplicates(parts, tmp_path / "two", SMALL_BUCKETS, LocalExecutor(2))
    assert found.read_bytes() == expected.read_bytes()


@pytest.mark.slow
def test_ray_gives_the_same_bytes(tmp_path):
    pytest.importorskip("ray")
    parts = write_parts(tmp_path, corpus(80), [20, 30])
    expected = on_disk.duplicates(parts, tmp_path / "here", SMALL_BUCKETS, HERE)
    with RayExecutor(processes=1) as ray:
        found = on_disk.duplicates(parts, tmp_path / "ray", SMALL_BUCKETS, ray)
    assert found.read_bytes() == expected.read_bytes()


class Watched:
    """Does jobs here, notes which were not done before, and stops before the one after `most`."""

    def __init__(self, most=10**6):
        self.done, self.most = [], most

    def run(self, jobs):
        for job in jobs:
            if len(self.done) == self.most:
                raise KeyboardInterrupt
            for outcome in HERE.run([job]):
                if isinstance(outcome, Done) and not outcome.skipped:
                    self.done.append(job.function.__name__)
                yield outcome


def test_what_is_finished_is_not_done_again(tmp_path):
    documents, added = corpus(60), Document(id="new", text=corpus(60)[0].text)
    parts = write_parts(tmp_path, documents, [30])
    on_disk.duplicates(parts, tmp_path / "work", Near(), HERE)
    again = Watched()
    on_disk.duplicates(parts, tmp_path / "work", Near(), again)
    assert again.done == []
    more, watched = [*parts, write_part(tmp_path / "added.parquet", [added])], Watched()
    found = on_disk.duplicates(more, tmp_path / "work", Near(), watched)
    assert watched.done.count("sign") == 1
    assert read(found) == find_duplicates([*documents, added], Near())
    watched = Watched()
    found = on_disk.duplicates(more, tmp_path / "work", Near(jaccard=0.9), watched)
    assert watched.done.count("sign") == 0
    assert read(found) == find_duplicates([*documents, added], Near(jaccard=0.9))


def test_a_run_that_stopped_anywhere_goes_on_to_the_same_bytes(tmp_path):
    parts, all_jobs = write_parts(tmp_path, corpus(60), [30]), Watched()
    expected = on_disk.duplicates(parts, tmp_path / "unbroken", SMALL_BUCKETS, all_jobs)
    for stop in range(0, len(all_jobs.done), 3):
        work = tmp_path / f"stopped-{stop}"
        with pytest.raises(KeyboardInterrupt):
            on_disk.duplicates(parts, work, SMALL_BUCKETS, Watched(stop))
        found = on_disk.duplicates(parts, work, SMALL_BUCKETS, HERE)
        assert found.read_bytes() == expected.read_bytes()


def test_without_near_only_equal_texts_are_found(tmp_path):
    documents = corpus(60)
    parts = write_parts(tmp_path, documents, [30])
    found = read(on_disk.duplicates(parts, tmp_path / "work", None, HERE))
    assert found == find_duplicates(documents, None)
    assert {one.kind for one in found} == {"exact"}


def test_a_full_disk_is_said_and_leaves_nothing_half_written(tmp_path):
    parts = write_parts(tmp_path, corpus(60), [])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(DataError, match="full"):
            on_disk.duplicates(parts, tmp_path / "work", Near(), HERE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not [path for path in (tmp_path / "work").rglob("*") if path.is_file()]
    expected = find_duplicates(corpus(60), Near())
    assert read(on_disk.duplicates(parts, tmp_path / "work", Near(), HERE)) == expected


def test_no_parts_and_empty_parts_have_no_duplicates(tmp_path):
    empty = [write_part(tmp_path / f"{number}.parquet", []) for number in range(2)]
    assert read(on_disk.duplicates([], tmp_path / "none", Near(), HERE)) == []
    assert read(on_disk.duplicates(empty, tmp_path / "empty", Near(), HERE)) == []


def test_one_id_in_two_parts_is_refused(tmp_path):
    one = write_part(tmp_path / "1.parquet", [Document(id="a", text="x")])
    two = write_part(tmp_path / "2.parquet", [Document(id="a", text="y")])
    with pytest.raises(DataError, match="'a'"):
        on_disk.duplicates([one, two], tmp_path / "work", Near(), HERE)
    with pytest.raises(DataError, match="same documents"):
        on_disk.duplicates([one, one], tmp_path / "work", Near(), HERE)


def test_files_that_are_no_parts_are_refused(tmp_path):
    (tmp_path / "no.parquet").write_text("no")
    parquet.write_table(pyarrow.table({"id": ["a"]}), tmp_path / "textless.parquet")
    for name, match in (("no", "parquet"), ("textless", "text"), ("missing", "cannot be read")):
        with pytest.raises(DataError, match=match):
            on_disk.duplicates([tmp_path / f"{name}.parquet"], tmp_path / "work", Near(), HERE)
