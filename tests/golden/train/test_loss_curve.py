"""The losses of a small run from its first step on: data, weights, loss, optimisers, schedule.

To record them anew after a change that is meant: `python tests/golden/train/test_loss_curve.py`.
"""

import hashlib
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

import small
from quipu.train.loop import Machine, open_rows, train

GOLDEN = Path(__file__).with_name("loss_curve.json")
STEPS = 20
# Relative. Other instruction sets and BLAS libraries sum in another order, and steps of Muon
# magnify that: from SSE to AVX-512 and from one thread to two by 2e-7 after 20 of them. The rest is
# for processors and libraries that were not tried. A rate that is one step late is beyond it.
LOSS_TOLERANCE = 1e-4


def curve(folder):
    """What is compared."""
    corpus = small.corpus(folder / "corpus")
    recipe = small.recipe(STEPS)
    rows = open_rows(recipe, corpus).batch(0, STEPS * recipe.batch_rows)
    machine = Machine(compiled=False, save_every_s=1e9, tensorboard=False)
    return {
        "tokenizer": small.tokenizer().fingerprint,
        "rows": hashlib.sha256(np.stack([rows.tokens_T, rows.targets_T]).tobytes()).hexdigest(),
        "losses": [done.loss for done in train(recipe, folder / "run", corpus, machine)],
    }


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return curve(tmp_path_factory.mktemp("curve"))


@pytest.fixture(scope="module")
def golden():
    return json.loads(GOLDEN.read_text())


def test_rows_are_those_of_the_golden_run(found, golden):
    assert found["tokenizer"] == golden["tokenizer"], "sentencepiece trains another vocabulary"
    assert found["rows"] == golden["rows"]


def test_losses_are_the_golden_ones(found, golden):
    assert found["losses"] == pytest.approx(golden["losses"], rel=LOSS_TOLERANCE)


def test_the_curve_falls(found):
    losses = found["losses"]
    fifths = [sum(losses[n : n + 4]) for n in range(0, STEPS, 4)]
    assert fifths == sorted(fifths, reverse=True)
    assert losses[-1] < 0.6 * losses[0]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        text = json.dumps(curve(Path(name)), indent=1)
    GOLDEN.write_text(text + "\n")
    print(GOLDEN, file=sys.stderr)
