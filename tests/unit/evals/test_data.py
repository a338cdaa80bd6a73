"""Benchmark files and their hashes."""

import hashlib
import json
from pathlib import Path

import pytest

from quipu.errors import DataError
from quipu.evals.data import Source, data_folder, read_sources

DATA = b"problems"
SOURCE = Source(
    path="bench/problems.jsonl",
    sha256=hashlib.sha256(DATA).hexdigest(),
    url="https://example.com/problems.jsonl",
)


def never(url: str) -> bytes:
    raise AssertionError(f"fetched {url}")


def test_a_file_of_the_folder_is_read_and_nothing_fetched(tmp_path: Path) -> None:
    (tmp_path / "bench").mkdir()
    (tmp_path / SOURCE.path).write_bytes(DATA)
    assert read_sources([SOURCE], tmp_path, fetch=never) == {"problems.jsonl": DATA}


def test_a_missing_file_is_fetched_once(tmp_path: Path) -> None:
    asked = []

    def fetch(url: str) -> bytes:
        asked.append(url)
        return DATA

    for _ in range(2):
        assert read_sources([SOURCE], tmp_path, fetch=fetch)["problems.jsonl"] == DATA
    assert asked == [SOURCE.url]
    assert [p.name for p in (tmp_path / "bench").iterdir()] == ["problems.jsonl"]


@pytest.mark.parametrize("there", [True, False])
def test_another_edition_is_refused_and_not_kept(tmp_path: Path, there: bool) -> None:
    if there:
        (tmp_path / "bench").mkdir()
        (tmp_path / SOURCE.path).write_bytes(b"other")
    with pytest.raises(DataError, match=f"allowed: {SOURCE.sha256}"):
        read_sources([SOURCE], tmp_path, fetch=lambda _: b"other")
    assert there or not (tmp_path / SOURCE.path).exists()


def test_a_file_without_an_address_names_its_place_and_hash(tmp_path: Path) -> None:
    source = Source(path=SOURCE.path, sha256=SOURCE.sha256)
    with pytest.raises(DataError, match=rf"put it there \(sha256 {SOURCE.sha256}\)"):
        read_sources([source], tmp_path, fetch=never)


def test_a_dead_network_is_a_clear_error(tmp_path: Path) -> None:
    source = Source(path="x", sha256="0", url="http://127.0.0.1:9/x")
    with pytest.raises(DataError, match="QUIPU_DATA"):
        read_sources([source], tmp_path)


def test_the_users_folder_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("QUIPU_DATA", str(tmp_path))
    assert data_folder() == tmp_path


def test_a_file_of_the_users_own_has_no_edition(tmp_path: Path) -> None:
    source = Source(path="apps/test.jsonl", sha256="")
    with pytest.raises(DataError, match=r"put it there \(a file of your own\)"):
        read_sources([source], tmp_path)
    (tmp_path / "apps").mkdir()
    (tmp_path / source.path).write_bytes(b"any")
    assert read_sources([source], tmp_path) == {"test.jsonl": b"any"}


def test_a_folder_for_each_problem_reads_as_lines(tmp_path: Path) -> None:
    source = Source(path="apps/sample", sha256="")
    for name in ("0002", "0001"):
        folder = tmp_path / "apps/sample" / name
        folder.mkdir(parents=True)
        (folder / "question.txt").write_text(f"{name}?", encoding="utf-8")
        (folder / "solutions.json").write_text("[]", encoding="utf-8")
    (tmp_path / "apps/sample/README").write_text("not a problem", encoding="utf-8")
    lines = read_sources([source], tmp_path)["sample"].decode().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"id": name, "question": f"{name}?", "solutions": "[]"} for name in ("0001", "0002")
    ]
    with pytest.raises(DataError, match="is not the one"):
        read_sources([Source(path="apps/sample", sha256="0")], tmp_path)
    (tmp_path / "apps/sample/0001/question.txt").write_bytes(b"\xff")
    with pytest.raises(DataError, match="0001"):
        read_sources([source], tmp_path)
