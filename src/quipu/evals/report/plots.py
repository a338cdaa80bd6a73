"""Plots of the report, as SVG pictures inside the page. Equal numbers give equal bytes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from quipu.evals.report.scores import Beside, Score
from quipu.evals.report.statistics import Estimate
from quipu.pages.pictures import FAINT, WHOLE, picture

ROW = 0.27  # of a line of names
LINE = "#e6eaec"
RUNS = ("#2f6690", "#d1495b", "#edae49", "#66a182", "#8d6cab", "#00798c")
STATUSES = {
    "passed": "#66a182",
    "scored": "#9fb1bd",
    "failed": "#e0a08f",
    "timeout": "#edae49",
    "memory": "#8d6cab",
    "crashed": "#d1495b",
    "sandbox_error": "#5c5346",
}
OTHER = "#b8b8b8"


def _rows(axes: Any, names: Sequence[str]) -> None:
    """Lines of names, the first on top, and faint lines up and down."""
    axes.set_yticks(range(len(names)), [_short(name) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines[["left"]].set_visible(False)
    axes.grid(axis="x", color=LINE, linewidth=0.8)
    axes.set_axisbelow(True)


def _short(name: str) -> str:
    """A name without what would be read as a formula, and not too long for its place."""
    plain = name.replace("$", "\\$")
    return plain if len(name) <= 46 else plain[:45] + "…"


def _whisker(axes: Any, place: float, estimate: Estimate, colour: str, label: str = "") -> None:
    low, high = 100 * estimate.low, 100 * estimate.high
    axes.plot([low, high], [place, place], color=colour, linewidth=2.2, solid_capstyle="round")
    axes.plot(
        100 * estimate.value,
        place,
        "o",
        color=colour,
        markersize=5.5,
        label=label or None,
        clip_on=False,  # a dot at 0 is a whole one
    )


def overview(rows: Mapping[str, Mapping[str, Estimate]], runs: Sequence[str]) -> str:
    """The main score of each task (lines) in each run (colours), with its interval."""

    def draw(axes: Any) -> None:
        _rows(axes, list(rows))
        for number, run in enumerate(runs):
            shift = (number - (len(runs) - 1) / 2) * 0.24
            label = run
            for place, estimates in enumerate(rows.values()):
                if run in estimates:
                    _whisker(axes, place + shift, estimates[run], RUNS[number % len(RUNS)], label)
                    label = ""
        axes.set_xlim(left=0)
        axes.set_xlabel("per cent, with 95 % interval")
        if len(runs) > 1:
            axes.legend(
                frameon=False,
                fontsize=8,
                ncols=len(runs),
                loc="lower right",
                bbox_to_anchor=(1, 1),
            )

    return picture(draw, 0.9 + 0.36 * len(rows), WHOLE)


def beside(rows: Sequence[Beside], ours: Mapping[str, Score]) -> str:
    """Published numbers of one measure as dots, the runs' own with their intervals."""
    lines: list[tuple[float, str, Beside | str]] = [(row.percent, row.model, row) for row in rows]
    lines += [(100 * score.estimate.value, run, run) for run, score in ours.items()]
    lines.sort(key=lambda line: (-line[0], line[1]))
    order = list(ours)

    def draw(axes: Any) -> None:
        _rows(axes, [line[1] for line in lines])
        for number, score in enumerate(ours.values()):
            low, high = 100 * score.estimate.low, 100 * score.estimate.high
            axes.axvspan(low, high, color=RUNS[number % len(RUNS)], alpha=0.09, linewidth=0)
        for place, (percent, _, line) in enumerate(lines):
            if isinstance(line, str):
                colour = RUNS[order.index(line) % len(RUNS)]
                _whisker(axes, place, ours[line].estimate, colour)
                axes.get_yticklabels()[place].set(color=colour, fontweight="bold")
            else:
                axes.plot(percent, place, "o", color=FAINT, markersize=5)
        axes.set_xlim(left=0)
        axes.set_xlabel("per cent")

    return picture(draw, 0.6 + ROW * 0.82 * len(lines))


def outcomes(counts: Mapping[str, Mapping[str, int]]) -> str:
    """Share of samples by outcome, one bar a run."""
    known = {status for of in counts.values() for status in of}
    order = [*STATUSES, *sorted(known - STATUSES.keys())]

    def draw(axes: Any) -> None:
        _rows(axes, list(counts))
        axes.grid(visible=False)
        left = np.zeros(len(counts))
        for status in order:
            if status not in known:
                continue
            share = np.array([100 * of.get(status, 0) / sum(of.values()) for of in counts.values()])
            colour = STATUSES.get(status, OTHER)
            label = status.replace("_", " ")
            axes.barh(range(len(counts)), share, left=left, color=colour, height=0.6, label=label)
            left += share
        axes.set_xlim(0, 100)
        axes.set_xlabel("per cent of samples")
        axes.legend(
            frameon=False,
            fontsize=8,
            ncols=6,
            columnspacing=1.2,
            handlelength=1.2,
            loc="lower center",
            bbox_to_anchor=(0.5, 1),
        )

    return picture(draw, 1.15 + 0.36 * len(counts))


def curves(found: Mapping[str, Sequence[tuple[int, Estimate]]]) -> str:
    """Pass@k over k, one line a run."""

    def draw(axes: Any) -> None:
        for number, (run, points) in enumerate(found.items()):
            colour = RUNS[number % len(RUNS)]
            ks = [k for k, _ in points]
            low, high = ([100 * getattr(e, end) for _, e in points] for end in ("low", "high"))
            axes.fill_between(ks, low, high, color=colour, alpha=0.14, linewidth=0)
            values = [100 * e.value for _, e in points]
            axes.plot(ks, values, "o-", color=colour, label=run, markersize=3.5)
        axes.set_xscale("log")
        ticks = sorted({k for points in found.values() for k, _ in points})
        axes.set_xticks(ticks, [str(k) for k in ticks])
        axes.minorticks_off()
        axes.tick_params(axis="x", labelsize=8)
        axes.set_xlabel("k")
        axes.set_ylabel("pass@k, per cent")
        axes.set_ylim(bottom=0)
        axes.grid(axis="y", color=LINE, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.legend(frameon=False, fontsize=8)

    return picture(draw, 2.9)


def groups(found: Mapping[str, Sequence[Score]]) -> str:
    """Scores by group, one colour a run."""
    names = list(dict.fromkeys(score.group for scores in found.values() for score in scores))

    def draw(axes: Any) -> None:
        _rows(axes, names)
        for number, scores in enumerate(found.values()):
            shift = (number - (len(found) - 1) / 2) * 0.24
            for score in scores:
                colour = RUNS[number % len(RUNS)]
                _whisker(axes, names.index(score.group) + shift, score.estimate, colour)
        axes.set_xlim(left=0)
        axes.set_xlabel("per cent, with 95 % interval")

    return picture(draw, 0.7 + max(ROW, 0.2 * len(found)) * len(names))


def differences(found: Mapping[str, Estimate]) -> str:
    """Second run minus first, one line a task."""

    def draw(axes: Any) -> None:
        _rows(axes, list(found))
        axes.axvline(0, color=FAINT, linewidth=1)
        for place, estimate in enumerate(found.values()):
            sure = not estimate.holds(0)
            colour = FAINT if not sure else RUNS[3] if estimate.value > 0 else RUNS[1]
            _whisker(axes, place, estimate, colour)
        axes.set_xlabel("points, with 95 % interval; grey: may be chance")

    return picture(draw, 0.75 + 0.32 * len(found), WHOLE)
