"""Exercises in a corpus: groups of their own, kept as they are, away from benchmarks."""

import gzip
import json

import pyarrow.parquet as pq
import pytest

import small_corpus
from quipu.data.corpus import build as building
from quipu.data.corpus.executors.local import LocalExecutor
from quipu.data.corpus.exercises import packages_of
from quipu.data.tokens.reading import TokenShards
from quipu.errors import DataError

FUNCTION = 'def f{0}(values):\n    """Return the values from {0} on."""\n    return values[{0}:]\n'
PROBLEM = {
    "task_id": "HumanEval/0",
    "prompt": 'def telling(first, second):\n    """Tell which is first."""\n',
    "entry_point": "telling",
    "canonical_solution": "    return first or second\n",
    "test": "def check(candidate):\n    assert candidate(1, 2) == 1\n",
}
SIGNATURE = "def telling(a, b):\n    print('Something else.', a)\n    return [b, a, b]\n"


def exercise(split, number, text, package="exercises/composed"):
    return {
        "id": f"exercises/{split}/{number}",
        "path": f"function/f{number}.py",
        "text": text,
        "package": package,
        "licence": "Apache-2.0",
        "language": "python",
        "group": "exercises",
        "provenance": {"form": "function"},
    }


def write(folder, split, rows):
    """A set of exercises in two files, as `quipu data exercises` leaves it."""
    place = folder / split
    place.mkdir(parents=True)
    names = ["exercises-00000.jsonl", "exercises-00001.jsonl"]
    for name, some in zip(names, (rows[::2], rows[1::2]), strict=True):
        (place / name).write_text("".join(json.dumps(row) + "\n" for row in some))
    (place / "manifest.json").write_text(json.dumps({"split": split, "shards": names}))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A corpus with exercises, some alike, more than a package's cap, one near a benchmark."""
    root = tmp_path_factory.mktemp("exercises")
    sources = small_corpus.write_sources(root / "sources")
    rows = [exercise("train", number, FUNCTION.format(number)) for number in range(40)]
    rows += [exercise("train", 40, FUNCTION.format(0)), exercise("train", 41, SIGNATURE)]
    write(root / "sets", "train", rows)
    write(root / "sets", "dev", [exercise("dev", n, FUNCTION.format(n)) for n in range(50, 55)])
    problem = root / "benchmarks" / "humaneval" / "HumanEval.jsonl.gz"
    problem.parent.mkdir(parents=True)
    problem.write_bytes(gzip.compress((json.dumps(PROBLEM) + "\n").encode()))
    folder = root / "corpus"
    recipe = small_corpus.recipe_of(
        sources, exercises=root / "sets", benchmarks=root / "benchmarks", cap_bytes=2_000
    )
    building.build(recipe, folder, LocalExecutor(0), until="tokens")
    return folder


def states(corpus):
    rows = pq.read_table(corpus / "documents.parquet").to_pylist()
    return {row["id"]: row for row in rows if row["id"].startswith("exercises/")}


def test_exercises_are_groups_of_their_own_and_dev_is_held_out(corpus):
    shards = TokenShards.open(corpus / "tokens")
    shards.verify()
    assert len(shards.group("exercises").documents) == 41
    assert len(shards.group("held-out-exercises").documents) == 5
    held = {id for id, row in states(corpus).items() if row["split"] == "held out"}
    assert held == {f"exercises/dev/{number}" for number in range(50, 55)}


def test_neither_duplicates_nor_the_cap_take_exercises_away(corpus):
    rows = states(corpus)
    assert sum(row["bytes"] for row in rows.values() if row["state"] == "kept") > 2_000
    assert rows["exercises/train/40"]["state"] == "kept"


def test_exercises_with_a_benchmarks_signature_go(corpus):
    assert states(corpus)["exercises/train/41"]["state"].startswith("decontaminate: signature")


def test_a_build_without_them_has_none(corpus):
    told = json.loads((corpus / "recipe.json").read_text())
    assert told["exercises"] == "sets"  # and no path of this machine
    assert small_corpus.recipe_of(corpus).exercises is None


def test_exercises_of_a_held_out_package_are_held_out_with_it(tmp_path):
    sources = small_corpus.write_sources(tmp_path / "sources")
    rows = [
        exercise("train", n, FUNCTION.format(n), f"folder/{name}")
        for n, name in enumerate(small_corpus.NAMES)
    ]
    write(tmp_path / "sets", "train", rows)
    recipe = small_corpus.recipe_of(sources, exercises=tmp_path / "sets")
    building.build(recipe, tmp_path / "corpus", LocalExecutor(0), until="select")
    rows = pq.read_table(tmp_path / "corpus" / "documents.parquet").to_pylist()
    split = {name: {r["split"] for r in rows if r["package"] == name and r["split"]} for name in
             {f"folder/{name}" for name in small_corpus.NAMES}}  # fmt: skip
    assert all(len(found) == 1 for found in split.values())
    assert {"train", "held out"} == set.union(*split.values())


@pytest.mark.parametrize(
    ("told", "message"),
    [
        (None, "quipu data exercises --to"),
        ("{", "quipu data exercises --to"),
        ("{}", "no list of shards"),
        ('{"split": "dev", "shards": []}', "allowed: train"),
    ],
)
def test_a_folder_that_holds_no_finished_set_is_told(tmp_path, told, message):
    (tmp_path / "train").mkdir()
    if told is not None:
        (tmp_path / "train" / "manifest.json").write_text(told)
    with pytest.raises(DataError, match=message):
        packages_of(tmp_path)
