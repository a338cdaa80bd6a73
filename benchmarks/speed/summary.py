"""From single results to medians, and from medians to the figures that were promised."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from speed.cells import Cell, Result
from speed.models import SHAPES
from speed.variants import OURS

from quipu.checkpoint import open_checkpoint
from quipu.counts import weight_shapes

FIGURES = (
    "prefill_tokens_per_s",
    "decode_tokens_per_s",
    "first_token_s",
    "load_s",
    "peak_bytes",
)


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Median, least and greatest of several rounds."""

    median: float
    least: float
    greatest: float


@dataclass(frozen=True, kw_only=True)
class Line:
    """A variant under a load on a model: figures by name, or why there are none."""

    model: str
    variant: str
    load: str
    engine: str
    figures: Mapping[str, Spread]
    failed: str | None

    @property
    def ours(self) -> bool:
        """Whether it is Quipu's."""
        return self.variant.split()[0] == OURS

    def median(self, figure: str) -> float | None:
        """Median of a figure, if there is one."""
        found = self.figures.get(figure)
        return found.median if found else None


def lines_of(results: Sequence[tuple[Cell, Result]]) -> list[Line]:
    """One line for each model, load and variant, in the order of the results."""
    groups: dict[tuple[str, str, str], list[Result]] = {}
    for cell, result in results:
        groups.setdefault((cell.model, cell.load, cell.variant), []).append(result)
    return [
        Line(
            model=model,
            load=load,
            variant=variant,
            engine=next((str(r["engine"]) for r in found if "engine" in r), variant),
            figures=_figures(found),
            failed=next((str(r["failed"]) for r in found if "failed" in r), None),
        )
        for (model, load, variant), found in groups.items()
    ]


def _figures(results: Sequence[Result]) -> dict[str, Spread]:
    found = {}
    for figure in FIGURES:
        values = [r[figure] for r in results if r.get(figure) is not None]
        if values:
            found[figure] = spread(values)
    return found


def spread(values: Sequence[float]) -> Spread:
    """Median, least and greatest."""
    return Spread(median=statistics.median(values), least=min(values), greatest=max(values))


def best(lines: Sequence[Line], model: str, load: str, figure: str, *, ours: bool) -> Line | None:
    """The line with the greatest median."""
    fitting = [
        line
        for line in lines
        if (line.model, line.load, line.ours) == (model, load, ours) and line.median(figure)
    ]
    return max(fitting, key=lambda line: line.median(figure) or 0, default=None)


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """A figure of ours beside what it is measured by."""

    figure: str
    ours: str
    other: str
    ratio: float
    goal: str


GOALS = {
    ("decode_tokens_per_s", "nano"): ">= 2.5",
    ("decode_tokens_per_s", "1.1b"): ">= 1.6",
    ("decode_tokens_per_s", "7b"): ">= 1.6",
    ("prefill_tokens_per_s", "nano"): ">= 1.5",
    ("prefill_tokens_per_s", "1.1b"): ">= 2.5",
    ("prefill_tokens_per_s", "7b"): ">= 2.5",
}
WORDS = {"decode_tokens_per_s": "decode", "prefill_tokens_per_s": "prefill"}


def ratios(lines: Sequence[Line], models: Sequence[str]) -> list[Ratio]:
    """Ours over the best peer, each side in its best format."""
    found = []
    for model in models:
        for figure in WORDS:
            goal = GOALS[figure, model]
            title = f"{WORDS[figure]}, {model}, one sequence"
            found += _ratio(lines, title, model, figure, ("one", "one"), goal)
        title, figure = f"decode, {model}, eight sequences", "decode_tokens_per_s"
        found += _ratio(lines, title, model, figure, ("eight", "eight"), ">= 1.5")
        found += _ratio(lines, title + " over one", model, figure, ("eight", "one"), ">= 2.5")
    return found


def _ratio(
    lines: Sequence[Line], title: str, model: str, figure: str, loads: tuple[str, str], goal: str
) -> list[Ratio]:
    ours = best(lines, model, loads[0], figure, ours=True)
    peer = best(lines, model, loads[1], figure, ours=False)
    if ours is None or peer is None:
        return []
    mine, theirs = ours.median(figure) or 0, peer.median(figure) or math.inf
    return [
        Ratio(
            figure=title,
            ours=f"{number(mine)} ({ours.variant})",
            other=f"{number(theirs)} ({peer.variant})",
            ratio=mine / theirs,
            goal=goal,
        )
    ]


def limits(
    lines: Sequence[Line], files: Mapping[tuple[str, str], Path], read: Result, matrix: Result
) -> list[Ratio]:
    """Ours over the machine: weights read a second, and operations of prefill."""
    found = []
    for line in lines:
        decode, prefill = (line.median(f) for f in ("decode_tokens_per_s", "prefill_tokens_per_s"))
        if not line.ours or line.load != "one":
            continue
        if decode and "failed" not in read:
            size = bytes_per_token(files[line.model, line.variant])
            buffer, rate = _bandwidth(read, size)
            got = decode * size / 1e9
            found.append(
                Ratio(
                    figure=f"decode, {line.model}, {line.variant}",
                    ours=f"{got:.1f} GB/s of weights",
                    other=f"{rate:.1f} GB/s read from {buffer / 2**20:,.0f} MiB",
                    ratio=got / rate,
                    goal=">= 0.75" if (line.model, line.variant) in _BOUND else "",
                )
            )
        if prefill and "failed" not in matrix:
            kind = max(matrix, key=lambda name: matrix[name])
            got = prefill * 2 * multiplied(line.model) / 1e9
            found.append(
                Ratio(
                    figure=f"prefill, {line.model}, {line.variant}",
                    ours=f"{got:,.0f} GOP/s",
                    other=f"{matrix[kind]:,.0f} GOP/s ({kind}, oneDNN)",
                    ratio=got / matrix[kind],
                    goal="",
                )
            )
    return found


def paired_limits(
    results: Sequence[tuple[Cell, Result]],
    files: Mapping[tuple[str, str], Path],
    reads: Mapping[Cell, Result],
) -> list[Ratio]:
    """Weights read a second over the bandwidth that was read just before, by round."""
    pairs: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for cell, result in results:
        read, decode = reads.get(cell, {}), result.get("decode_tokens_per_s")
        if cell.load != "one" or not decode or not read or "failed" in read:
            continue
        size = bytes_per_token(files[cell.model, cell.variant])
        rate = _bandwidth(read, size)[1]
        pairs.setdefault((cell.model, cell.variant), []).append((decode * size / 1e9, rate))
    return [
        Ratio(
            figure=f"decode, {model}, {variant}, beside the read before it",
            ours=", ".join(f"{got:.0f}" for got, _ in found) + " GB/s",
            other=", ".join(f"{rate:.0f}" for _, rate in found) + " GB/s",
            ratio=statistics.median(got / rate for got, rate in found),
            goal=">= 0.75" if (model, variant) in _BOUND else "",
        )
        for (model, variant), found in pairs.items()
    ]


_BOUND = {("1.1b", f"{OURS} int4"), ("7b", f"{OURS} int4")}


def _bandwidth(read: Result, size: int) -> tuple[int, float]:
    """The smallest buffer measured that holds so much, else the largest: its bytes and GB/s."""
    sizes = sorted(int(buffer) for buffer in read)
    buffer = next((s for s in sizes if s >= size), sizes[-1])
    return buffer, read[str(buffer)]


def bytes_per_token(path: Path) -> int:
    """Bytes of weights that a token reads: all but the embedding, of which it reads a row."""
    checkpoint = open_checkpoint(path)
    try:
        looked_up = 0 if checkpoint.config.tied else checkpoint.spec("tok_embeddings.weight").bytes
        return checkpoint.weight_bytes() - looked_up
    finally:
        checkpoint.close()


def multiplied(model: str) -> int:
    """Weights that every token of a prompt is multiplied with: the head is for the last alone."""
    shapes = weight_shapes(SHAPES[model])
    return sum(
        math.prod(shape) for name, shape in shapes if name.startswith("layers.") and len(shape) == 2
    )


def number(value: float) -> str:
    """Three digits that mean something, thousands set off."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
