"""The training loop learns, resumes exactly, and fails without losing what it had."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import small
from quipu.checkpoint.opening import open_checkpoint
from quipu.checkpoint.tensors import as_float32
from quipu.cli.recipes import override
from quipu.data.packing import NO_TARGET
from quipu.errors import TrainingError, UsageError
from quipu.train import checkpoint
from quipu.train.export import export
from quipu.train.loop import train
from quipu.train.step import Learner, learning_rate_factor


def _weights(folder):
    return torch.load(folder / "state.pt", weights_only=True)["model"]


def _run(recipe, folder, until=0):
    return list(train(recipe, folder, compiled=False, until=until))


def test_the_loss_falls_and_is_written_down(tmp_path):
    recipe = small.recipe(tmp_path / "corpus", steps=30)
    progress = _run(recipe, tmp_path / "run")
    assert progress[0].loss > 5.0  # about ln(vocab)
    assert progress[-1].loss < 3.5
    assert progress[-1].bits_per_byte is not None
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(1, 31))


def test_stopping_and_going_on_gives_the_weights_of_an_unbroken_run_bit_for_bit(tmp_path):
    recipe = small.recipe(tmp_path / "corpus", steps=8)
    _run(recipe, tmp_path / "whole")
    _run(recipe, tmp_path / "broken", until=4)
    _run(recipe, tmp_path / "broken")
    whole, broken = _weights(tmp_path / "whole"), _weights(tmp_path / "broken")
    assert all(torch.equal(whole[name], broken[name]) for name in whole)


def test_the_gradient_is_that_of_the_mean_over_all_trained_tokens(tmp_path, monkeypatch):
    """Micro-batches with unequal numbers of trained tokens weigh by token, not by micro-batch."""
    recipe = small.recipe(tmp_path / "corpus")
    from quipu.data.loader import Loader
    from quipu.model.transformer import Transformer, initialise
    from quipu.train import step
    from quipu.train.loop import Corpus

    corpus = Corpus.read(recipe)
    loader = Loader(
        corpus.train,
        small.tokenizer(),
        row_tokens=64,
        batch_rows=8,
        infilling=recipe.infilling,
        seed=1,
    )
    batch = loader.batch(0)
    batch.targets_T[:200] = NO_TARGET
    losses = []
    for micro in (512, 64):
        monkeypatch.setattr(step, "MICRO_TOKENS", micro)
        model = Transformer(recipe.model)
        initialise(model, torch.Generator().manual_seed(1))
        learner = Learner(model, recipe, compiled=False)
        losses.append(learner.step(batch, 0).loss)
        summed, count = learner.loss(batch)
        assert count == (batch.targets_T != NO_TARGET).sum()
        assert summed / count < losses[-1]  # one step on it has helped
    assert losses[0] == pytest.approx(losses[1], rel=2e-3)  # bf16 sums in another order


def test_the_learning_rate_warms_up_holds_and_decays(tmp_path):
    recipe = replace(small.recipe(tmp_path), tokens=512 * 1000)
    factor = [learning_rate_factor(step, recipe) for step in range(1000)]
    assert factor[0] < 0.05
    assert factor[200] == 1.0
    assert factor[999] == pytest.approx(0.02, abs=0.01)
    assert np.argmax(np.diff(factor) < 0) >= 399


def test_a_run_folder_of_another_recipe_is_refused(tmp_path):
    recipe = small.recipe(tmp_path / "corpus")
    _run(recipe, tmp_path / "run", until=1)
    with pytest.raises(TrainingError, match="another recipe"):
        _run(replace(recipe, seed=2), tmp_path / "run")


def test_a_folder_in_which_another_process_trains_is_refused(tmp_path):
    recipe = small.recipe(tmp_path / "corpus")
    running = train(recipe, tmp_path / "run", compiled=False)
    next(running)
    with pytest.raises(TrainingError, match="another process"):
        _run(recipe, tmp_path / "run")
    running.close()
    _run(recipe, tmp_path / "run", until=1)


def test_metrics_hold_each_step_once_even_if_steps_were_lost(tmp_path):
    recipe = small.recipe(tmp_path / "corpus", steps=4)
    _run(recipe, tmp_path / "run", until=2)
    metrics = tmp_path / "run" / "metrics.jsonl"
    metrics.write_text(metrics.read_text() + '{"step": 3}\n')  # computed, never saved
    _run(recipe, tmp_path / "run")
    assert [json.loads(line)["step"] for line in metrics.read_text().splitlines()] == [1, 2, 3, 4]


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_state(tmp_path):
    recipe = small.recipe(tmp_path / "corpus")
    _run(recipe, tmp_path / "run", until=2)
    before = _weights(tmp_path / "run")
    state = torch.load(tmp_path / "run" / "state.pt", weights_only=True)
    state["model"]["norm.weight"][:] = float("nan")
    torch.save(state, tmp_path / "run" / "state.pt")
    with pytest.raises(TrainingError, match="loss nan"):
        _run(recipe, tmp_path / "run")
    assert before.keys() == _weights(tmp_path / "run").keys()


def test_a_broken_state_is_refused_with_a_remedy(tmp_path):
    recipe = small.recipe(tmp_path / "corpus")
    _run(recipe, tmp_path / "run", until=1)
    (tmp_path / "run" / "state.pt").write_bytes(b"no state")
    with pytest.raises(TrainingError, match="delete this one"):
        _run(recipe, tmp_path / "run")


def test_a_full_disk_leaves_the_older_state_whole(tmp_path, monkeypatch):
    recipe = small.recipe(tmp_path / "corpus")
    _run(recipe, tmp_path / "run", until=1)
    before = (tmp_path / "run" / "state.pt").read_bytes()

    def full(_, path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint.torch, "save", full)
    with pytest.raises(TrainingError, match="previous state is intact"):
        _run(recipe, tmp_path / "run")
    assert (tmp_path / "run" / "state.pt").read_bytes() == before
    assert not (tmp_path / "run" / "state.pt.tmp").exists()


def test_a_run_exports_to_a_checkpoint_with_its_weights(tmp_path):
    recipe = small.recipe(tmp_path / "corpus")
    _run(recipe, tmp_path / "run", until=2)
    export(tmp_path / "run", tmp_path / "model")
    found = open_checkpoint(tmp_path / "model")
    assert found.config == recipe.model
    assert found.abilities.infill
    for name, weight in _weights(tmp_path / "run").items():
        assert (as_float32(found.read(name)) == weight.bfloat16().float().numpy()).all()


def test_exporting_what_is_no_run_says_so(tmp_path):
    with pytest.raises(TrainingError, match="quipu train"):
        export(tmp_path, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_settings_change_a_recipe_and_wrong_ones_are_named(tmp_path):
    recipe = small.recipe(tmp_path)
    changed = override(recipe, ["tokens=2e6", "infilling.rate=0.9", "name=other"])
    assert (changed.tokens, changed.infilling.rate, changed.name) == (2_000_000, 0.9, "other")
    for wrong in ("tokens", "nonsense=1", "tokens=many", "infilling.nonsense=1", "sources=1"):
        with pytest.raises(UsageError):
            override(recipe, [wrong])
