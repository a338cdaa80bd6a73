"""Plots as SVG pictures inside a page. Equal numbers give equal bytes."""

import base64
import io
from collections.abc import Callable
from typing import Any

HALF, WHOLE = 5.4, 10.8  # inches: half the page, all of it
INK, FAINT = "#26323a", "#8a969d"
_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "quipu",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
}


def picture(draw: Callable[[Any], None], height: float, width: float = HALF) -> str:
    """A figure with one pair of axes, as a data URI."""
    data = figure_of(draw, height, "svg", width)
    return "data:image/svg+xml;base64," + base64.b64encode(data).decode("ascii")


def figure_of(draw: Callable[[Any], None], height: float, kind: str, width: float = HALF) -> bytes:
    """A figure with one pair of axes, as the bytes of an svg or png file."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        (FigureCanvasSVG if kind == "svg" else FigureCanvasAgg)(figure)
        axes = figure.add_subplot()
        axes.spines[["top", "right"]].set_visible(False)
        draw(axes)
        file = io.BytesIO()
        if kind == "svg":
            figure.savefig(file, format="svg", metadata={"Date": None}, transparent=True)
        else:
            figure.savefig(file, format=kind, dpi=160)
    return file.getvalue()
