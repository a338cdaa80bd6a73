"""What the runner writes is what the report reads, for every kind of task."""

import json

import pytest

import small_task
from quipu.evals.report import page
from quipu.evals.report.facts import gather
from quipu.evals.runner.run import run
from quipu.evals.runner.settings import Settings
from quipu.llm import LLM
from small_task import Measuring, Model, Small

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")


def test_a_run_of_every_kind_is_reported_with_the_runners_own_scores(tmp_path):
    settings = Settings(data=small_task.data(tmp_path / "data"), samples=4)
    tasks = [Small(), Small(kind="exact"), Small(kind="mean"), Measuring()]
    told = {
        task.declaration.name: run(
            task,
            LLM(Model()),
            tmp_path / "run",
            settings,
            lambda _: None,
            open_judge=small_task.judge,
        ).scores
        for task in tasks
    }
    report = gather([tmp_path / "run"])
    found = json.loads(page.machine(report))["tasks"]
    assert {task["name"] for task in found} == told.keys()
    for task in found:
        scores = {score["measure"]: score["value"] for score in task["runs"][0]["scores"]}
        assert scores == pytest.approx(told[task["name"]])
    assert "def f0():" in page.html(report)  # a prompt
    assert page.markdown(report).count("\n## ") == 4
