"""Verdicts of published programs against the verdicts that were published with them."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from eval_speed.verdicts import GOAL, PYTHON, SETS, VECTORS, compare

from quipu.evals.tasks.multipl_e import NAMES
from quipu.sandbox.judge import missing, open_judge
from quipu.sandbox.languages import LANGUAGES
from quipu.sandbox.program import Judge

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
EVERY = 20

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's"),
    pytest.mark.skipif(not (DATA / VECTORS).is_dir(), reason="no ../shared/data/check-vectors"),
]


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    opened = open_judge(data=DATA, workers=2)
    yield opened
    opened.close()


def compared(judge, name, every=1):
    lacking = missing(LANGUAGES[NAMES.get(name, PYTHON)])
    if lacking:
        pytest.skip(f"not installed: {', '.join(lacking)}")
    return list(compare(judge, name, DATA, every))


@pytest.mark.parametrize("name", SETS)
def test_of_a_sample_only_explained_verdicts_differ(judge, name):
    found = compared(judge, name, EVERY)
    assert not [each for each in found if each.ours != each.theirs and not each.why]


@pytest.mark.slow
def test_all_verdicts_are_the_published_ones_by_the_publisher_s_rule(judge):
    found = [each for name in SETS for each in compared(judge, name)]
    assert not [each for each in found if each.ours != each.theirs and not each.why]
    equal = sum(each.by_their_rule == each.theirs for each in found)
    assert equal >= GOAL * len(found)
