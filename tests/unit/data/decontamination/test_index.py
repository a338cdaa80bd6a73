"""The index of benchmarks: what goes in, and the file it lies in."""

import json

import numpy as np
import pytest

from quipu.data.decontamination import benchmarks, index
from quipu.data.decontamination.index import build, load
from quipu.errors import DataError

from . import samples


@pytest.fixture
def folder(tmp_path):
    return samples.write(tmp_path / "benchmarks")


def test_a_problem_has_one_name_in_all_files(folder):
    problems = {
        name: {text.problem for text in benchmarks.texts(folder, name)}
        for name in benchmarks.files(folder)
    }
    assert problems == {
        "gsm8k/test.json": {"gsm8k/test.json#0", "gsm8k/test.json#1"},
        "humaneval/HumanEval.jsonl.gz": {"humaneval/900"},
        "mbpp/mbpp.jsonl": {"mbpp/901"},
        "multipl-e/clean/humaneval-java.jsonl": {"humaneval/900"},
    }


def test_infilling_tasks_are_joined_and_their_parts_left_alone(folder):
    row = {"task_id": "X/HumanEval/7/L0", "prompt": "a = 1\n", "canonical_solution": "b = 2\n"}
    file = folder / "infilling.jsonl"
    file.write_text(json.dumps({**row, "suffix": "c = 3\n"}) + "\n")
    found = [text.text for text in benchmarks.texts(folder, file.name) if not text.words]
    assert found == ["a = 1\nb = 2\nc = 3\n"]


def test_comments_of_any_language_are_prose():
    program = '/* one */ x\n// two\n# three\n#!no\n"""four"""\n-- five\n'
    assert benchmarks.comments(program).split() == ["one", "two", "three", "four", "five"]


def test_licences_of_real_repositories_are_no_problem(folder):
    licence = "# Copyright 2020 The Team\n# Licensed under the Apache License\n"
    (folder / "repobench").mkdir()
    row = {"code": licence + "# a note\n\nx = 1  # copyright\n"}
    (folder / "repobench" / "c.jsonl").write_text(json.dumps(row))
    found = [text.text for text in benchmarks.texts(folder, "repobench/c.jsonl")]
    assert found == ["\nx = 1  # copyright\n"]
    program = "/* Licence: MIT */\nint x; // note\n/* kept */\n"
    assert benchmarks.without_licences(program) == "\nint x; // note\n/* kept */\n"


def test_what_cannot_be_read_is_named(folder):
    (folder / "gsm8k" / "test.json").write_text("{nonsense")
    with pytest.raises(DataError, match=r"test\.json cannot be read as a benchmark"):
        list(benchmarks.texts(folder, "gsm8k/test.json"))


def test_ngrams_of_many_problems_are_nobodys(folder, tmp_path):
    shared = (
        "shared = [first, second, third, fourth, fifth, sixth, seventh, eighth, ninth, tenth]\n"
    )
    rows = [
        {"task_id": f"p{i}", "code": f"{shared}own_{i} = {list(range(i, i + 30))}\n"}
        for i in range(12)
    ]
    (folder / "many.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    build(folder, tmp_path / "index")
    found = load(tmp_path / "index")
    assert not index.among(found.table.keys, np.unique(index.programs(shared))).any()
    assert index.among(found.table.keys, np.unique(index.programs(rows[5]["code"]))).any()


def test_a_text_with_too_little_of_its_own_is_not_looked_for(folder, tmp_path):
    shared = "".join(f"#include <header_{i}.h>\n" for i in range(30))
    rows = [{"task_id": f"p{i}", "code": f"{shared}int own_{i};\n"} for i in range(12)]
    (folder / "many.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    build(folder, tmp_path / "index")
    found = load(tmp_path / "index")
    assert not index.among(found.table.keys, np.unique(index.programs(rows[5]["code"]))).any()


def test_a_table_finds_what_a_dictionary_finds(folder, tmp_path):
    build(folder, tmp_path / "index")
    found = load(tmp_path / "index")
    keys, offsets = found.table.keys.tolist(), found.table.offsets.tolist()
    slow = {
        key: found.table.items[a:b].tolist()
        for key, a, b in zip(keys, offsets, offsets[1:], strict=False)
    }
    assert keys == sorted(set(keys))
    wanted = np.array(sorted([*keys[::7], 3, 2**64 - 1]), np.uint64)
    assert found.table.find(wanted).tolist() == [
        i for k in wanted.tolist() for i in slow.get(k, [])
    ]
    assert index.sought(found, wanted).tolist() == [
        k for k in wanted.tolist() if k in slow or k >> 40 in {key >> 40 for key in keys}
    ]


def test_the_file_is_built_once_and_again_when_a_benchmark_changes(folder, tmp_path):
    file = tmp_path / "index"
    first = build(folder, file)
    made = file.stat().st_mtime_ns
    assert build(folder, file) == first
    assert file.stat().st_mtime_ns == made
    (folder / "mbpp" / "mbpp.jsonl").write_text(json.dumps({**samples.MBPP, "text": "new"}))
    assert build(folder, file) != first
    assert list(tmp_path.glob("*.part")) == []


def test_equal_benchmarks_give_equal_bytes(folder, tmp_path):
    build(folder, tmp_path / "one")
    build(folder, tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_another_file_is_refused(tmp_path):
    (tmp_path / "index").write_text("something else")
    with pytest.raises(DataError, match="is no index of benchmarks"):
        load(tmp_path / "index")
    with pytest.raises(DataError, match="cannot be read"):
        load(tmp_path / "nowhere")
