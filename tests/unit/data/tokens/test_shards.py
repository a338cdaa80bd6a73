"""Token shards: written, read back, and refused when they are not what the manifest says."""

import pickle
from pathlib import Path

import numpy as np
import pytest

import small
from quipu.data.tokens.manifest import MANIFEST, Manifest, assemble
from quipu.data.tokens.reading import TokenShards
from quipu.data.tokens.writing import SUFFIXES, ShardWriter, shard_files, token_type
from quipu.errors import DataError


def write(folder: Path, groups: dict[str, list[list[str]]], vocab: int = small.VOCAB) -> Path:
    """Shards of texts; document numbers count through all groups, every two share a package."""
    folder.mkdir(exist_ok=True)
    tokenizer, number, records = small.tokenizer(), 0, {}
    for group, shards in groups.items():
        records[group] = []
        for place, texts in enumerate(shards):
            name = f"{group}-{place:05}"
            with ShardWriter(shard_files(folder, name), vocab) as writer:
                for index, text in enumerate(texts):
                    spans = np.array([[0, len(text)]] * (index % 3), dtype=np.int32).reshape(-1, 2)
                    writer.add(
                        np.array(tokenizer.encode(text), dtype=np.int64),
                        number=number,
                        package=number - index % 2,
                        spans=spans,
                        licence=["MIT", "BSD-3-Clause"][number % 2],
                    )
                    number += 1
                records[group].append(writer.close(name))
    assemble(records, vocab=vocab, fingerprint=tokenizer.fingerprint).write(folder)
    return folder


TEXTS = {
    "python": [[small.source(i) for i in range(5)], [small.source(i) for i in range(5, 7)]],
    "text": [["", "é ▁ \0\r\n", "words"]],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "tokens", TEXTS)


def test_documents_come_back_as_they_were_encoded(folder: Path) -> None:
    shards = TokenShards.open(folder, small.tokenizer())
    assert shards.groups == ("python", "text")
    for name, parts in TEXTS.items():
        texts = [text for part in parts for text in part]
        group = shards.group(name)
        assert len(group.documents) == len(texts)
        for index, text in enumerate(texts):
            ids = shards.document(name, index)
            assert ids.dtype == np.uint16
            assert ids.tolist() == small.tokenizer().encode(text)
            assert group.lengths[index] == len(ids)


def test_numbers_packages_and_spans_come_back(folder: Path) -> None:
    group = TokenShards.open(folder).group("python")
    assert group.documents.tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert group.packages.tolist() == [0, 0, 2, 2, 4, 5, 5]
    assert [len(group.spans_of(index)) for index in range(7)] == [0, 1, 2, 0, 1, 0, 1]
    assert group.spans_of(1).tolist() == [[0, len(small.source(1))]]


def test_the_manifest_counts_documents_tokens_and_licences(folder: Path) -> None:
    manifest = Manifest.read(folder)
    assert manifest.licences == {"BSD-3-Clause": 5, "MIT": 5}
    texts = [text for part in TEXTS["python"] for text in part]
    counted = sum(shard.tokens for shard in manifest.groups["python"])
    assert counted == sum(len(small.tokenizer().encode(text)) for text in texts)


def test_the_same_texts_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "again", TEXTS)
    assert {f.name: f.read_bytes() for f in folder.iterdir()} == {
        f.name: f.read_bytes() for f in other.iterdir()
    }


def test_whole_shards_verify(folder: Path) -> None:
    TokenShards.open(folder).verify()


def test_a_reader_pickles_as_its_folder(folder: Path) -> None:
    shards = TokenShards.open(folder)
    shards.group("python")
    data = pickle.dumps(shards)
    assert len(data) < 1000
    assert pickle.loads(data).document("text", 2).tolist() == small.tokenizer().encode("words")


def test_vocabularies_beyond_16_bits_take_32(tmp_path: Path) -> None:
    assert (token_type(65536), token_type(65537)) == (np.dtype("<u2"), np.dtype("<u4"))
    write(tmp_path, {"text": [["wide"]]}, vocab=65537)
    assert TokenShards.open(tmp_path).document("text", 0).dtype == np.uint32


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_that_is_cut_short_is_refused(folder: Path, suffix: str) -> None:
    path = folder / f"python-00000.{suffix}"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=rf"python-00000\.{suffix} .*got \d+ bytes; allowed"):
        TokenShards.open(folder)


def test_a_file_that_is_missing_is_refused(folder: Path) -> None:
    (folder / "text-00000.offsets").unlink()
    with pytest.raises(DataError, match=r"text-00000\.offsets is missing"):
        TokenShards.open(folder)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_changed_byte_is_found(folder: Path, suffix: str) -> None:
    path = folder / f"python-00001.{suffix}"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    shards = TokenShards.open(folder)
    with pytest.raises(DataError, match=rf"python-00001\.{suffix} .*got sha256"):
        shards.verify()


def test_another_tokenizer_is_refused(folder: Path) -> None:
    path = folder / MANIFEST
    path.write_text(path.read_text().replace(small.tokenizer().fingerprint, "0" * 64))
    with pytest.raises(DataError, match="another tokenizer; got fingerprint"):
        TokenShards.open(folder, small.tokenizer())


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 2}', '{"format": 1}'])
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(DataError, match=r"manifest\.json"):
        TokenShards.open(tmp_path)


def test_ids_of_another_width_are_refused(folder: Path) -> None:
    path = folder / MANIFEST
    path.write_text(path.read_text().replace("uint16", "uint32"))
    with pytest.raises(DataError, match=r"no manifest of token shards; .*uint32"):
        TokenShards.open(folder)


def test_a_folder_without_shards_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read; got No such file"):
        TokenShards.open(tmp_path)


def test_a_group_that_is_not_there_is_refused(folder: Path) -> None:
    with pytest.raises(DataError, match="no group cobol; got cobol; allowed: python, text"):
        TokenShards.open(folder).group("cobol")


def test_an_id_beyond_the_vocabulary_is_never_written(tmp_path: Path) -> None:
    with ShardWriter(shard_files(tmp_path, "python-00000"), 10) as writer:
        with pytest.raises(AssertionError):
            writer.add(np.array([1, 10]), number=0, package=0)
        assert writer.close("python-00000").tokens == 0


def test_dropped_documents_are_marked_and_stay_marked(folder: Path) -> None:
    Manifest.read(folder).drop(folder, [5, 1])
    Manifest.read(folder).drop(folder, [1, 8])
    shards = TokenShards.open(folder)
    assert shards.manifest.dropped == (1, 5, 8)
    assert np.flatnonzero(shards.group("python").dropped).tolist() == [1, 5]
    assert np.flatnonzero(shards.group("text").dropped).tolist() == [1]
    shards.verify()
