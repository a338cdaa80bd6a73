"""Curves of runs: what metrics.jsonl and evaluations.jsonl say, as pictures and a page."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quipu import jsonl
from quipu.errors import TrainingError
from quipu.pages.pictures import FAINT, figure_of, picture
from quipu.pages.templates import environment
from quipu.train import stored
from quipu.train.evaluations import EVALUATIONS
from quipu.train.metrics import METRICS

HTML = "report.html"
COLOURS = ("#2f6690", "#d1495b", "#edae49", "#66a182", "#8d6cab", "#00798c")
POINTS = 1_000  # of a curve; more are thinned out
SMOOTH = 0.02  # of a run's steps lie within the running median
HEIGHT = 3.2  # inches
Draw = Callable[[Any], None]


@dataclass(frozen=True, kw_only=True)
class Curves:
    """A run's steps as columns, and its evaluated checkpoints."""

    name: str
    steps: int  # of the whole run
    columns: Mapping[str, npt.NDArray[np.float64]]  # NaN where nothing was told
    evaluations: Sequence[Mapping[str, Any]]


def read(run: Path, name: str) -> Curves:
    """The curves of a run. Raises TrainingError before its first step."""
    path = run / METRICS
    lines = list(jsonl.read(path, growing=True)) if path.exists() else []
    if not lines:
        raise TrainingError(f"run folder {run}", got="no step yet", remedy="train it first")
    columns = {key: np.array([_number(line.get(key)) for line in lines]) for key in lines[-1]}
    evaluated = run / EVALUATIONS
    found = list(jsonl.read(evaluated, growing=True)) if evaluated.exists() else []
    newest = {int(str(line["step"])): line for line in found}
    return Curves(
        name=name,
        steps=int(columns["steps"][-1]),
        columns=columns,
        evaluations=[newest[step] for step in sorted(newest)],
    )


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")


def write(paths: Sequence[Path], to: Path) -> tuple[list[Curves], list[Path]]:
    """Report on runs, or on all stages of chains; TrainingError where there is no run."""
    curves = []
    for path in paths:
        places = stored.stages(path)
        for place in places:
            name = place.name if len(paths) == 1 else f"{path.name}/{place.name}"
            curves.append(read(place, path.name if places == [path] else name))
    template = environment("quipu.train", escape=True, filters=()).get_template("report.html")
    drawn = {title: (about, draw) for title, about, draw in _pictures(curves)}
    page = template.render(
        runs=[summary(one) for one in curves],
        pictures=[(title, about, picture(draw, HEIGHT)) for title, (about, draw) in drawn.items()],
    )
    return curves, _files(to, page, drawn)


def _files(to: Path, page: str, drawn: Mapping[str, tuple[str, Draw]]) -> list[Path]:
    try:
        to.mkdir(parents=True, exist_ok=True)
        (to / f"{HTML}.tmp").write_text(page, encoding="utf-8")
        written = [(to / f"{HTML}.tmp").replace(to / HTML)]
        for title, (_, draw) in drawn.items():
            path = to / f"{title.lower().replace(' ', '-')}.png"
            path.write_bytes(figure_of(draw, HEIGHT, "png"))
            written.append(path)
    except OSError as error:
        raise TrainingError(
            f"writing the report to {to}", got=error, allowed="a folder that can be written"
        ) from error
    return written


def summary(one: Curves) -> dict[str, Any]:
    """A run in numbers: medians of its steps, the last loss smoothed."""
    columns = one.columns
    spent = np.nansum(columns["step_s"])
    held = np.nansum(columns["checkpoint_s"])
    mfu = columns["mfu"][~np.isnan(columns["mfu"])]
    last = one.evaluations[-1] if one.evaluations else None
    return {
        "name": one.name,
        "step": int(columns["step"][-1]),
        "steps": one.steps,
        "tokens": int(columns["tokens"][-1]),
        "loss": float(_smooth(columns["loss"])[-1]),
        "tokens_per_s": statistics.median(columns["tokens_per_s"].tolist()),
        "mfu": statistics.median(mfu.tolist()) if len(mfu) else None,
        "checkpoint_share": float(held / max(spent + held, 1e-9)),
        "skipped": int(np.nansum(columns["skipped"])),
        "bits_per_byte": {
            source: found["bits_per_byte"] for source, found in last["sources"].items()
        }
        if last
        else {},
    }


def _pictures(curves: Sequence[Curves]) -> list[tuple[str, str, Draw]]:
    """Title, what it shows, how to draw it; those without numbers are left out."""
    found = [
        ("Loss", "nats per trained token; faint every step, bold a running median", _loss),
        ("Learning rate", "of the matrices", _plain("learning_rate")),
        ("Gradient norm", "before clipping; crosses are outliers that changed nothing", _norm),
        ("Tokens a second", "all processes together", _plain("tokens_per_s")),
        ("MFU", "model FLOPs by the device's peak", _plain("mfu")),
        ("Held-out text", "bits per byte by source", _held_out),
        ("Loss by position", "newest checkpoint; tokens seen before", _by_position),
        ("Single lines", "written exactly, per cent, with 95 % intervals", _infilling),
    ]
    evaluated = any(one.evaluations for one in curves)
    measured = any(not np.isnan(one.columns["mfu"]).all() for one in curves)
    left_out = (set() if evaluated else {"Held-out text", "Loss by position", "Single lines"}) | (
        set() if measured else {"MFU"}
    )
    return [
        (title, about, partial(_drawn, draw=draw, curves=curves))
        for title, about, draw in found
        if title not in left_out
    ]


def _drawn(axes: Any, draw: Callable[[Any, Sequence[Curves]], None], curves: Any) -> None:
    axes.grid(color="#e6eaec", linewidth=0.8)
    axes.set_axisbelow(True)
    draw(axes, curves)
    _, labels = axes.get_legend_handles_labels()
    if len(labels) > 1:
        axes.legend(frameon=False, fontsize=8)


def _millions(one: Curves) -> npt.NDArray[np.float64]:
    return one.columns["tokens"] / 1e6


def _thin(count: int) -> npt.NDArray[np.int64]:
    return np.unique(np.linspace(0, count - 1, min(count, POINTS)).astype(np.int64))


def _smooth(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Running median of what lies before, which a spike does not bend."""
    width = max(1, round(len(values) * SMOOTH))
    padded = np.concatenate([np.repeat(values[:1], width - 1), values])
    view = np.lib.stride_tricks.sliding_window_view(padded, width)
    found = np.full(len(values), np.nan)
    chosen = _thin(len(values))
    found[chosen] = np.median(view[chosen], axis=1)
    return found


def _loss(axes: Any, curves: Sequence[Curves]) -> None:
    for number, one in enumerate(curves):
        colour, at = COLOURS[number % len(COLOURS)], _thin(len(one.columns["loss"]))
        tokens, loss = _millions(one)[at], one.columns["loss"]
        axes.plot(tokens, loss[at], color=colour, alpha=0.25, linewidth=0.8)
        axes.plot(tokens, _smooth(loss)[at], color=colour, linewidth=1.6, label=one.name)
    axes.set_xlabel("million tokens")
    axes.set_ylabel("nats a token")


def _plain(column: str) -> Callable[[Any, Sequence[Curves]], None]:
    def draw(axes: Any, curves: Sequence[Curves]) -> None:
        for number, one in enumerate(curves):
            at = _thin(len(one.columns[column]))
            colour = COLOURS[number % len(COLOURS)]
            axes.plot(
                _millions(one)[at], one.columns[column][at], color=colour, linewidth=1.2,
                label=one.name,
            )  # fmt: skip
        axes.set_xlabel("million tokens")
        axes.set_ylim(bottom=0)

    return draw


def _norm(axes: Any, curves: Sequence[Curves]) -> None:
    _plain("gradient_norm")(axes, curves)
    for one in curves:
        skipped = one.columns["skipped"] > 0
        axes.plot(
            _millions(one)[skipped], one.columns["gradient_norm"][skipped], "x", color="#26323a"
        )


def _held_out(axes: Any, curves: Sequence[Curves]) -> None:
    for number, one in enumerate(curves):
        sources = sorted({s for line in one.evaluations for s in line["sources"]})
        for place, source in enumerate(sources):
            points = [
                (line["tokens"] / 1e6, line["sources"][source]["bits_per_byte"])
                for line in one.evaluations
                if source in line["sources"]
            ]
            colour = COLOURS[(number * len(sources) + place) % len(COLOURS)]
            axes.plot(*zip(*points, strict=True), "o-", color=colour, markersize=3.5,
                      label=f"{one.name}: {source}")  # fmt: skip
    axes.set_xlabel("million tokens")
    axes.set_ylabel("bits a byte")


def _by_position(axes: Any, curves: Sequence[Curves]) -> None:
    for number, one in enumerate(curves):
        if one.evaluations:
            stretches = one.evaluations[-1]["by_position"]
            axes.plot(
                [max(stretch["first"], 0.5) for stretch in stretches],
                [stretch["loss"] for stretch in stretches],
                "o-", color=COLOURS[number % len(COLOURS)], markersize=3.5, label=one.name,
            )  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_xlabel("tokens before")
    axes.set_ylabel("nats a token")


def _infilling(axes: Any, curves: Sequence[Curves]) -> None:
    labels: list[str] = []
    for number, one in enumerate(curves):
        found = one.evaluations[-1]["infilling"] if one.evaluations else {}
        for source, orders in found.items():
            for order, exact in orders.items():
                place = len(labels)
                labels.append(f"{one.name}: {source}, {order.upper()}")
                colour = COLOURS[number % len(COLOURS)]
                axes.plot([100 * exact["low"], 100 * exact["high"]], [place, place], color=colour)
                axes.plot(100 * exact["share"], place, "o", color=colour)
    axes.set_yticks(range(len(labels)), labels, fontsize=7)
    axes.set_xlim(left=0)
    axes.set_xlabel("per cent")
    axes.tick_params(axis="x", colors=FAINT)
