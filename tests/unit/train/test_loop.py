"""The training loop learns, resumes exactly, and fails without losing what it had."""

import json
import os
import signal
import threading
from dataclasses import replace

import pytest
import torch
import torch.distributed.checkpoint as dcp

import small
from quipu.checkpoint.opening import open_checkpoint
from quipu.checkpoint.tensors import as_float32
from quipu.cli.recipes import override
from quipu.errors import DataError, TrainingError, UsageError
from quipu.train import checkpoint, start
from quipu.train.export import export
from quipu.train.loop import Machine, StoppedError, train

MACHINE = Machine(compiled=False, save_every_s=1e9, tensorboard=False)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return small.corpus(tmp_path_factory.mktemp("corpus"))


def run(recipe, folder, corpus, until=0, machine=MACHINE):
    return list(train(recipe, folder, corpus, machine, until=until))


def weights(folder):
    return dict(start.whole_weights(folder))


def test_the_loss_falls_and_is_written_down(tmp_path, corpus):
    progress = run(small.recipe(30), tmp_path, corpus)
    assert progress[0].loss > 5.0  # about ln(vocab)
    assert progress[-1].loss < 3.0
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(1, 31))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_stopping_and_going_on_gives_the_weights_of_an_unbroken_run_bit_for_bit(
    tmp_path, corpus, dtype
):
    steps = 20 if dtype == "float32" else 4  # bf16 is slow where it is emulated
    recipe = small.recipe(steps, dtype=dtype)
    whole = run(recipe, tmp_path / "whole", corpus)
    broken = run(recipe, tmp_path / "broken", corpus, until=steps // 2)
    broken += run(recipe, tmp_path / "broken", corpus)
    assert [p.loss for p in whole] == [p.loss for p in broken]
    one, other = weights(tmp_path / "whole"), weights(tmp_path / "broken")
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_run_folder_of_another_recipe_is_refused_and_says_what_differs(tmp_path, corpus):
    run(small.recipe(), tmp_path, corpus, until=1)
    with pytest.raises(TrainingError, match=r"another recipe.*seed 1 -> 2"):
        run(small.recipe(seed=2), tmp_path, corpus)


def test_a_changed_corpus_is_refused(tmp_path, corpus):
    run(small.recipe(), tmp_path / "run", corpus, until=1)
    other = small.corpus(tmp_path / "other", count=20)
    with pytest.raises(DataError, match="other data"):
        run(small.recipe(), tmp_path / "run", other)


def test_a_corpus_that_is_too_small_is_refused_at_once(tmp_path, corpus):
    recipe = small.recipe(10_000)
    once = replace(recipe.data.sources[0], epochs=1.0)
    recipe = replace(recipe, data=replace(recipe.data, sources=(once,)))
    with pytest.raises(TrainingError, match="needs 80,000 rows"):
        run(recipe, tmp_path, corpus)


def test_a_folder_in_which_another_process_trains_is_refused(tmp_path, corpus):
    running = train(small.recipe(), tmp_path, corpus, MACHINE)
    next(running)
    with pytest.raises(TrainingError, match="another process"):
        run(small.recipe(), tmp_path, corpus)
    running.close()
    run(small.recipe(), tmp_path, corpus, until=1)


def test_metrics_hold_each_step_once_even_if_steps_were_lost(tmp_path, corpus):
    run(small.recipe(4), tmp_path, corpus, until=2)
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_text(metrics.read_text() + '{"step": 3}\n')  # computed, never saved
    run(small.recipe(4), tmp_path, corpus)
    assert [json.loads(line)["step"] for line in metrics.read_text().splitlines()] == [1, 2, 3, 4]


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_checkpoint(tmp_path, corpus):
    wild = small.recipe(400, optimisation=replace(small.recipe().optimisation, other_lr=1e30))
    machine = replace(MACHINE, save_every_s=0.0)
    with pytest.raises(TrainingError, match=r"loss (nan|inf)|norm (nan|inf)"):
        run(wild, tmp_path, corpus, machine=machine)
    assert checkpoint.saved(tmp_path)


def test_a_newest_checkpoint_that_is_broken_is_passed_over(tmp_path, corpus):
    machine = replace(MACHINE, save_every_s=0.0)
    run(small.recipe(6), tmp_path / "run", corpus, until=4, machine=machine)
    newest = checkpoint.saved(tmp_path / "run")[-1]
    assert newest.step == 4
    (part,) = newest.path.glob("*.distcp")
    size = part.stat().st_size
    part.write_bytes(b"?" * size)
    rest = run(small.recipe(6), tmp_path / "run", corpus, machine=machine)
    assert rest[0].step == 4
    whole = run(small.recipe(6), tmp_path / "whole", corpus)
    assert [p.loss for p in rest] == [p.loss for p in whole[3:]]


def test_a_truncated_checkpoint_is_none(tmp_path, corpus):
    run(small.recipe(6), tmp_path, corpus, until=2)
    (part,) = checkpoint.saved(tmp_path)[-1].path.glob("*.distcp")
    part.write_bytes(part.read_bytes()[:-1])
    assert checkpoint.saved(tmp_path) == []


def test_only_broken_checkpoints_are_refused_with_a_remedy(tmp_path, corpus):
    run(small.recipe(), tmp_path, corpus, until=1)
    (part,) = checkpoint.saved(tmp_path)[-1].path.glob("*.distcp")
    part.write_bytes(b"?" * part.stat().st_size)
    with pytest.raises(TrainingError, match="delete this one"):
        run(small.recipe(), tmp_path, corpus)


def test_a_full_disk_leaves_the_older_checkpoint_whole(tmp_path, corpus, monkeypatch):
    run(small.recipe(), tmp_path, corpus, until=1)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(dcp.FileSystemWriter, "write_data", full)
    with pytest.raises(TrainingError, match=r"No space left.*earlier checkpoints are intact"):
        run(small.recipe(), tmp_path, corpus)
    assert [one.step for one in checkpoint.saved(tmp_path)] == [1]
    assert not list((tmp_path / "checkpoints").glob(".*"))


def test_a_folder_that_cannot_be_written_is_refused(tmp_path, corpus):
    (tmp_path / "file").touch()
    with pytest.raises(TrainingError, match="can be written"):
        run(small.recipe(), tmp_path / "file" / "run", corpus)


def test_the_newest_checkpoints_and_milestones_are_kept(tmp_path, corpus):
    machine = replace(MACHINE, save_every_s=0.0)
    run(small.recipe(12, milestones=3), tmp_path, corpus, machine=machine)
    assert [one.step for one in checkpoint.saved(tmp_path)] == [4, 8, 10, 11, 12]


@pytest.mark.parametrize("which", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_stops_and_the_run_goes_on_from_there(tmp_path, corpus, which):
    running = train(small.recipe(6), tmp_path, corpus, MACHINE)
    assert [next(running).step, next(running).step] == [1, 2]
    os.kill(os.getpid(), which)
    with pytest.raises(StoppedError, match="after step 3 of 6"):
        next(running)
    assert [one.step for one in checkpoint.saved(tmp_path)] == [3]
    assert run(small.recipe(6), tmp_path, corpus)[0].step == 4


def test_training_beside_the_main_thread_needs_no_signals(tmp_path, corpus):
    found = []
    thread = threading.Thread(target=lambda: found.extend(run(small.recipe(2), tmp_path, corpus)))
    thread.start()
    thread.join()
    assert len(found) == 2


def test_a_run_exports_to_a_checkpoint_with_its_weights(tmp_path, corpus):
    run(small.recipe(2), tmp_path / "run", corpus)
    export(tmp_path / "run", tmp_path / "model")
    found = open_checkpoint(tmp_path / "model")
    assert found.config == small.recipe().model
    assert found.abilities.infill
    for name, weight in weights(tmp_path / "run").items():
        assert (as_float32(found.read(name)) == weight.bfloat16().float().numpy()).all()


def test_exporting_what_is_no_run_says_so(tmp_path):
    with pytest.raises(TrainingError, match="quipu train"):
        export(tmp_path, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_stage_starts_from_a_run_or_a_model_and_may_change_context_and_theta(tmp_path, corpus):
    run(small.recipe(2), tmp_path / "one", corpus)
    export(tmp_path / "one", tmp_path / "model")
    longer = replace(small.MODEL, context=128, rope_theta=1e6)
    firsts = []
    for name, origin in (("two", "one"), ("three", "model")):
        recipe = small.recipe(2, model=longer, start=str(tmp_path / origin))
        firsts.append(run(recipe, tmp_path / name, corpus)[0].loss)
    assert firsts[0] == pytest.approx(firsts[1], rel=1e-2)  # the model is rounded to bf16
    assert firsts[0] < 5.5
    deeper = small.recipe(2, model=replace(small.MODEL, layers=3), start=str(tmp_path / "one"))
    with pytest.raises(TrainingError, match=r"layers 2"):
        run(deeper, tmp_path / "no", corpus)


def test_settings_change_a_recipe_and_wrong_ones_are_named():
    recipe = small.recipe()
    changed = override(recipe, ["tokens=2e6", "data.infilling.rate=0.9", "name=other"])
    assert (changed.tokens, changed.data.infilling.rate, changed.name) == (2_000_000, 0.9, "other")
    for wrong in ("tokens", "nonsense=1", "tokens=many", "data.nonsense=1", "data.sources=1"):
        with pytest.raises(UsageError):
            override(recipe, [wrong])


def test_a_start_may_have_16_pieces_more_or_less_and_keeps_the_others(tmp_path, corpus):
    run(small.recipe(2), tmp_path / "one", corpus)
    wider = replace(small.MODEL, vocab=small.VOCAB + 16)
    recipe = small.recipe(1, model=wider, start=str(tmp_path / "one"))
    run(recipe, tmp_path / "wider", corpus)
    assert weights(tmp_path / "wider")["output.weight"].shape[0] == small.VOCAB + 16
    back = small.recipe(1, start=str(tmp_path / "wider"))
    assert run(back, tmp_path / "back", corpus)[0].loss < 5.7
    odd = small.recipe(
        1, model=replace(small.MODEL, vocab=small.VOCAB + 5), start=str(tmp_path / "one")
    )
    with pytest.raises(TrainingError, match="vocab 360"):
        run(odd, tmp_path / "odd", corpus)


def test_a_corpus_with_more_pieces_than_the_model_is_refused(tmp_path, corpus):
    narrow = small.recipe(1, model=replace(small.MODEL, vocab=300))
    with pytest.raises(TrainingError, match="360 pieces"):
        run(narrow, tmp_path, corpus)
