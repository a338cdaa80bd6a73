"""Adapters begin as nothing, alone are trained, and merge into a plain model."""

import pytest
import torch

import small
from quipu.errors import UsageError
from quipu.train import checkpoint, start
from quipu.train.export import export
from quipu.train.loop import Machine, open_rows, train
from quipu.train.lora import A, B
from quipu.train.placing import place
from quipu.train.ranks import MeshShape, Ranks
from quipu.train.recipe import Lora
from quipu.train.step import Learner

MACHINE = Machine(compiled=False, save_every_s=1e9, tensorboard=False)
# W x + B (A x) against (W + B A) x, fp32 sums in another order.
MERGED_TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return small.corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def base(tmp_path_factory, corpus):
    folder = tmp_path_factory.mktemp("base")
    for _ in train(small.recipe(10), folder, corpus, MACHINE):
        pass
    return folder


def adapted(base, steps=6):
    return small.recipe(steps, name="adapted", start=str(base), lora=Lora(rank=4, alpha=8.0))


def run(recipe, folder, corpus, until=0):
    return list(train(recipe, folder, corpus, MACHINE, until=until))


def loss_of(folder, recipe, corpus):
    """Loss of a run's whole weights in a plain model, on one batch."""
    plain = small.recipe(recipe.steps, start=str(folder))
    ranks = Ranks(MeshShape(), torch.device("cpu"))
    weights = place(plain.model, ranks, torch.float32, compiled=False, recompute=False)
    start.fill(weights, plain)
    learner = Learner(weights, plain, ranks, micro_tokens=512)
    nats, count = learner.loss(open_rows(plain, corpus).batch(recipe.steps, 8))
    return nats / count


def test_training_begins_with_the_model_as_it_was(tmp_path, corpus, base):
    first = run(adapted(base), tmp_path / "lora", corpus, until=1)[0]
    plain = run(small.recipe(6, start=str(base)), tmp_path / "plain", corpus, until=1)[0]
    assert first.loss == pytest.approx(plain.loss, rel=1e-5)


def test_checkpoints_hold_adapters_alone_and_merge_into_what_was_trained(tmp_path, corpus, base):
    recipe = adapted(base)
    run(recipe, tmp_path / "run", corpus)
    trained = dict(checkpoint.weights_of(checkpoint.saved(tmp_path / "run")[-1]))
    assert all(name.endswith((A, B)) for name in trained)
    before, after = dict(start.whole_weights(base)), dict(start.whole_weights(tmp_path / "run"))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name.replace(A, "weight") for name in trained if name.endswith(A)}
    assert loss_of(tmp_path / "run", recipe, corpus) < loss_of(base, recipe, corpus)
    export(tmp_path / "run", tmp_path / "model")
    assert dict(start.whole_weights(tmp_path / "model")).keys() == before.keys()


def test_the_merged_model_computes_what_the_adapted_one_did(tmp_path, corpus, base):
    recipe = adapted(base)
    run(recipe, tmp_path / "run", corpus)
    going_on = small.recipe(7, name="adapted", start=str(base), lora=recipe.lora)
    (tmp_path / "run" / "recipe.json").unlink()  # one step more, to see its loss
    last = run(going_on, tmp_path / "run", corpus)[-1]
    saved = checkpoint.saved(tmp_path / "run")
    assert [one.step for one in saved] == [6, 7]
    for path in saved[-1].path.iterdir():
        path.unlink()
    merged = loss_of(tmp_path / "run", recipe, corpus)
    assert merged == pytest.approx(last.loss, abs=MERGED_TOLERANCE)


def test_resuming_is_exact_with_frozen_weights_from_the_start(tmp_path, corpus, base):
    whole = run(adapted(base), tmp_path / "whole", corpus)
    broken = run(adapted(base), tmp_path / "broken", corpus, until=3)
    broken += run(adapted(base), tmp_path / "broken", corpus)
    assert [p.loss for p in whole] == [p.loss for p in broken]


def test_adapters_and_split_matrices_do_not_go_together(base):
    ranks = Ranks(MeshShape(tensor=2), torch.device("cpu"))
    recipe = adapted(base)
    from quipu.train.lora import adapt

    with pytest.raises(UsageError, match="data="):
        place(
            recipe.model, ranks, torch.float32, compiled=False, recompute=False,
            adapt=lambda model: adapt(model, recipe.lora),
        )  # fmt: skip
