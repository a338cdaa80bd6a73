"""Verdicts of published programs against the verdicts that were published with them."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from quipu.sandbox.judge import missing, open_judge
from quipu.sandbox.languages import LANGUAGES
from quipu.sandbox.program import Judge

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
PROGRAMS = DATA / "check-vectors/1.5b-base/multipl-e"
NAMES = {
    "cpp": "cpp",
    "cs": "csharp",
    "java": "java",
    "js": "javascript",
    "php": "php",
    "sh": "bash",
    "ts": "typescript",
}
SAMPLE = 8
# Why a verdict may differ from the published one.
UNHANDLED = "ends with an unhandled exception, which the publisher's harness took for passing"
EXPLAINED = {
    "HumanEval_16_count_distinct_characters php": "str_split('') gives no string since PHP 8.2",
    "HumanEval_92_any_int sh": "calls bc, which the publisher's machine did not have",
    "HumanEval_47_median sh": "calls bc, which the publisher's machine did not have",
}

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's"),
    pytest.mark.skipif(not PROGRAMS.is_dir(), reason="no ../shared/data/check-vectors"),
]


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    opened = open_judge(data=DATA, workers=2)
    yield opened
    opened.close()


def differences(judge: Judge, extension: str, most: int | None) -> tuple[int, list[str]]:
    """Programs judged, and those whose verdict differs from the published one."""
    language = NAMES[extension]
    lacking = missing(LANGUAGES[language])
    if lacking:
        pytest.skip(f"not installed: {', '.join(lacking)}")
    found = json.loads((PROGRAMS / f"humaneval-{extension}-details.json").read_text())
    entries = [runs[0][1] for _, runs in sorted(found.items())][:most]
    differ = []
    for entry in entries:
        outcome = judge.judge(language, entry["code"])
        if (outcome.status == "passed") != entry["passed"]:
            why = EXPLAINED.get(f"{entry['task_id']} {extension}")
            if extension == "cs" and entry["passed"] and b"Unhandled Exception" in outcome.stderr:
                why = UNHANDLED
            if why is None:
                differ.append(f"{entry['task_id']}: {outcome.status} {outcome.stderr[-200:]!r}")
    return len(entries), differ


@pytest.mark.parametrize("extension", NAMES)
def test_a_sample_of_verdicts_is_the_published_one(judge, extension):
    _, differ = differences(judge, extension, SAMPLE)
    assert not differ


@pytest.mark.slow
@pytest.mark.parametrize("extension", NAMES)
def test_all_verdicts_are_the_published_ones(judge, extension):
    count, differ = differences(judge, extension, None)
    assert len(differ) <= 0.005 * count, differ
