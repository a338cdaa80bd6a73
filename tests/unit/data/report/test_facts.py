"""Counts of a corpus agree with its rows, read one by one."""

from collections import Counter

import numpy as np
import pytest

import made_corpus
import small
import token_shards
from made_corpus import row
from quipu.data.report import facts as counting
from quipu.data.report import plots
from quipu.data.report.facts import gather, package_of, step_of
from quipu.errors import DataError
from token_shards import Text


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A varied corpus: its rows, its duplicates, and the facts counted of its folder."""
    rows, duplicates = made_corpus.varied()
    folder = made_corpus.write(tmp_path_factory.mktemp("made") / "corpus", rows, duplicates)
    return rows, duplicates, gather(folder)


def test_kept_documents_and_bytes_are_those_of_the_kept_rows(corpus):
    rows, _, facts = corpus
    kept = [row for row in rows if row["state"] == "kept"]
    assert facts.kept.documents == len(kept)
    assert facts.kept.bytes == sum(row["bytes"] for row in kept)
    for name, tallies in (
        ("group", facts.groups), ("language", facts.languages), ("licence", facts.licences)
    ):  # fmt: skip
        assert {key: tally.documents for key, tally in tallies.items()} == Counter(
            row[name] for row in kept
        )


def test_every_row_of_a_language_is_either_kept_or_dropped_by_one_step(corpus):
    rows, _, facts = corpus
    dropped = facts.dropped_by_step()
    assert facts.read.documents == sum(bool(row["group"]) for row in rows)
    assert facts.passed_over.documents == sum(not row["group"] for row in rows)
    assert facts.kept.documents + sum(tally.documents for tally in dropped.values()) == (
        facts.read.documents
    )


def test_steps_are_counted_by_the_beginning_of_their_reasons(corpus):
    rows, _, facts = corpus
    expected = Counter(
        step_of(row["state"]) for row in rows if row["state"] != "kept" and row["group"]
    )
    found = {step: tally.documents for step, tally in facts.dropped_by_step().items()}
    assert found == expected
    assert facts.details["licence"]["GPL-3.0-only"].documents > 0


@pytest.mark.parametrize(
    ("reason", "step"),
    [
        ("licence: GPL-3.0-only", "licence"),
        ("near duplicate of pypi/a/1/b: c.py 0.83", "near duplicate"),
        ("exact duplicate of pypi/a/1/b.py", "exact duplicate"),
        ("long lines: one beyond 1000", "long lines"),
        ("withdrawn", "withdrawn"),
    ],
)
def test_a_reason_names_its_step(reason, step):
    assert step_of(reason) == step


@pytest.mark.parametrize(
    ("id", "package"),
    [
        ("pypi/numpy/2.0/numpy/a.py", "pypi/numpy"),
        ("npm/@angular/core/17.0/src/a.ts", "npm/@angular/core"),
        ("folder/x/1/a.py", "folder/x"),
    ],
)
def test_an_id_names_its_package(id, package):
    assert package_of(id) == package


def test_overlaps_are_counted_by_benchmark_rule_and_problem(tmp_path):
    reason = "decontaminate: {} of {} in {}"
    rows = [
        row("pypi/a", f"{n}.py", f"x = {n}", state=reason.format(rule, problem, benchmark))
        for n, (rule, problem, benchmark) in enumerate(
            [
                ("program", "HumanEval/3", "humaneval/problems.jsonl"),
                ("program", "HumanEval/3", "humaneval/problems.jsonl"),
                ("function", "HumanEval/9", "humaneval/problems.jsonl"),
                ("prose", "a task of 7", "mbpp/mbpp.jsonl"),
            ]
        )
    ]
    facts = gather(made_corpus.write(tmp_path / "corpus", rows))
    assert facts.overlap_table() == [
        ("humaneval/problems.jsonl", {"program": 2, "function": 1}, 2),
        ("mbpp/mbpp.jsonl", {"prose": 1}, 1),
    ]


def test_duplicates_are_counted_from_where_to_where(corpus):
    _, duplicates, facts = corpus
    pairs = Counter((package_of(d["id"]), package_of(d["kept_id"])) for d in duplicates)
    assert facts.copied == pairs
    assert facts.jaccard.sum() == len(duplicates)


def test_lengths_fall_into_their_doubling(tmp_path):
    sizes = {0: 0, 1: 0, 2: 1, 3: 1, 4: 2, 1023: 9, 1024: 10}
    rows = [row("pypi/a", f"{size}.py", "x" * size) for size in sizes]
    facts = gather(made_corpus.write(tmp_path / "corpus", rows))
    expected = np.bincount(list(sizes.values()), minlength=counting.LENGTH_BINS)
    assert facts.lengths["python"].tolist() == expected.tolist()


def test_quality_outside_of_its_range_goes_to_the_ends(tmp_path):
    rows = [row("pypi/a", f"{q}.py", "x", quality=q) for q in (-1.0, 0.0, 1.0, 7.0)]
    facts = gather(made_corpus.write(tmp_path / "corpus", rows))
    assert facts.quality["python"][[0, -1]].tolist() == [2, 2]


def test_a_held_out_package_is_told_apart(corpus):
    _, _, facts = corpus
    assert [name for name, p in facts.packages.items() if p.held_out] == ["pypi/made-5"]
    assert sum(t.bytes for t in facts.held_out.values()) == facts.packages["pypi/made-5"].kept.bytes


def test_counts_do_not_depend_on_the_size_of_batches(corpus, tmp_path, monkeypatch):
    rows, duplicates, facts = corpus
    monkeypatch.setattr(counting, "BATCH_ROWS", 7)
    again = gather(made_corpus.write(tmp_path / "corpus", rows, duplicates))
    assert again.packages == facts.packages
    assert again.groups == facts.groups


def test_a_folder_without_documents_is_no_corpus(tmp_path):
    with pytest.raises(DataError, match="no built corpus"):
        gather(tmp_path)


def test_a_broken_file_is_an_error_that_names_it(tmp_path):
    folder = made_corpus.write(tmp_path / "corpus", [row("pypi/a", "a.py", "x")])
    (folder / "documents.parquet").write_bytes(b"nothing of the kind")
    with pytest.raises(DataError, match=r"documents\.parquet cannot be read"):
        gather(folder)


def test_a_broken_recipe_is_an_error_that_names_it(tmp_path):
    folder = made_corpus.write(tmp_path / "corpus", [row("pypi/a", "a.py", "x")])
    (folder / "recipe.json").write_text("{")
    with pytest.raises(DataError, match=r"recipe\.json cannot be read"):
        gather(folder)


def test_drawing_adds_nothing_to_what_was_counted(corpus):
    _, _, facts = corpus
    before = {group: set(steps) for group, steps in facts.steps.items()}
    plots.flow(facts)
    assert {group: set(steps) for group, steps in facts.steps.items()} == before


def test_tokens_of_held_out_shards_are_counted_with_their_group(tmp_path):
    folder = made_corpus.write(tmp_path / "corpus", [row("pypi/a", "a.py", "x")])
    texts = {
        name: [Text("x = 1\n" * n) for n in range(9)] for name in ("python", "held-out-python")
    }
    shards = token_shards.write(folder / "tokens", small.tokenizer(), texts)
    facts = gather(folder)
    lengths = [n for name in texts for n in shards.group(name).lengths.tolist()]
    assert facts.tokens == {"python": sum(lengths)}
    expected = np.bincount([max(n, 1).bit_length() - 1 for n in lengths], minlength=25)
    assert facts.token_lengths["python"].tolist() == expected.tolist()
