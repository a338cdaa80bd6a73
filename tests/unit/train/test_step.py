"""One step: every trained token weighs the same, outliers change nothing, gradients are clipped."""

from dataclasses import replace

import pytest
import torch

import small
from quipu.data.loading.row import NO_TARGET
from quipu.errors import UsageError
from quipu.train import start
from quipu.train.loop import open_rows
from quipu.train.placing import place
from quipu.train.ranks import MeshShape, Ranks
from quipu.train.recipe import LearningRate, Optimisation
from quipu.train.step import OUTLIER_LEAST, Learner, Outliers

ALONE = Ranks(MeshShape(), torch.device("cpu"))


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    return open_rows(small.recipe(), small.corpus(tmp_path_factory.mktemp("c"))).batch(0, 8)


def learner(micro_tokens=512, recompute=False, **changed):
    recipe = small.recipe(**changed)
    weights = place(
        recipe.model, ALONE, getattr(torch, recipe.dtype), compiled=False, recompute=recompute
    )
    start.fill(weights, recipe)
    return Learner(weights, recipe, ALONE, micro_tokens=micro_tokens)


def after_a_step(batch, **how):
    made = learner(**how)
    metrics = made.step(batch, 0)
    return metrics, {name: master.detach() for name, master in made.weights.masters.items()}


def test_the_gradient_is_that_of_the_mean_over_all_trained_tokens(batch):
    """Micro-batches with unequal numbers of trained tokens weigh by token, not by micro-batch."""
    uneven = replace(batch, targets_T=batch.targets_T.copy())
    uneven.targets_T[:200] = NO_TARGET
    whole, parts = (after_a_step(uneven, micro_tokens=micro) for micro in (512, 64))
    assert whole[0].loss == pytest.approx(parts[0].loss, rel=1e-5)
    assert whole[0].gradient_norm == pytest.approx(parts[0].gradient_norm, rel=1e-4)
    assert whole[0].trained_tokens == int((uneven.targets_T != NO_TARGET).sum())
    for name, weight in whole[1].items():
        torch.testing.assert_close(weight, parts[1][name], rtol=1e-3, atol=1e-4)


def test_recomputed_activations_change_nothing(batch):
    kept, again = (after_a_step(batch, recompute=recompute) for recompute in (False, True))
    assert kept[0] == again[0]
    assert all(torch.equal(weight, again[1][name]) for name, weight in kept[1].items())


def test_a_step_on_a_batch_lowers_its_loss(batch):
    made = learner()
    made.step(batch, 4)
    summed, count = made.loss(batch)
    assert count == int((batch.targets_T != NO_TARGET).sum())
    assert summed / count < made.step(batch, 5).loss + 1e-3
    assert made.loss(batch)[0] < summed


def test_the_gradient_is_clipped_to_the_recipes_norm(batch):
    made = learner(optimisation=Optimisation(clip=0.01, matrices="adamw"))
    made.step(batch, 0)
    grads = [master.grad for master in made.weights.masters.values()]
    assert torch.cat([g.flatten() for g in grads]).norm() == pytest.approx(0.01, rel=1e-3)


def test_outliers_are_judged_by_the_steps_before():
    judge = Outliers(6.0)
    assert not any(judge.beyond(2.0 + 0.01 * (i % 3), 1.0) for i in range(OUTLIER_LEAST))
    assert not judge.beyond(2.02, 1.0)
    assert judge.beyond(9.0, 1.0)
    assert judge.beyond(2.0, 50.0)
    again = Outliers(6.0, judge.seen)
    assert again.seen == judge.seen
    assert not Outliers(0.0, judge.seen).beyond(1e9, 1e9)


def test_an_outlier_leaves_weights_and_optimiser_as_they_were(batch):
    made = learner()
    made.step(batch, 0)
    made.outliers = Outliers(6.0, [[1e-3 * (i % 2), 1e-3] for i in range(OUTLIER_LEAST)])
    before = {name: value.clone() for name, value in made.state().items()}
    assert made.step(batch, 1).skipped
    assert all(torch.equal(before[name], value) for name, value in made.state().items())


@pytest.mark.parametrize("kind", ["wsd", "cosine"])
def test_the_learning_rate_warms_up_and_ends_at_its_floor(kind):
    rate = LearningRate(kind=kind, warmup_steps=30, decay=0.6, floor=0.02)
    factors = [rate.factor(step, 1000) for step in range(1000)]
    assert factors[0] == pytest.approx(1 / 30)
    assert factors[29] == 1.0
    assert factors[-1] == pytest.approx(0.02, abs=0.005)
    falls = [step for step in range(1, 1000) if factors[step] < factors[step - 1]]
    assert falls[0] == (401 if kind == "wsd" else 31)
    assert falls == list(range(falls[0], 1000))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"batch_tokens": 100}, "batch_tokens"),
        ({"tokens": 10}, "tokens"),
        ({"model": replace(small.MODEL, context=32)}, "context"),
        ({"dtype": "float16"}, "dtype"),
        ({"optimisation": Optimisation(matrices="sgd")}, "optimisation.matrices"),  # type: ignore[arg-type]
    ],
)
def test_a_recipe_that_cannot_be_is_refused(changed, message):
    with pytest.raises(UsageError, match=message):
        small.recipe(**changed)


def test_meshes_are_read_and_wrong_ones_named():
    assert MeshShape.parse("", 4) == MeshShape(data=4)
    assert MeshShape.parse("tensor=2", 8) == MeshShape(data=4, tensor=2)
    assert MeshShape.parse("data=2,context=2", 4) == MeshShape(data=2, context=2)
    for wrong in ("rows=2", "data", "data=0", "data=x"):
        with pytest.raises(UsageError, match="mesh"):
            MeshShape.parse(wrong, 1)
