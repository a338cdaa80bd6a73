"""quipu train --dry-run as a person calls it: without a corpus and without a device."""

import json

import pytest

WORDS = ("train", "quipu_recipes.code_llama:code")


def test_a_plan_is_a_table_or_one_object(quipu):
    words = (
        *WORDS,
        "--dry-run",
        "--on",
        "H100",
        "--mesh",
        "data=128",
        "--devices",
        128,
        "--micro-tokens",
        4096,
    )
    shown = quipu(*words)
    assert shown.code == 0, shown.err
    for word in ("6.739 B", "500", "activations", "--recompute", "optimiser", "days"):
        assert word in shown.out
    told = json.loads(quipu(*words, "--json", "--mfu", 0.5).out)
    (stage,) = told["stages"]
    assert stage["parameters"] == 6_738_546_688
    assert stage["fits"] is True
    assert stage["memory"]["peak"] > stage["memory"]["optimiser"]
    assert told["mfu"] == 0.5
    assert stage["recipe"]["model"]["dim"] == 4096


def test_what_does_not_fit_is_refused_after_the_table(quipu):
    ran = quipu(*WORDS, "size=70b", "--dry-run", "--device-memory", "80GB", "--peak", 989)
    assert ran.code == 1
    assert "GB on a device" in ran.out
    assert "--mesh " in ran.err
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--on", "Z80"), "H200"),
        (("--device-memory", "much"), "80GB"),
        (("--on", "H100", "--mfu", "2"), "--mfu"),
        (("--on", "H100", "--mesh", "tensor=3"), "multiple of 3"),
        (("--on", "H100", "--peak", "-1"), "--peak"),
    ],
)
def test_wrong_options_are_named(refused, options, said):
    assert said in refused(*WORDS, "--dry-run", *options, code=2)


def test_a_real_run_that_cannot_fit_is_refused_before_anything_is_read(refused, tmp_path):
    line = refused(*WORDS, "size=70b", "--corpus", tmp_path, "--run", tmp_path / "run")
    assert "does not fit" in line
    assert not (tmp_path / "run").exists()
