"""The results as Markdown."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from speed.cells import LOADS, Result
from speed.summary import Line, Ratio, Spread, number

TITLES = {"one": "One sequence", "eight": "Eight sequences together"}


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything that was found, and how."""

    date: str
    command: str
    revision: str
    threads: int
    machine: Result
    read: Result
    matrix: Result
    versions: dict[str, str]
    lines: Sequence[Line]
    ratios: Sequence[Ratio]
    limits: Sequence[Ratio]
    cold: dict[str, Spread | str]  # seconds, or why there are none
    missing: dict[str, str]  # what could not be installed or made, and why
    others_cores: float  # in use by other programs during the cell that had most of them
    plot: str | None


def markdown(report: Report) -> str:
    """The whole report."""
    parts = [
        "# Quipu beside other engines on a CPU",
        _circumstances(report),
        *([f"![decode and prefill]({report.plot})"] if report.plot else []),
        "## Ours over the best peer",
        _ratio_table(report.ratios, "best peer"),
        "## Ours over the machine",
        _machine(report),
        _ratio_table(report.limits, "machine"),
        "## New process to first token, embedded model",
        _cold(report.cold),
    ]
    for model in dict.fromkeys(line.model for line in report.lines):
        for load in dict.fromkeys(line.load for line in report.lines):
            lines = [line for line in report.lines if (line.model, line.load) == (model, load)]
            if lines:
                parts += [f"## {model}: {TITLES[load].lower()}", _lines(model, load, lines)]
    parts += ["## Versions", _versions(report.versions)]
    if report.missing:
        parts += ["## Left out", _table(("what", "why"), report.missing.items())]
    return "\n\n".join(parts) + "\n"


def _circumstances(report: Report) -> str:
    machine = report.machine
    memory = f"{machine['memory_bytes'] / 2**30:.0f} GiB, " if machine["memory_bytes"] else ""
    cores, instructions = machine["cores"], " ".join(machine["instructions"])
    return f"""\
{report.date}, revision {report.revision}, {report.threads} threads. Random weights and prompts,
the same for all; greedy, past the end token. Each engine runs in a process of its own, engines
take turns; files are in the page cache; figures are medians over the rounds (least to greatest).
llama.cpp is built for this processor but without AMX: that path crashed (segmentation fault,
llama-cpp-python 0.3.36) where it was tried.

```
{report.command}
```

{machine["processor"]} (family/model {machine["family_model"]}), {cores} cores,
{memory}{instructions}; {machine["system"]}; load average at the start {machine["load_average"]}.
Other programs used {report.others_cores:.2f} cores in the measurement that they disturbed most."""


def _machine(report: Report) -> str:
    if "failed" in report.read:
        read = f"not measured: {report.read['failed']}"
    else:
        read = ", ".join(
            f"{rate:.0f} GB/s from {_size(int(size))}" for size, rate in report.read.items()
        )
    if "failed" in report.matrix:
        matrix = f"not measured: {report.matrix['failed']}"
    else:
        matrix = ", ".join(f"{kind} {rate:,.0f} GOP/s" for kind, rate in report.matrix.items())
    return f"Reading, best of all rounds: {read}.\n\nMatrix products (PyTorch, oneDNN): {matrix}."


def _ratio_table(ratios: Sequence[Ratio], other: str) -> str:
    rows = ((r.figure, r.ours, r.other, f"{r.ratio:.2f}", r.goal) for r in ratios)
    return _table(("figure", "Quipu", other, "ratio", "goal"), rows)


def _cold(cold: dict[str, Spread | str]) -> str:
    rows = [(name, v if isinstance(v, str) else _seconds(v)) for name, v in cold.items()]
    return _table(("engine", "seconds"), rows)


def _lines(model: str, load: str, lines: Sequence[Line]) -> str:
    asked = LOADS[load][model]
    head = ("engine", "prefill tokens/s", "decode tokens/s", "first token s", "load s", "peak MiB")
    rows = []
    for line in lines:
        if not line.figures:
            rows.append((line.variant, line.failed or "-", "", "", "", ""))
            continue
        of = line.figures.get
        rows.append(
            (
                line.variant + (f" (also: {line.failed})" if line.failed else ""),
                _rate(of("prefill_tokens_per_s")),
                _rate(of("decode_tokens_per_s")),
                _seconds(of("first_token_s")),
                _seconds(of("load_s")),
                _mib(of("peak_bytes")),
            )
        )
    words = f"{asked.batch} x {asked.prompt_tokens} prompt tokens, {asked.new_tokens} new each."
    return f"{words}\n\n{_table(head, rows)}"


def _rate(of: Spread | None) -> str:
    return f"{number(of.median)} ({number(of.least)} to {number(of.greatest)})" if of else "-"


def _seconds(of: Spread | None) -> str:
    return f"{of.median:.3f} ({of.least:.3f} to {of.greatest:.3f})" if of else "-"


def _mib(of: Spread | None) -> str:
    return f"{of.median / 2**20:,.0f}" if of else "-"


def _size(size: int) -> str:
    return f"{size >> 10:,} KiB" if size < 1 << 20 else f"{size >> 20:,} MiB"


def _versions(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [list(head), ["---"] * len(head), *(list(row) for row in rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
