"""Blocks and what is put together of them: the same bytes always, every text runs."""

import ast
import json
from collections import Counter

import pytest

from quipu.cli.main import main
from quipu.errors import DataError
from quipu.exercises import build as building
from quipu.exercises.build import Plan, build
from quipu.exercises.compose import held_out_primitives
from quipu.exercises.run import Job, Runner

SMALL = {"drafts": 40}


def texts(folder):
    """All shards of a folder."""
    return b"".join(path.read_bytes() for path in sorted(folder.glob("exercises-*.jsonl")))


def lines(folder):
    """All exercises of a folder."""
    return [json.loads(line) for line in texts(folder).decode().splitlines()]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A small set of exercises."""
    folder = tmp_path_factory.mktemp("built")
    facts = build(Plan(folder=folder, count=60, seed=5, **SMALL), 1)
    return folder, facts


def test_as_many_as_asked_for_with_every_field(built):
    folder, facts = built
    found = lines(folder)
    assert len(found) == facts["exercises"] == 60
    assert len({line["id"] for line in found}) == 60
    for line in found:
        assert line["licence"] == "Apache-2.0"
        assert (line["group"], line["language"]) == ("exercises", "python")
        assert line["provenance"]["composition"]
        ast.parse(line["text"])


def test_every_text_runs_again_outside_of_blocks(built):
    folder, _ = built
    found = [line for line in lines(folder) if line["provenance"]["form"] not in ("program",)]
    outcomes = Runner().run([Job(code=line["text"], name="exercise") for line in found], 7)
    wrong = [
        (line["text"], outcome)
        for line, outcome in zip(found, outcomes, strict=True)
        if not outcome.ok
    ]
    assert wrong == []


def test_another_run_gives_the_same_bytes(built, tmp_path):
    folder, _ = built
    build(Plan(folder=tmp_path, count=60, seed=5, **SMALL), 1)
    assert texts(tmp_path) == texts(folder)
    assert (tmp_path / "manifest.json").read_bytes() == (folder / "manifest.json").read_bytes()


def test_any_number_of_processes_gives_the_same_bytes(built, tmp_path):
    folder, _ = built
    build(Plan(folder=tmp_path, count=60, seed=5, **SMALL), 2)
    assert texts(tmp_path) == texts(folder)


def test_another_seed_gives_others(built, tmp_path):
    folder, _ = built
    build(Plan(folder=tmp_path, count=20, seed=6, **SMALL), 1)
    assert not {line["text"] for line in lines(tmp_path)} & {line["text"] for line in lines(folder)}


def test_finished_blocks_are_not_made_again(tmp_path, monkeypatch):
    build(Plan(folder=tmp_path, count=20, **SMALL), 1)
    before = texts(tmp_path)

    def fail(*_):
        raise AssertionError("made again")

    monkeypatch.setattr(building, "composed_block", _renamed(fail))
    build(Plan(folder=tmp_path, count=20, **SMALL), 1)
    assert texts(tmp_path) == before


def test_a_block_that_fails_is_recorded_and_made_the_next_time(tmp_path, built, monkeypatch):
    made = building.composed_block
    broken = []

    def fail_once(output, seed, split, number, *more):
        if number == 0 and not broken:
            broken.append(number)
            raise RuntimeError("a worker did not start")
        return made(output, seed, split, number, *more)

    monkeypatch.setattr(building, "composed_block", _renamed(fail_once))
    plan = Plan(folder=tmp_path, count=60, seed=5, **SMALL)
    facts = build(plan, 1)
    assert facts["exercises"] == 60
    (reason,) = facts["failed"].values()
    assert "a worker did not start" in reason
    assert build(plan, 1)["failed"] == {}
    assert texts(tmp_path) == texts(built[0])


def test_blocks_that_all_fail_end_the_build_with_the_reason(tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("a worker did not start")

    monkeypatch.setattr(building, "composed_block", _renamed(fail))
    with pytest.raises(DataError, match="a worker did not start"):
        build(Plan(folder=tmp_path, count=5, **SMALL), 1)


def _renamed(function):
    function.__qualname__ = building.composed_block.__qualname__
    function.__module__ = building.composed_block.__module__
    return function


def test_dev_exercises_hold_something_held_out_and_train_exercises_nothing(built, tmp_path):
    folder, _ = built
    build(Plan(folder=tmp_path, count=15, split="dev", **SMALL), 1)
    held = held_out_primitives()
    for line in lines(tmp_path):
        assert held & set(line["provenance"]["parts"])
    for line in lines(folder):
        assert not held & set(line["provenance"]["parts"])


def no_loops(document):
    """A step that drops what has a loop."""
    return "loop" if "for " in document.text else None


def test_a_step_drops_and_is_counted(tmp_path):
    facts = build(Plan(folder=tmp_path, count=5, decontaminate=no_loops, **SMALL), 1)
    assert all("for " not in line["text"] for line in lines(tmp_path))
    assert Counter(facts["dropped"])["loop"] > 0


def test_a_size_must_be_given(tmp_path):
    with pytest.raises(DataError, match="how many"):
        build(Plan(folder=tmp_path), 1)


def test_the_command_builds_and_shows(tmp_path, capsys):
    assert main(["data", "exercises", "--to", str(tmp_path), "--count", "5", "--show", "2"]) == 0
    assert capsys.readouterr().out.count("exercises/composed/train") == 2
