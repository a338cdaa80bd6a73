"""The family's slot, on a small size and a small corpus: from pieces to a file that runs."""

import json
import lzma
from dataclasses import asdict, replace

import pytest

import small
from quipu.data.tokens.texts import Text
from quipu.llm import load
from quipu.train.recipe import Optimisation
from quipu_recipes import family, slot

GROUPS = ("python", "text", "prose", "exercises", *family.OTHERS)


@pytest.fixture(autouse=True)
def size(monkeypatch):
    """A size of the family that trains in seconds."""
    made = replace(
        family.FAMILY["6m"],
        model=replace(small.MODEL, context=64, tied=True),
        batch_tokens=256,
        row_tokens=64,
        long_tokens=128,
        last_row_tokens=128,
        optimisation=Optimisation(),
        warmup_steps=1,
    )
    monkeypatch.setitem(family.FAMILY, "small", made)
    monkeypatch.setattr(slot, "TRIAL_STEPS", 3)
    monkeypatch.setattr(slot, "WARM_STEPS", 1)


@pytest.fixture
def piece(tmp_path):
    folder = tmp_path / "piece-00"
    folder.mkdir()
    (folder / "tokenizer.model").write_bytes(small.tokenizer_model())
    for place, group in enumerate((*GROUPS, "held-out-python")):
        with lzma.open(folder / f"{group}-00000.xz", "wt") as file:
            for number in range(8):
                text = Text(
                    number=100 * place + number,
                    text=small.source(100 * place + number),
                    package="p",
                    licence="MIT",
                )
                file.write(json.dumps(asdict(text)) + "\n")
    return folder


def run(piece, folder, *options):
    return slot.main(
        [
            *("--pieces", str(piece), "--work", str(folder / "work"), "--out", str(folder / "out")),
            *("--size", "small", "--device", "cpu", "--micro-tokens", "256", "--rows", "2"),
            *("--lines", "2", "--no-compile", *options),
        ]
    )


def test_a_slot_ends_with_a_model_that_runs(piece, tmp_path, capsys):
    assert run(piece, tmp_path, "--tokens", "4096") == 0
    parts = sorted((tmp_path / "out").glob("model.quipu.part-*"))
    whole = tmp_path / "model.quipu"
    whole.write_bytes(b"".join(part.read_bytes() for part in parts))
    assert len(load(whole).complete("def ", max_tokens=4).token_ids) > 0
    assert (tmp_path / "out" / "logs.tar.xz").stat().st_size > 500
    said = capsys.readouterr().out
    assert "python 3 of 3" in said
    assert "bits per byte: python" in said


def test_a_slot_that_ends_too_soon_goes_on_in_the_next(piece, tmp_path, capsys):
    assert run(piece, tmp_path, "--tokens", "400000", "--minutes", "0.1") == 3
    assert "time is up" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()
    plan = tmp_path / "work" / "plan.json"
    assert json.loads(plan.read_text())["tokens"] == 400_000
    # The plan stands: another number now would be another recipe.
    assert run(piece, tmp_path, "--tokens", "1", "--minutes", "0.05") == 3


def test_a_trial_decides_how_much_fits(piece, tmp_path, capsys):
    assert run(piece, tmp_path, "--minutes", "0") == 3
    said = capsys.readouterr().out
    assert "tokens a second: 1 tokens" in said  # no time is left, and a step is the least
    assert "stopped before code" in said
    assert run(piece, tmp_path, "--minutes", "2") == 0
    assert "python 1 of 1" in capsys.readouterr().out
