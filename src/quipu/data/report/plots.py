"""Plots of the report, as SVG pictures inside the page. Equal counts give equal bytes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from quipu.data.report import wording
from quipu.data.report.facts import (
    JACCARD_BINS,
    LENGTH_BINS,
    QUALITY_BINS,
    Counts,
    Facts,
    Tally,
    by_bytes,
)
from quipu.pages.pictures import HALF, WHOLE, picture

ROW = 0.32  # of a bar
KEPT_COLOUR = "#2f6690"
# Steps of the flow, in the order in which they are stacked after what is kept.
FLOW = (
    ("kept", "kept", KEPT_COLOUR),
    ("exact duplicate", "exact copy", "#c26a5a"),
    ("near duplicate", "near copy", "#e0a08f"),
    ("tests", "tests", "#8d6cab"),
    ("vendored", "vendored", "#c3b1d6"),
    ("generated", "generated", "#edae49"),
    ("licence", "licence", "#5c5346"),
    ("cap", "over the cap", "#66a182"),
)
REST = ("other steps", "#cdd3d6")


def _bars(
    names: Sequence[str],
    values: Sequence[float],
    labels: Sequence[str],
    colours: Sequence[str],
    width: float = HALF,
) -> str:
    """Horizontal bars, the first on top, with a label after each."""

    def draw(axes: Any) -> None:
        places = np.arange(len(names))
        axes.barh(places, values, color=list(colours), height=0.68)
        axes.set_yticks(places, names)
        axes.invert_yaxis()
        axes.tick_params(axis="y", length=0)
        axes.xaxis.set_visible(False)
        axes.spines[["bottom", "left"]].set_visible(False)
        most = max(values, default=1.0) or 1.0
        axes.set_xlim(0, most * (1 + 3.9 / width))
        for place, value, label in zip(places, values, labels, strict=True):
            axes.text(value + most * 0.012, place, label, va="center", fontsize=8)

    return picture(draw, 0.35 + ROW * max(len(names), 1), width)


def _tally_bars(
    tallies: dict[str, Tally], colours: Sequence[str], whole: int, width: float = HALF
) -> str:
    return _bars(
        [name if len(name) <= 34 else name[:33] + "…" for name in tallies],
        [tally.bytes for tally in tallies.values()],
        [
            f"{wording.size(t.bytes)} · {wording.share(t.bytes, whole)} · "
            f"{wording.number(t.documents)} files"
            for t in tallies.values()
        ],
        colours,
        width,
    )


def _colour(group: str) -> str:
    return wording.COLOURS.get(group, wording.OTHER_COLOUR)


def groups(facts: Facts) -> str:
    """Bytes and documents of each group."""
    names = wording.in_order(facts.groups)
    return _tally_bars(
        {wording.group(name): facts.groups[name] for name in names},
        [_colour(name) for name in names],
        facts.kept.bytes,
    )


def languages(facts: Facts) -> str:
    """Bytes and documents of each language."""
    named = {wording.language(n): tally for n, tally in by_bytes(facts.languages).items()}
    return _tally_bars(named, [KEPT_COLOUR] * len(named), facts.kept.bytes)


def licences(facts: Facts, most: int = 14) -> str:
    """Bytes under each licence; rare ones together."""
    shown = _with_rest(by_bytes(facts.licences), most)
    return _tally_bars(shown, ["#66a182"] * len(shown), facts.kept.bytes, WHOLE)


def dropped(facts: Facts, most: int = 16) -> str:
    """Bytes that each step took out."""
    shown = _with_rest(facts.dropped_by_step(), most)
    return _tally_bars(shown, ["#c26a5a"] * len(shown), facts.read.bytes)


def _with_rest(tallies: dict[str, Tally], most: int) -> dict[str, Tally]:
    names = list(tallies)
    shown = {name: tallies[name] for name in names[:most]}
    rest = [tallies[name] for name in names[most:]]
    if rest:
        shown[f"{len(rest)} others"] = Tally(
            documents=sum(t.documents for t in rest), bytes=sum(t.bytes for t in rest)
        )
    return shown


def flow(facts: Facts) -> str:
    """What became of each group's bytes: shares, stacked."""
    names = wording.in_order({*facts.groups, *(group for group in facts.steps if group)})
    named = {step for step, _, _ in FLOW}
    stacks = [
        (label, colour, [_step_bytes(facts, g, s) for g in names]) for s, label, colour in FLOW
    ]
    rest = [
        float(sum(t.bytes for step, t in facts.steps[group].items() if step not in named))
        if group in facts.steps
        else 0.0
        for group in names
    ]
    stacks.append((*REST, rest))
    whole = np.maximum(np.sum([values for _, _, values in stacks], axis=0), 1)

    def draw(axes: Any) -> None:
        left = np.zeros(len(names))
        places = np.arange(len(names))
        for label, colour, values in stacks:
            widths = np.array(values) / whole
            if widths.any():
                axes.barh(places, widths, left=left, color=colour, label=label, height=0.68)
            left = left + widths
        for place, kept in zip(places, np.array(stacks[0][2]) / whole, strict=True):
            if kept > 0.08:
                axes.text(kept / 2, place, f"{kept:.0%}", ha="center", va="center", color="white")
        axes.set_yticks(places, [wording.group(name) for name in names])
        axes.tick_params(axis="y", length=0)
        axes.set_xlim(0, 1)
        axes.set_xticks(np.linspace(0, 1, 5), ["0 %", "25 %", "50 %", "75 %", "100 %"])
        axes.invert_yaxis()
        axes.spines[["left"]].set_visible(False)
        if names:  # an empty legend is a warning
            axes.legend(
                loc="upper center",
                bbox_to_anchor=(0.45, -0.12),
                ncols=9,
                handlelength=1,
                columnspacing=1.4,
                frameon=False,
            )

    return picture(draw, 0.9 + ROW * max(len(names), 1), WHOLE)


def _step_bytes(facts: Facts, group: str, step: str) -> float:
    if step == "kept":
        return float(facts.groups[group].bytes if group in facts.groups else 0)
    # By `get`: asking a defaultdict would add a step that nothing was dropped by.
    steps = facts.steps.get(group)
    tally = None if steps is None else steps.get(step)
    return 0.0 if tally is None else float(tally.bytes)


def lengths(counts: dict[str, Counts], unit: str) -> str:
    """How long documents are: the share of each group's documents in each doubling."""
    names = wording.in_order(counts)
    seen = [np.flatnonzero(counts[name]) for name in names if counts[name].any()]
    first = min((int(bins[0]) for bins in seen), default=0)
    last = max((int(bins[-1]) for bins in seen), default=LENGTH_BINS - 1)

    def draw(axes: Any) -> None:
        for name in names:
            of = counts[name][first : last + 1]
            axes.plot(
                np.arange(first, last + 1) + 0.5,
                of / max(of.sum(), 1),
                color=_colour(name),
                label=wording.group(name),
                linewidth=1.8,
                marker="o",
                markersize=2.5,
            )
        ticks = np.arange(first, last + 2, 2)
        axes.set_xticks(ticks, [_power(int(tick)) for tick in ticks])
        axes.set_xlabel(f"{unit} in a file")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.set_ylim(bottom=0)
        axes.grid(axis="y", color="#e6eaec", linewidth=0.8)
        axes.set_axisbelow(True)
        if names:
            axes.legend(frameon=False, fontsize=8)

    return picture(draw, 2.9)


def _power(exponent: int) -> str:
    for step, suffix in ((20, " Mi"), (10, " Ki")):
        if exponent >= step:
            return f"{2 ** (exponent - step)}{suffix}"
    return str(2**exponent)


def quality(facts: Facts) -> str:
    """The quality scores of each group, one row each."""
    names = wording.in_order(facts.quality)

    def draw(axes: Any) -> None:
        edges = np.linspace(0, 1, QUALITY_BINS + 1)
        for place, name in enumerate(names):
            heights = facts.quality[name] / max(int(facts.quality[name].max()), 1) * 0.85
            base = len(names) - 1 - place
            axes.stairs(base + heights, edges, baseline=base, fill=True, color=_colour(name))
        axes.set_yticks(np.arange(len(names))[::-1] + 0.3, [wording.group(name) for name in names])
        axes.tick_params(axis="y", length=0)
        axes.spines[["left"]].set_visible(False)
        axes.set_xlim(0, 1)
        axes.set_xlabel("quality score")

    return picture(draw, 0.6 + 0.42 * max(len(names), 1))


def jaccard(facts: Facts) -> str:
    """How alike removed near copies are to what stays."""

    def draw(axes: Any) -> None:
        edges = np.linspace(0.7, 1, JACCARD_BINS + 1)
        axes.stairs(facts.jaccard, edges, fill=True, color="#e0a08f")
        axes.set_xlabel("Jaccard similarity to the file that stays")
        axes.set_ylabel("files")
        axes.set_xlim(0.7, 1)

    return picture(draw, 2.2)
