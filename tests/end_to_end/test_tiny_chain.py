"""The whole recipe in miniature, by commands alone: from packages to models that were evaluated."""

import json
import math

import pytest

import quipu as face
import small
from quipu.checkpoint.opening import open_checkpoint

VOCAB = 1024


def succeeded(ran):
    assert ran.code == 0, ran.err
    return ran.out


def losses(run):
    return [json.loads(line)["loss"] for line in (run / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture
def corpus(quipu, tmp_path):
    recipe, folder = "quipu_recipes.corpus.tiny:tiny", tmp_path / "corpus"
    build = ("data", "build", recipe, "--to", folder, "--processes", 1, "--until", "tokens")
    succeeded(quipu(*build))
    return small.dialogues(folder, 40)


def test_packages_become_a_model_that_completes_infills_and_chats(quipu, corpus, tmp_path):
    runs, tuned = tmp_path / "runs", tmp_path / "tuned"
    how = ("--corpus", corpus, "--no-compile", "--run")
    succeeded(quipu("train", "quipu_recipes.tiny:chain", "share=0.5", *how, runs))
    stages = [losses(runs / name) for name in ("code", "long", "python")]
    assert [len(stage) for stage in stages] == [30, 4, 8]
    assert stages[0][0] == pytest.approx(math.log(VOCAB), abs=0.1)
    # Later stages begin with what was learned, and on other text.
    assert max(stage[0] for stage in stages[1:]) < stages[0][0] - 1
    assert stages[-1][-1] < 0.9 * stages[0][0]

    quick = ("--corpus", corpus, "--rows", 4, "--lines", 3, "--json")
    found = succeeded(quipu("train", "evaluate", runs, *quick)).splitlines()
    lines = [json.loads(line) for line in found]
    assert [line["run"].rsplit("/")[-1] for line in lines] == ["code", "long", "python"]
    assert lines[-1]["sources"]["python"]["loss"] < lines[0]["sources"]["python"]["loss"] < 6.6
    assert lines[-1]["infilling"]["python"]["psm"]["lines"] == 3

    succeeded(quipu("export", runs / "python", tmp_path / "model"))
    config = open_checkpoint(tmp_path / "model").config
    assert (config.context, config.rope_theta) == (1024, 1e6)
    with face.load(str(tmp_path / "model")) as llm:
        assert llm.complete("import ", max_tokens=4).token_ids
        assert llm.infill("def f(x):\n    return ", "\n", max_tokens=4).token_ids

    start = f"start={runs / 'python'}"
    succeeded(quipu("train", "quipu_recipes.tiny:instruct", "steps=8", start, *how, tuned))
    assert losses(tuned)[-1] < losses(tuned)[0]
    (line,) = succeeded(quipu("train", "evaluate", tuned, *quick)).splitlines()
    assert json.loads(line)["mixture"]["loss"] < losses(tuned)[0]
    succeeded(quipu("export", tuned, tmp_path / "chat"))
    succeeded(quipu("chat", "Add 1 to value.", "--model", tmp_path / "chat", "--max-tokens", 4))
