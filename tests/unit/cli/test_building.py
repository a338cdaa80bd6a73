"""What is seen of a build fits a terminal, and is a few lines in a log."""

import io
import re

from rich.console import Console

from quipu.cli.data.building import Screen, summary
from quipu.data.corpus.build import Progress

FAR = Progress(stage="deduplicate", done=1200, total=3400, bytes=10**10, skipped=99, failed=7)
COUNTS = {"documents": 1_234_567, "bytes": 98_765_432_100}
MANIFEST = {
    "groups": {"typescript": COUNTS},
    "held_out": {"typescript": COUNTS},
    "tokens": {"typescript": {"tokens": 12_345_678_900}},
    "dropped": {"near duplicate": 123_456, "licence": 7},
}


def test_bars_and_tables_fit_eighty_columns():
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=80, color_system=None)
    with Screen(console) as screen:
        screen.show(FAR)
    summary(console, MANIFEST)
    lines = re.split(r"[\r\n]", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", file.getvalue()))
    assert any("deduplicate" in line for line in lines)
    assert max(map(len, lines)) <= 80


def test_a_log_gets_a_line_when_a_stage_ends():
    file = io.StringIO()
    with Screen(Console(file=file, width=80)) as screen:
        screen.show(FAR)
        screen.show(Progress(stage="select", done=1, total=1))
    assert file.getvalue() == "select: 1 of 1\n"
