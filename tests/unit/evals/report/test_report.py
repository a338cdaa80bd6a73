"""Reports of small made-up runs: what they say, what they refuse, and that pages stand alone."""

import json
import random
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from eval_speed import made_runs

from quipu.cli.main import main
from quipu.errors import DataError, UsageError
from quipu.evals.report import page
from quipu.evals.report.facts import Report, gather

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

TASK = "made-up"


def edit(run: Path, name: str, change: Any) -> None:
    """Change the lines of a file: from a line to a line, or to None."""
    path = run / TASK / name
    lines = [change(json.loads(line)) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines if line is not None))


def edit_manifest(run: Path, **values: object) -> None:
    path = run / TASK / "manifest.json"
    found = json.loads(path.read_text())
    for key, value in values.items():
        inner = found.get(key)
        found[key] = inner | value if isinstance(inner, dict) and isinstance(value, dict) else value
    path.write_text(json.dumps(found))


def machine(report: Report) -> dict[str, Any]:
    """The one run of the one task in report.json."""
    found: dict[str, Any] = json.loads(page.machine(report))["tasks"][0]["runs"][0]
    return found


def scores(run: Path) -> dict[str, Mapping[str, Any]]:
    return {score["measure"]: score for score in machine(gather([run]))["scores"]}


def warned(report: Report) -> str:
    own = [w for task in report.tasks for run in task.runs for w in run.warnings]
    pairs = [w for task in report.tasks for pair in task.comparisons for w in pair.warnings]
    return "\n".join([*report.warnings, *own, *pairs])


@pytest.fixture
def greedy(tmp_path):
    return made_runs.write(tmp_path / "greedy", problems=30, samples=1)


@pytest.fixture
def sampled(tmp_path):
    return made_runs.write(tmp_path / "sampled", problems=12, samples=10)


def test_scores_are_those_of_the_lines(greedy):
    text = (greedy / TASK / "outcomes.jsonl").read_text()
    outcomes = [json.loads(line) for line in text.splitlines()]
    passed = sum(line["status"] == "passed" for line in outcomes)
    found = scores(greedy)
    assert list(found) == ["pass@1"]  # one sample allows no more
    assert found["pass@1"]["solved"] == passed
    assert found["pass@1"]["value"] == pytest.approx(passed / 30)
    assert found["pass@1"]["low"] < passed / 30 < found["pass@1"]["high"]


def test_every_k_that_the_samples_allow(sampled):
    found = machine(gather([sampled]))
    assert [score["measure"] for score in found["scores"]] == ["pass@1", "pass@10"]
    assert [point["k"] for point in found["curve"]] == [1, 2, 5, 10]
    for name in ("value", "low", "high"):
        assert found["curve"][-1][name] == pytest.approx(found["scores"][1][name])
    assert {score["group"] for score in found["groups"]} == {"lists", "text", "numbers"}
    assert found["scores"][0]["solved"] is None  # several samples are no count of problems


def test_sandbox_errors_are_never_wrong_answers(sampled):
    before = scores(sampled)["pass@1"]
    edit(
        sampled,
        "outcomes.jsonl",
        lambda line: line | ({"status": "sandbox_error"} if line["value"] == 0 else {}),
    )
    report = gather([sampled])
    found = machine(report)
    assert found["scores"][0]["value"] == 1 > before["value"]
    assert found["statuses"]["sandbox_error"] == 120 - found["statuses"]["passed"]
    assert "neither as right nor as wrong" in warned(report)
    assert "pass@10 is left out: some problems have only" in warned(report)


@pytest.mark.parametrize("status", [None, "sandbox_error"])
def test_a_run_without_verdicts_has_no_score_but_a_page(greedy, status):
    edit(greedy, "outcomes.jsonl", lambda line: line | {"status": status} if status else None)
    other = made_runs.write(greedy.parent / "other", problems=30, samples=1)
    for runs in ([greedy], [greedy, other], [other, greedy]):
        report = gather(runs)
        assert "no sample has a verdict: there is no score" in warned(report)
        assert json.loads(page.machine(report))["tasks"][0]["comparisons"] == []
        assert "no sample has a verdict" in page.html(report)
        assert "no sample has a verdict" in page.markdown(report)


def test_published_numbers_stand_beside_ours_with_their_counts(greedy):
    run = made_runs.write(greedy, problems=164, samples=1)
    rows = machine(gather([run]))["published"]
    row = next(r for r in rows if r["model"] == "Code Llama 7B" and r["measure"] == "pass@1")
    ours = scores(run)["pass@1"]
    assert row["count"] == 55
    assert row["difference"] == pytest.approx(100 * ours["value"] - 33.5)
    assert row["within"] is (ours["low"] <= 0.335 <= ours["high"])
    other = next(r for r in rows if r["measure"] == "pass@10")
    assert other["difference"] is other["within"] is other["count"] is None


def test_part_of_a_benchmark_is_no_count(greedy):
    edit_manifest(greedy, limit=30)
    report = gather([greedy])
    assert all(row["count"] is None for row in machine(report)["published"])
    assert "only the first 30 problems" in warned(report)


def test_other_decoding_than_declared_is_told(greedy):
    edit_manifest(greedy, decoding={"temperature": 0.2})
    assert "temperature 0.2 (declared 0.0)" in warned(gather([greedy]))


def test_means_and_further_measures(greedy):
    published = [{"model": "Other", "measure": "BLEU", "value": 20.37, "source": "nowhere"}]
    edit_manifest(greedy, declaration={"measure": "mean", "published": published})
    edit(
        greedy,
        "outcomes.jsonl",
        lambda line: line | {"status": "scored", "value": 0.25, "measures": {"letters": 40.0}},
    )
    found = scores(greedy)
    assert found["BLEU"]["value"] == 0.25
    assert found["letters"]["value"] == 40
    assert not found["letters"]["share"]
    assert machine(gather([greedy]))["published"][0]["difference"] == pytest.approx(4.63)


def measured(run: Path, *published: Mapping[str, object], **measures: float) -> Path:
    """Make a run one of a task that draws no samples."""
    edit_manifest(run, declaration={"measure": "mean", "published": list(published)})
    line = {"problem": "", "sample": 0, "status": "measured", "value": 0.0, "detail": ""}
    (run / TASK / "outcomes.jsonl").write_text(json.dumps(line | {"measures": measures}) + "\n")
    for name in ("samples.jsonl", "problems.jsonl"):
        (run / TASK / name).unlink()
    return run


def test_a_task_that_only_measures_has_no_samples(greedy):
    report = gather([measured(greedy, perplexity=3.5, bits=0.75)])
    found = machine(report)["scores"]
    assert [(s["measure"], s["share"]) for s in found] == [("perplexity", False), ("bits", False)]
    assert not warned(report)
    assert "<b>3.5</b>" in page.html(report)
    assert "| 0.75 |" in page.markdown(report)


def test_runs_that_only_measure_stand_side_by_side(tmp_path):
    row = {"model": "Other", "measure": "near", "value": 76.6, "source": "nowhere"}
    runs = [
        measured(made_runs.write(tmp_path / name, samples=1), row, near=near, far=0.0)
        for name, near in (("a", 0.5), ("b", 1.0))
    ]
    report = gather(runs)
    found = json.loads(page.machine(report))["tasks"][0]
    assert found["comparisons"] == []
    beside = [run["published"][0] for run in found["runs"]]
    assert [row["difference"] for row in beside] == pytest.approx([-26.6, 23.4])
    assert [row["within"] for row in beside] == [None, None]  # one number has no interval
    assert "| Other | 76.6 |  | −26.6 | +23.4 | —, — |" in page.markdown(report)
    assert "—, —" in page.html(report)


def test_the_order_of_lines_does_not_matter(sampled):
    report = gather([sampled])
    texts = page.html(report), page.markdown(report), page.machine(report)
    for name in ("samples.jsonl", "outcomes.jsonl", "problems.jsonl"):
        path = sampled / TASK / name
        lines = path.read_text().splitlines(keepends=True)
        random.Random(name).shuffle(lines)
        path.write_text("".join(lines))
    report = gather([sampled])
    assert texts == (page.html(report), page.markdown(report), page.machine(report))


@pytest.mark.parametrize("name", ["samples.jsonl", "outcomes.jsonl"])
def test_a_torn_last_line_is_left_out_and_told(sampled, name):
    path = sampled / TASK / name
    path.write_bytes(path.read_bytes()[:-20])
    found = warned(gather([sampled]))
    assert f"{name} ends in half a line" in found
    assert "1 samples have no verdict" in found or "1 outcomes have no sample" in found


def test_a_broken_line_in_the_middle_is_named(sampled):
    path = sampled / TASK / "samples.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:4], "{half\n", *lines[4:]]))
    with pytest.raises(DataError, match=r"samples\.jsonl line 5"):
        gather([sampled])


@pytest.mark.parametrize(
    ("name", "line", "told"),
    [
        ("outcomes.jsonl", {"problem": "MadeUp/0"}, "KeyError: 'sample'"),
        ("outcomes.jsonl", {"problem": "a", "sample": 1, "status": "passed", "value": "x"}, "x"),
        ("samples.jsonl", {"problem": "MadeUp/0", "sample": "x", "text": ""}, "ValueError"),
        ("samples.jsonl", [1], "a JSON object"),
        ("manifest.json", {"declaration": {"name": "x"}}, "declaration cannot be read"),
        ("manifest.json", [1], "cannot be read"),
    ],
)
def test_files_of_another_format_are_refused(sampled, name, line, told):
    (sampled / TASK / name).write_text(json.dumps(line) + "\n")
    with pytest.raises(DataError, match=re.escape(told)):
        gather([sampled])


def test_missing_files_and_folders_are_named(sampled, tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        gather([tmp_path / "none"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="is no run"):
        gather([tmp_path / "empty"])
    (sampled / TASK / "outcomes.jsonl").unlink()
    with pytest.raises(DataError, match=r"outcomes\.jsonl; got no such file"):
        gather([sampled])


def test_outcomes_that_are_there_twice_count_once(greedy):
    before = scores(greedy)
    path = greedy / TASK / "outcomes.jsonl"
    path.write_text(path.read_text() * 2)
    assert scores(greedy) == before
    assert "30 outcomes are there twice" in warned(gather([greedy]))


def test_two_runs_are_compared_problem_by_problem(tmp_path):
    runs = [made_runs.write(tmp_path / name, problems=40, samples=1) for name in ("a", "b")]

    def turn(line: dict[str, Any]) -> dict[str, Any]:
        number = int(line["problem"].partition("/")[2])
        return line | ({"status": "passed", "value": 1.0} if number < 10 else {})

    edit(runs[1], "outcomes.jsonl", turn)
    pair = gather(runs).tasks[0].comparisons[0]
    gained = [flip.problem for flip in pair.flipped]
    assert pair.better == len(gained) > 3
    assert pair.worse == 0
    assert all(int(name.partition("/")[2]) < 10 for name in gained)
    assert pair.p == pytest.approx(min(1, 2 / 2**pair.better))
    assert pair.test == "exact McNemar test"
    assert pair.difference.value == pytest.approx(pair.better / 40)
    text = page.html(gather(runs))
    assert f"{pair.better} problems flipped" in text
    assert all(f'href="#{TASK}/{name}"' in text for name in gained)


def test_runs_on_other_data_or_settings_are_told(tmp_path):
    runs = [made_runs.write(tmp_path / name, problems=9, samples=1) for name in ("a", "b")]
    data = [{"path": "made-up/problems.jsonl", "sha256": "1" * 64}]
    edit_manifest(runs[1], declaration={"data": data}, seed=7)
    edit(runs[1], "outcomes.jsonl", lambda line: line if line["problem"] != "MadeUp/8" else None)
    report = gather(runs)
    assert "different data" in warned(report)
    assert "the 8 problems that both runs have judged, of 9" in warned(report)
    assert ("seed", "0", "7") in [
        (row.setting, row.first, row.second) for row in report.tasks[0].comparisons[0].differs
    ]


def test_runs_without_a_common_task_are_refused(tmp_path):
    runs = [made_runs.write(tmp_path / name, problems=3, samples=1) for name in ("a", "b")]
    edit_manifest(runs[1], declaration={"name": "other"})
    with pytest.raises(DataError, match="no task in common"):
        gather(runs)
    with pytest.raises(UsageError, match="twice"):
        gather([runs[0], runs[0]])


def broken(run: Path, text: str, detail: str = "", finish: str = "stop") -> str:
    """What is said of a run where every answer is this and fails with that."""
    edit(run, "samples.jsonl", lambda line: line | {"text": text, "finish_reason": finish})
    zero = {"status": "failed", "value": 0.0, "detail": detail}
    edit(run, "outcomes.jsonl", lambda line: line | zero)
    return warned(gather([run]))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (" \n", "are empty"),
        ("    return 0\n", "are the same text"),
        ("```python\nx\n```", "Markdown fence"),
    ],
)
def test_a_zero_names_its_likely_cause(greedy, text, told):
    assert told in broken(greedy, text)


def test_a_zero_of_echoes_syntax_errors_and_endless_answers(greedy):
    edit(
        greedy,
        "problems.jsonl",
        lambda line: line | {"prompt": "def the_same_beginning(of, every, prompt): pass\n"},
    )
    assert "begin with the prompt itself" in broken(
        greedy, "def the_same_beginning(of, every, prompt): pass\n    return 1"
    )
    assert "max_tokens was reached" in broken(greedy, "x", finish="length")
    assert "repeat a few lines" in broken(greedy, "a\nb\n" * 20, finish="length")
    numbers = iter(range(1000))
    zero = {"status": "failed", "value": 0.0, "detail": "IndentationError: unexpected indent"}
    edit(greedy, "outcomes.jsonl", lambda line: line | zero)
    edit(
        greedy,
        "samples.jsonl",
        lambda line: line | {"text": f"x = {next(numbers)}", "finish_reason": "stop"},
    )
    assert "30 of 30 wrong answers are syntax errors" in warned(gather([greedy]))
    zero["detail"] = "NameError: name 'candidate' is not defined"
    edit(greedy, "outcomes.jsonl", lambda line: line | zero)
    assert "fail with the same words: NameError" in warned(gather([greedy]))
    zero["detail"] = ""
    edit(greedy, "outcomes.jsonl", lambda line: line | zero)
    assert "none of the usual signs" in warned(gather([greedy]))


def test_a_score_above_zero_is_not_suspected(greedy):
    assert "the score is" not in warned(gather([greedy]))
    edit(greedy, "samples.jsonl", lambda line: line | {"finish_reason": "length"})
    found = warned(gather([greedy]))
    assert "the score is" not in found
    assert "30 of 30 answers end only because max_tokens was reached" in found


def test_the_page_stands_alone_and_escapes_answers(greedy):
    evil = "<script>alert(1)</script></pre>`|"
    edit(greedy, "samples.jsonl", lambda line: line | {"text": evil})
    edit(greedy, "outcomes.jsonl", lambda line: line | {"detail": "a|b `<b>`\nc"})
    report = gather([greedy])
    text = page.html(report)
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", text)
    assert "http" not in re.sub(r"data:image/svg\+xml;base64,[\w+/=]+", "", text)
    rows = [line for line in page.markdown(report).splitlines() if line.startswith("|")]
    heads: dict[int, int] = {}
    tables = re.findall(r"(?:^\|.*\n)+", page.markdown(report), re.M)
    for number, table in enumerate(tables):
        for row in table.splitlines():
            cells = len(re.findall(r"(?<!\\)\|", row))
            assert heads.setdefault(number, cells) == cells
    assert len(rows) > 10


def test_pages_stay_small(tmp_path, monkeypatch):
    run = made_runs.write(tmp_path / "big", problems=400, samples=4)
    big = page.html(gather([run]))
    assert big.count('class="problem"') == 200
    assert "200 of 400 problems" in big
    monkeypatch.setattr("quipu.evals.report.samples.MOST_LETTERS", 20_000)
    assert 1 < page.html(gather([run])).count('class="problem"') < 20


def test_the_command_writes_three_files(sampled, tmp_path, capsys):
    assert main(["eval", "report", str(sampled), "--to", str(tmp_path / "to")]) == 0
    out, err = capsys.readouterr()
    assert [Path(line).name for line in out.split()] == ["report.html", "report.md", "report.json"]
    assert all(Path(line).is_file() for line in out.split())
    assert "pass@10" in err
    assert json.loads((tmp_path / "to" / "report.json").read_text())["format"] == page.FORMAT
    assert main(["eval", "report", str(tmp_path / "none")]) == 1
    assert main(["eval", "report", str(sampled / TASK)]) == 0  # a task's folder alone
    assert (sampled / TASK / "report.html").is_file()
