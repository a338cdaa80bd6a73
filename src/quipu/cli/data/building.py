"""What a person sees of a build: how far it is, and what came out."""

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.table import Table

from quipu.data.corpus.build import Progress

NAME_WIDTH = 14
_LINE_EVERY_S = 30.0  # in a log, where no bar is drawn


class Screen:
    """A bar for each stage on a terminal, a line now and then in a log."""

    def __init__(self, console: Console) -> None:
        self._console = console
        columns = (
            TextColumn(f"{{task.description:<{NAME_WIDTH}}}"),
            BarColumn(bar_width=16),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}", style="dim"),
            TimeRemainingColumn(compact=True),
        )
        self._bars = Bars(*columns, console=console, disable=not console.is_terminal)
        self._tasks: dict[str, TaskID] = {}
        self._totals: dict[str, int] = {}
        self._began: dict[str, float] = {}
        self._told_s = time.monotonic()

    def show(self, progress: Progress) -> None:
        """Show how far a stage is."""
        stage, now = progress.stage, time.monotonic()
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=progress.total, rate="")
            self._began[stage] = now
        rate = _rate(progress, now - self._began[stage])
        self._bars.update(
            self._tasks[stage], completed=progress.done, total=progress.total, rate=rate
        )
        last = progress.done == progress.total
        if not self._console.is_terminal and (last or now - self._told_s > _LINE_EVERY_S):
            self._told_s = now
            text = f"{stage}: {progress.done} of {progress.total}  {rate}"
            self._console.print(text.rstrip(), highlight=False)

    def __enter__(self) -> "Screen":
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()


def _rate(progress: Progress, seconds: float) -> str:
    parts = []
    if progress.bytes and progress.skipped < progress.done and seconds > 0.5:
        parts.append(f"{progress.bytes / 1e6 / seconds:.1f} MB/s")
    if progress.skipped:
        parts.append(f"{progress.skipped} done before")
    if progress.failed:
        parts.append(f"{progress.failed} failed")
    return ", ".join(parts)


def summary(console: Console, manifest: Mapping[str, Any]) -> None:
    """Groups with their documents, bytes and tokens; what was dropped, by reason."""
    table = Table(box=None, pad_edge=False, title_justify="left")
    table.add_column("group")
    for name in ("documents", "MB", "M tokens", "held out"):
        table.add_column(name, justify="right")
    tokens = manifest.get("tokens", {})
    for group in sorted({*manifest["groups"], *manifest["held_out"]}):
        kept, held = (manifest[part].get(group, {}) for part in ("groups", "held_out"))
        table.add_row(
            group,
            f"{kept.get('documents', 0):,}",
            f"{kept.get('bytes', 0) / 1e6:,.1f}",
            f"{tokens[group]['tokens'] / 1e6:,.2f}" if group in tokens else "",
            f"{held.get('documents', 0):,}",
        )
    console.print(table)
    dropped = Table(box=None, pad_edge=False)
    dropped.add_column("dropped")
    dropped.add_column("documents", justify="right")
    for reason, count in sorted(manifest["dropped"].items(), key=lambda item: (-item[1], item[0])):
        dropped.add_row(reason, f"{count:,}")
    if manifest["dropped"]:
        console.print()
        console.print(dropped)
