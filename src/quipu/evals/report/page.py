"""report.html, one file with all its pictures inside; report.md; report.json."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from quipu.errors import DataError
from quipu.evals.report import plots
from quipu.evals.report.facts import Report, RunFacts, TaskFacts, gather
from quipu.evals.report.rendering import render
from quipu.evals.report.samples import shown
from quipu.evals.report.scores import Beside, Score

HTML, MARKDOWN, JSON = "report.html", "report.md", "report.json"
# By measure and group: published rows, each with its place beside the runs.
Tables = dict[tuple[str, str], list[tuple[Beside, dict[str, Beside]]]]

FORMAT = 1  # of report.json
MOST_FLIPPED, MOST_FLIPPED_LINES = 200, 40  # of the page, of the text; report.json has all


def write(folders: Sequence[Path], to: Path) -> tuple[Report, list[Path]]:
    """Report on runs; files that were there are replaced whole. DataError for what is no run."""
    report = gather(folders)
    texts = {HTML: html(report), MARKDOWN: markdown(report), JSON: machine(report)}
    written = []
    try:
        to.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            temporary = to / f"{name}.tmp"
            temporary.write_text(text, encoding="utf-8")
            written.append(temporary.replace(to / name))
    except OSError as error:
        raise DataError(f"cannot write the report to {to}", got=error) from error
    return report, written


def html(report: Report) -> str:
    """The page."""
    return render(
        "report.html",
        escape=True,
        report=report,
        overview=_overview(report),
        differences=_differences(report),
        pictures={task.declaration.name: _pictures(task) for task in report.tasks},
        samples={task.declaration.name: shown(task, len(report.tasks)) for task in report.tasks},
        tables={task.declaration.name: tables(task) for task in report.tasks},
        colours={run: plots.RUNS[n % len(plots.RUNS)] for n, run in enumerate(report.runs)},
        most_flipped=MOST_FLIPPED,
    )


def markdown(report: Report) -> str:
    """The same numbers as text."""
    return render(
        "report.md",
        escape=False,
        report=report,
        tables={task.declaration.name: tables(task) for task in report.tasks},
        most_flipped=MOST_FLIPPED_LINES,
    )


def machine(report: Report) -> str:
    """Every number, for programs. Scores and differences are shares; published ones per cent."""
    found = {
        "format": FORMAT,
        "runs": report.runs,
        "warnings": report.warnings,
        "tasks": [_machine_task(task) for task in report.tasks],
    }
    return json.dumps(found, ensure_ascii=False, indent=1) + "\n"


def tables(task: TaskFacts) -> Tables:
    """Published rows by measure and group, each beside every run that has its measure.

    Measures that some run has a score for come first.
    """
    found: Tables = {}
    for row in task.runs[0].beside:
        found.setdefault((row.measure, row.group), []).append((row, _runs_beside(task, row)))
    ours = {key for key, rows in found.items() if any(beside for _, beside in rows)}
    return {key: found[key] for key in sorted(found, key=lambda key: key not in ours)}


def _runs_beside(task: TaskFacts, row: Beside) -> dict[str, Beside]:
    def key(of: Beside) -> tuple[str, str, str, str]:
        return of.model, of.measure, of.group, of.source

    return {
        run.run: found
        for run in task.runs
        for found in run.beside
        if key(found) == key(row) and found.difference is not None
    }


def _overview(report: Report) -> str:
    rows = {
        task.declaration.title: {run.run: run.main.estimate for run in task.runs if run.main}
        for task in report.tasks
    }
    rows = {title: estimates for title, estimates in rows.items() if estimates}
    return plots.overview(rows, report.runs) if rows else ""


def _differences(report: Report) -> dict[str, str]:
    """A picture for each run beside the first."""
    found = {}
    for run in report.runs[1:]:
        rows = {
            task.declaration.title: pair.difference
            for task in report.tasks
            for pair in task.comparisons
            if pair.second == run
        }
        if rows:
            found[run] = plots.differences(rows)
    return found


def _pictures(task: TaskFacts) -> dict[str, str]:
    found = {}
    outcomes = {run.run: run.statuses for run in task.runs if run.statuses}
    if outcomes and not all(run.task.measured for run in task.runs):
        found["outcomes"] = plots.outcomes(outcomes)
    curves = {run.run: run.curve for run in task.runs if run.curve}
    if curves:
        found["curve"] = plots.curves(curves)
    groups = {run.run: _main_groups(run) for run in task.runs if run.groups}
    if groups:
        found["groups"] = plots.groups(groups)
    for (measure, group), rows in tables(task).items():
        ours = _ours(task, measure, group)
        if ours:
            found[f"beside {measure} {group}"] = plots.beside([row for row, _ in rows], ours)
    return found


def _main_groups(run: RunFacts) -> list[Score]:
    return [s for s in run.groups if run.main and s.measure == run.main.measure]


def _ours(task: TaskFacts, measure: str, group: str) -> dict[str, Score]:
    return {
        run.run: score
        for run in task.runs
        for score in [*run.scores, *run.groups]
        if (score.measure, score.group) == (measure, group) and score.share and score.problems > 1
    }


def _machine_task(task: TaskFacts) -> dict[str, Any]:
    declaration = task.declaration
    return {
        "name": declaration.name,
        "title": declaration.title,
        "protocol": declaration.protocol,
        "source": declaration.source,
        "measure": declaration.measure,
        "data": [{"path": s.path, "sha256": s.sha256} for s in declaration.data],
        "runs": [_machine_run(run) for run in task.runs],
        "comparisons": [asdict(pair) for pair in task.comparisons],
    }


def _machine_run(run: RunFacts) -> dict[str, Any]:
    return {
        "run": run.run,
        "problems": run.problems,
        "samples": run.samples,
        "limited": run.task.limited,
        "decoding": asdict(run.decoding),
        "statuses": run.statuses,
        "scores": [_flat(score) for score in run.scores],
        "groups": [_flat(score) for score in run.groups],
        "curve": [{"k": k} | asdict(estimate) for k, estimate in run.curve],
        "published": [asdict(row) for row in run.beside],
        "failures": [{"detail": detail, "samples": count} for detail, count in run.failures],
        "by_problem": {
            problem.id: {
                "passed": problem.passed,
                "judged": len(problem.judged),
                "value": problem.rate,
            }
            for problem in run.task.judged
        },
        "settings": run.settings,
        "warnings": run.warnings,
    }


def _flat(score: Score) -> Mapping[str, Any]:
    found: dict[str, Any] = asdict(score)
    estimate: dict[str, Any] = found.pop("estimate")
    return found | estimate
