"""From files of texts to shards: what the jobs of the stage write."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import small
from quipu.data.tokens.manifest import TOKENIZER, Manifest
from quipu.data.tokens.reading import TokenShards
from quipu.data.tokens.sampling import Sample, sampled
from quipu.data.tokens.spans import syntax_spans
from quipu.data.tokens.stage import finish, rewrite, train_vocabulary, write_shard
from quipu.data.tokens.writing import shard_files
from quipu.errors import DataError
from quipu.text.tokenizer import Tokenizer

Row = tuple[int, str, str, str]
PYTHON: list[Row] = [
    (i, small.source(i), f"pypi/p{i // 3}", ["MIT", "BSD-3-Clause"][i % 2]) for i in range(8)
]
MORE: list[Row] = [(8, small.source(8), "pypi/p9", "MIT"), (9, "x = 1\n", "pypi/q", "MIT")]
TEXT: list[Row] = [(10, "Some words.\n" * 9, "pypi/p1", ""), (11, "", "pypi/q", "MIT")]
HELD_OUT: list[Row] = [(12, small.source(12), "pypi/z", "MIT")]
FILES = {
    "python-00000": PYTHON,
    "python-00001": MORE,
    "text-00000": TEXT,
    "held-out-python-00000": HELD_OUT,
}


def write_texts(path: Path, rows: list[Row]) -> Path:
    numbers, texts, packages, licences = zip(*rows, strict=True)
    columns = {"number": pa.array(numbers, pa.int32()), "text": texts, "package": packages}
    pq.write_table(pa.table(columns | {"licence": licences}), path)
    return path


@pytest.fixture
def texts(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "texts"
    folder.mkdir()
    return [write_texts(folder / f"{name}.parquet", rows) for name, rows in FILES.items()]


def build(folder: Path, texts: list[Path]) -> Manifest:
    folder.mkdir()
    model = folder / TOKENIZER
    model.write_bytes(small.tokenizer_model())
    records = [write_shard(*shard_files(folder, path.stem), path, model) for path in texts]
    records = json.loads(json.dumps(records))
    return finish(folder, reversed(records), vocabulary={"bytes": 5})


def test_shards_hold_every_text(texts: list[Path], tmp_path: Path) -> None:
    build(tmp_path / "tokens", texts)
    shards = TokenShards.open(tmp_path / "tokens", small.tokenizer())
    shards.verify()
    assert shards.groups == ("held-out-python", "python", "text")
    for name, rows in {"python": PYTHON + MORE, "text": TEXT, "held-out-python": HELD_OUT}.items():
        group = shards.group(name)
        assert group.documents.tolist() == [number for number, *_ in rows]
        for index, (number, text, *_) in enumerate(rows):
            assert group.ids(index).tolist() == small.tokenizer().encode(text)
            assert group.spans_of(index).tolist() == syntax_spans(text, name, number).tolist()
    assert len(shards.group("held-out-python").spans_of(0)) > 3


def test_files_of_a_package_share_the_number_of_the_first(
    texts: list[Path], tmp_path: Path
) -> None:
    build(tmp_path / "tokens", texts)
    packages = TokenShards.open(tmp_path / "tokens").group("python").packages
    assert packages.tolist() == [0, 0, 0, 3, 3, 3, 6, 6, 8, 9]


def test_licences_and_what_the_vocabulary_saw_stand_in_the_manifest(
    texts: list[Path], tmp_path: Path
) -> None:
    build(tmp_path / "tokens", texts)
    manifest = Manifest.read(tmp_path / "tokens")
    assert manifest.licences == {"": 1, "BSD-3-Clause": 4, "MIT": 8}
    assert manifest.vocabulary == {"bytes": 5}


def test_the_same_texts_give_the_same_shards(texts: list[Path], tmp_path: Path) -> None:
    build(tmp_path / "one", texts)
    build(tmp_path / "two", texts[::-1])
    one, two = ({f.name: f.read_bytes() for f in (tmp_path / n).iterdir()} for n in ("one", "two"))
    assert one == two


def test_rewriting_leaves_the_dropped_documents_out(texts: list[Path], tmp_path: Path) -> None:
    source, target = tmp_path / "tokens", tmp_path / "rewritten"
    build(source, texts).drop(source, [0, 4, 9, 12])
    rewrite(source, target, licences={number: lic for number, _, _, lic in PYTHON + MORE + TEXT})
    shards = TokenShards.open(target, small.tokenizer())
    shards.verify()
    assert shards.manifest.dropped == ()
    assert shards.manifest.licences == {"": 1, "BSD-3-Clause": 4, "MIT": 4}
    group = shards.group("python")
    assert group.documents.tolist() == [1, 2, 3, 5, 6, 7, 8]
    assert group.packages.tolist() == [0, 0, 3, 3, 6, 6, 8]
    assert group.ids(3).tolist() == small.tokenizer().encode(small.source(5))
    assert group.spans_of(3).tolist() == syntax_spans(small.source(5), "python", 5).tolist()
    assert len(shards.group("held-out-python").documents) == 0


def test_a_rewritten_corpus_is_what_it_would_have_been(texts: list[Path], tmp_path: Path) -> None:
    build(tmp_path / "tokens", texts).drop(tmp_path / "tokens", [9])
    assert rewrite(tmp_path / "tokens", tmp_path / "rewritten").licences == {}
    write_texts(texts[1], MORE[:1])
    build(tmp_path / "without", texts)
    for file in sorted((tmp_path / "without").iterdir()):
        if file.name != "manifest.json":
            assert file.read_bytes() == (tmp_path / "rewritten" / file.name).read_bytes()


def test_a_package_whose_files_are_apart_is_refused(texts: list[Path], tmp_path: Path) -> None:
    path = write_texts(tmp_path / "python-00009.parquet", [PYTHON[0], PYTHON[3], PYTHON[1]])
    with pytest.raises(DataError, match="do not lie together; got pypi/p0"):
        build(tmp_path / "tokens", [*texts, path])


@pytest.mark.parametrize("data", [b"", b"PAR1", b"no parquet at all"])
def test_texts_that_are_no_parquet_are_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "python-00000.parquet").write_bytes(data)
    with pytest.raises(DataError, match=r"python-00000\.parquet cannot be read"):
        build(tmp_path / "tokens", [tmp_path / "python-00000.parquet"])


def test_texts_that_are_cut_short_or_missing_are_refused(texts: list[Path], tmp_path: Path) -> None:
    data = texts[0].read_bytes()
    texts[0].write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match=r"python-00000\.parquet cannot be read"):
        build(tmp_path / "cut", texts)
    texts[0].unlink()
    with pytest.raises(DataError, match=r"python-00000\.parquet cannot be read"):
        build(tmp_path / "missing", texts)


def test_texts_without_packages_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "python-00000.parquet"
    pq.write_table(pa.table({"number": [1], "text": ["x"], "licence": [""]}), path)
    with pytest.raises(DataError, match="no column package; allowed: number, text"):
        build(tmp_path / "tokens", [path])


class TestSample:
    @pytest.fixture
    def many(self, tmp_path: Path) -> list[Path]:
        """1,000 documents of 100 bytes in each of two groups, 10 in a third."""
        files = {"python": 1000, "cpp": 1000, "text": 10}
        paths, number = [], 0
        for group, count in files.items():
            rows = [(number + i, f"{number + i:099}\n", "p", "") for i in range(count)]
            for place in range(2):
                path = tmp_path / f"{group}-{place:05}.parquet"
                paths.append(write_texts(path, rows[place::2]))
            number += count
        return paths

    def test_of_the_same_corpus_is_the_same(self, many: list[Path]) -> None:
        facts, chosen = sampled(many, Sample(bytes=20_000))
        again, same = sampled(many[::-1], Sample(bytes=20_000))
        assert facts == again
        assert list(chosen) == list(same)
        assert list(chosen) != list(sampled(many, Sample(bytes=20_000, seed=1))[1])

    def test_keeps_to_its_size_and_its_weights(self, many: list[Path]) -> None:
        sample = Sample(bytes=40_000, weights=(("python", 3.0), ("cpp", 1.0)))
        facts, chosen = sampled(many, sample)
        assert facts["groups"] == {
            "cpp": {"documents": 100, "bytes": 10_000},
            "python": {"documents": 300, "bytes": 30_000},
            "text": {"documents": 0, "bytes": 0},
        }
        assert len({*chosen}) == 400

    def test_takes_from_others_what_a_group_cannot_give(self, many: list[Path]) -> None:
        weights = (("python", 1.0), ("cpp", 1.0), ("text", 2.0))
        facts, _ = sampled(many, Sample(bytes=41_000, weights=weights))
        sizes = {name: group["bytes"] for name, group in facts["groups"].items()}
        assert sizes == {"python": 20_000, "cpp": 20_000, "text": 1_000}

    def test_without_weights_is_like_the_corpus(self, many: list[Path]) -> None:
        facts, _ = sampled(many, Sample(bytes=20_100))
        sizes = {name: group["bytes"] for name, group in facts["groups"].items()}
        assert sizes == {"python": 10_000, "cpp": 10_000, "text": 100}

    def test_is_the_whole_corpus_where_that_is_small(self, many: list[Path]) -> None:
        facts, chosen = sampled(many, Sample())
        assert len(list(chosen)) == 2010
        assert sum(group["bytes"] for group in facts["groups"].values()) == 201_000

    def test_trains_a_vocabulary(self, texts: list[Path], tmp_path: Path) -> None:
        facts = train_vocabulary(tmp_path / TOKENIZER, texts[:3], 320, Sample(bytes=10_000))
        assert json.loads(json.dumps(facts)) == facts
        data = (tmp_path / TOKENIZER).read_bytes()
        assert Tokenizer.from_files({TOKENIZER: data}).vocab == 320
        train_vocabulary(tmp_path / "again", texts[:3], 320, Sample(bytes=10_000))
        assert hashlib.sha256((tmp_path / "again").read_bytes()).digest() == (
            hashlib.sha256(data).digest()
        )


def test_ids_are_read_without_copying(texts: list[Path], tmp_path: Path) -> None:
    build(tmp_path / "tokens", texts)
    ids = TokenShards.open(tmp_path / "tokens").document("python", 3)
    assert isinstance(ids, np.memmap)
