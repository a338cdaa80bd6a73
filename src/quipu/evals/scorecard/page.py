"""scorecard.md with its pictures, from the folder of a scorecard's run."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quipu.errors import DataError
from quipu.evals.report import plots, wording
from quipu.evals.report.facts import RunFacts, TaskFacts, gather
from quipu.evals.report.rendering import render
from quipu.evals.report.scores import Score
from quipu.pages.pictures import FAINT, picture

BESIDE = "Code Llama 7B"
MARKDOWN, OVERVIEW = "scorecard.md", "overview.svg"
_RANGE = "perplexity "  # of measures such as `perplexity 128-256`
_SHOWN = {  # measures beside a task's own that are worth a row; empty: none
    "BLEU": "BLEU",
    "similarity": "similarity",
    "first line": "first line",
    "bits per byte": "bits per byte",
    "perplexity": "perplexity",
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table."""

    title: str  # empty on the further lines of a task
    asked: str
    score: Score
    published: str


@dataclass(frozen=True, kw_only=True)
class Answered:
    """What became of a task's answers."""

    title: str
    count: int
    statuses: Mapping[str, int]
    length: int


def write(
    folder: Path,
    to: Path,
    *,
    model: str,
    settings: str,
    documents: str,
    left_out: Mapping[str, str],
) -> list[Path]:
    """Write the scorecard of a run folder; files that were there are replaced. Raises DataError."""
    report = gather([folder])
    facts = [(task, task.runs[0]) for task in report.tasks]
    pictures = _pictures(facts)
    answered = [_answered(task, run) for task, run in facts if not run.task.measured]
    text = render(
        MARKDOWN,
        escape=False,
        model=model,
        settings=settings,
        documents=documents,
        left_out=left_out,
        rows=[row for task, run in facts for row in _rows(task, run)],
        pictures=[(title, name) for name, (title, _) in pictures.items() if name != OVERVIEW],
        answered=answered,
        statuses=[s for s in plots.STATUSES if any(s in each.statuses for each in answered)],
        tasks=[task.declaration for task in report.tasks],
    )
    files = {MARKDOWN: text, **{name: found for name, (_, found) in pictures.items()}}
    try:
        to.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (to / name).write_text(content, encoding="utf-8")
    except OSError as error:
        raise DataError(f"cannot write the scorecard to {to}", got=error) from error
    return [to / name for name in files]


def _rows(task: TaskFacts, run: RunFacts) -> list[Row]:
    title = task.declaration.title
    asked = _asked(run)
    rows = []
    for score in run.scores:
        own = score.share and score.measure not in _SHOWN
        if not own and score.measure not in _SHOWN and "key at" not in score.measure:
            continue
        printed = [
            each.percent
            for each in run.beside
            if each.model == BESIDE and each.measure == score.measure and not each.group
        ]
        published = wording.printed(printed[0]) if printed else ""
        rows.append(Row(title=title, asked=asked, score=score, published=published))
        title = asked = ""
    return rows


def _asked(run: RunFacts) -> str:
    if run.task.measured:
        return ""
    first = f"first {run.problems:,}" if run.task.limited else f"all {run.problems:,}"
    decoding = run.decoding
    how = "greedy" if decoding.temperature == 0 else f"{decoding.samples} samples"
    drawn = "" if decoding.temperature == 0 else f" at {decoding.temperature:g}"
    return f"{first}; {how}{drawn}; {decoding.max_tokens} tokens"


def _answered(task: TaskFacts, run: RunFacts) -> Answered:
    return Answered(
        title=task.declaration.title,
        count=run.samples,
        statuses=run.statuses,
        length=run.task.texts.finish["length"],
    )


def _pictures(facts: Sequence[tuple[TaskFacts, RunFacts]]) -> dict[str, tuple[str, str]]:
    """Title and SVG by file name."""
    rows = {task.declaration.title: {run.run: run.main.estimate} for task, run in facts if run.main}
    found = {OVERVIEW: ("All scores", _svg(plots.overview(rows, [facts[0][1].run])))}
    curves = {task.declaration.title: run.curve for task, run in facts if run.curve and run.main}
    if curves:
        found["samples.svg"] = ("Solved by k samples", _svg(plots.curves(curves)))
    for _, run in facts:
        ranges = {
            score.measure.removeprefix(_RANGE): score.estimate.value
            for score in run.scores
            if score.measure.startswith(_RANGE)
        }
        if ranges:
            found["perplexity.svg"] = ("Perplexity by position", _svg(_perplexity(ranges)))
    return found


def _perplexity(ranges: Mapping[str, float]) -> str:
    def draw(axes: Any) -> None:
        places = range(len(ranges))
        axes.plot(places, list(ranges.values()), "o-", color=plots.RUNS[0], markersize=5)
        axes.set_xticks(places, list(ranges))
        axes.set_xlabel("position in the document, tokens")
        axes.set_ylabel("perplexity")
        axes.set_ylim(bottom=0)
        axes.grid(axis="y", color=plots.LINE, linewidth=0.8)
        axes.set_axisbelow(True)
        for place, value in zip(places, ranges.values(), strict=True):
            axes.annotate(
                f"{value:.3g}", (place, value), (0, 6), textcoords="offset points",
                ha="center", fontsize=8, color=FAINT,
            )  # fmt: skip

    return picture(draw, 2.9)


def _svg(address: str) -> str:
    """The text of a picture, on white, for pages that may be dark."""
    text = base64.b64decode(address.partition(",")[2]).decode()
    head, mark, rest = text.partition("<svg ")
    return f'{head}{mark}style="background: white" {rest}'
