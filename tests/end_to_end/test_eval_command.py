"""quipu eval as a user types it: the embedded model and a script on a few problems of HumanEval."""

import gzip
import json
import sys
from pathlib import Path

import pytest

from conformance.vocabulary import model_file
from quipu.evals.tasks.humaneval import SOURCE

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's"),
    pytest.mark.skipif(not (DATA / SOURCE.path).is_file(), reason="no ../shared/data/humaneval"),
]


@pytest.fixture(autouse=True)
def _data(monkeypatch):
    monkeypatch.setenv("QUIPU_DATA", str(DATA))


def test_the_embedded_model_runs_judged_and_resumed(quipu, tmp_path):
    words = ("eval", "humaneval", "--run", tmp_path, "--max-tokens", 48, "--threads", 1)
    first = quipu(*words, "--limit", 2)
    assert first.code == 0, first
    assert first.out.startswith("humaneval · pass@1 ")
    assert first.out.endswith(" · 2 problems, 2 samples\n")
    second = quipu(*words, "--limit", 4)
    assert second.out.endswith(" · 4 problems, 4 samples\n")
    whole = quipu(*words[:3], tmp_path / "whole", *words[4:], "--limit", 4, "--parallel", 1)
    assert whole.out == second.out
    texts = [
        sorted((place / "humaneval/samples.jsonl").read_text().splitlines())
        for place in (tmp_path, tmp_path / "whole")
    ]
    assert texts[0] == texts[1]
    refused = quipu(*words, "--dtype", "int8")
    assert refused.code == 2
    assert 'model.dtype "int8" (there: null)' in refused.err


def test_canonical_solutions_score_a_hundred(quipu, tmp_path):
    (tmp_path / "tokenizer.model").write_bytes(model_file())
    lines = gzip.decompress((DATA / SOURCE.path).read_bytes()).splitlines()
    rows = [json.loads(line) for line in lines[:5]]
    script = tmp_path / "answers.jsonl"
    header = {"model": "canon", "tokenizer": "tokenizer.model"}
    answers = [
        {"prompt_contains": f"def {row['entry_point']}(", "text": row["canonical_solution"]}
        for row in rows
    ]
    script.write_text("".join(json.dumps(line) + "\n" for line in (header, *answers)))
    ran = quipu(
        "eval", "run", "humaneval", "--backend", f"script:{script}", "--limit", 5,
        "--run", tmp_path / "run",
    )  # fmt: skip
    assert ran.out == "humaneval · pass@1 100.0 % · 5 problems, 5 samples\n", ran
    lost = quipu("eval", "infilling-single-line-psm", "--backend", f"script:{script}")
    assert lost.code == 1
    assert "not trained to infill" in lost.err


def test_an_unknown_task_is_refused_with_those_there_are(refused):
    assert "humaneval, " in refused("eval", "humanevil", code=2)


def test_the_self_test_passes_on_samples_of_a_task(quipu):
    ran = quipu("eval", "selftest", "humaneval", "--quick", "--json", "--workers", 1)
    assert ran.code == 0, ran
    found = [json.loads(line) for line in ran.out.splitlines()]
    assert [each["kind"] for each in found] == ["solutions pass", "mutants fail"]
    assert all(each["right"] == each["of"] > 10 for each in found)
