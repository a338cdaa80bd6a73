"""quipu train evaluate and report, on the small chain of the tests."""

import json

import pytest

import small
from quipu.errors import QuipuError
from quipu.train.loop import Machine, train
from quipu.train.report import read
from quipu.train.stored import note_chain

MACHINE = Machine(compiled=False, tensorboard=False)
QUICK = ("--rows", 4, "--lines", 3)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return small.corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture
def chain(tmp_path, corpus):
    """A chain of two stages, of which the second has not ended."""
    folder = tmp_path / "chain"
    note_chain(folder, ["code", "python"])
    for _ in train(small.recipe(12, name="code", milestones=2), folder / "code", corpus, MACHINE):
        pass
    second = small.recipe(6, name="python", start=str(folder / "code"))
    for _ in train(second, folder / "python", corpus, MACHINE, until=3):
        pass
    return folder


def test_every_checkpoint_is_evaluated_once(quipu, chain, corpus):
    asked = ("train", "evaluate", chain, "--corpus", corpus, *QUICK, "--json")
    first = quipu(*asked)
    assert first.code == 0, first.err
    lines = [json.loads(line) for line in first.out.splitlines()]
    assert [(line["run"].rsplit("/")[-1], line["step"]) for line in lines] == [
        ("code", 6), ("code", 12), ("python", 3),
    ]  # fmt: skip
    losses = [line["sources"]["python"]["loss"] for line in lines]
    assert losses[1] < losses[0] < 6
    again = quipu(*asked)
    assert again.out == ""
    assert "nothing new" in again.err


def test_what_is_seen_before_a_token_is_told_by_group_of_whole_packages(quipu, chain, corpus):
    asked = ("train", "evaluate", chain, "--corpus", corpus, *QUICK, "--which", "newest")
    ran = quipu(*asked, "--packages", "--groups", "python", "--row-tokens", "512")
    assert ran.code == 0, ran.err
    assert "loss after 64, 128, ... tokens: " in ran.out
    assert "no_such" in quipu(*asked, "--groups", "no_such").err


def test_a_report_has_a_page_and_pictures_of_all_stages(quipu, chain, corpus, tmp_path):
    quipu("train", "evaluate", chain, "--corpus", corpus, *QUICK)
    with (chain / "python" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "half')  # a run that goes on
    ran = quipu("train", "report", chain, "--to", tmp_path / "report")
    assert ran.code == 0, ran.err
    assert "code: step 12 of 12" in ran.out
    assert "python: step 3 of 6" in ran.out
    page = (tmp_path / "report" / "report.html").read_text()
    assert 'src="http' not in page
    for name in ("loss", "gradient-norm", "held-out-text", "loss-by-position", "single-lines"):
        assert (tmp_path / "report" / f"{name}.png").stat().st_size > 5_000
    told = quipu("train", "report", chain, "--to", tmp_path / "report", "--json").out
    assert json.loads(told.splitlines()[0])["bits_per_byte"]["python"] > 0


def test_what_is_no_run_is_refused(refused, corpus, tmp_path):
    words = "quipu train has written"
    assert words in refused("train", "evaluate", tmp_path, "--corpus", corpus)
    assert words in refused("train", "report", tmp_path, "--to", tmp_path)
    assert "what to evaluate" in refused("train", "evaluate", "--corpus", corpus, code=2)


def test_a_report_that_cannot_be_written_is_refused(refused, chain, tmp_path):
    (tmp_path / "file").touch()
    assert "can be written" in refused("train", "report", chain, "--to", tmp_path / "file" / "x")


def test_a_run_without_a_step_has_no_curves(tmp_path):
    with pytest.raises(QuipuError, match="no step yet"):
        read(tmp_path, "none")
