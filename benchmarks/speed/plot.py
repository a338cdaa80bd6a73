"""Decode and prefill of every engine as bars: plot.py RESULTS.json TARGET.png.

Runs in the peers' environment, which has matplotlib.
"""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot

OURS, PEERS = "#c8553d", "#8aa1b1"
PANELS = (
    ("one", "prefill_tokens_per_s", "prefill, one sequence"),
    ("one", "decode_tokens_per_s", "decode, one sequence"),
    ("eight", "decode_tokens_per_s", "decode, eight together"),
)


def main() -> None:
    source, target = sys.argv[1:]
    lines = json.loads(Path(source).read_text())["lines"]
    models = list(dict.fromkeys(line["model"] for line in lines))
    size = (4.6 * len(PANELS), 2.9 * len(models))
    figure, axes = pyplot.subplots(len(models), len(PANELS), figsize=size, squeeze=False)
    for row, model in enumerate(models):
        for column, (load, name, title) in enumerate(PANELS):
            chosen = [x for x in lines if (x["model"], x["load"]) == (model, load)]
            draw(axes[row][column], chosen, name, f"{model}: {title}")
    figure.tight_layout()
    figure.savefig(target, dpi=110)


def draw(axis: Any, lines: list[dict[str, Any]], name: str, title: str) -> None:
    """One panel: medians as bars, least and greatest as whiskers."""
    known = [line for line in lines if name in line["figures"]]
    spreads = [line["figures"][name] for line in known]
    medians = [spread["median"] for spread in spreads]
    whiskers = [
        [spread["median"] - spread["least"] for spread in spreads],
        [spread["greatest"] - spread["median"] for spread in spreads],
    ]
    colours = [OURS if line["variant"].startswith("quipu") else PEERS for line in known]
    labels = [line["variant"] for line in known]
    axis.barh(labels, medians, xerr=whiskers, color=colours, ecolor="#444444")
    axis.invert_yaxis()
    axis.set_title(title, fontsize=10)
    axis.set_xlabel("tokens/s", fontsize=8)
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    main()
