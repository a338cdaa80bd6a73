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
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        axes.spines[["top", "right"]].set_visible(False)
        draw(axes)
        file = io.BytesIO()
        figure.savefig(file, format="svg", metadata={"Date": None}, transparent=True)
    return "data:image/svg+xml;base64," + base64.b64encode(file.getvalue()).decode("ascii")
