"""The measurement of the report runs, on a run of a few lines."""

import pytest
from eval_speed import report
from eval_speed.setting import Setting

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")


def test_the_report_is_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "PROBLEMS", 3)
    monkeypatch.setattr(report, "SAMPLES", 2)
    said: list[str] = []
    found = report.measure(Setting(work=tmp_path, rounds=1, say=said.append))
    assert "# Report on 2 samples x 3 problems" in found
    assert len(said) == 2
