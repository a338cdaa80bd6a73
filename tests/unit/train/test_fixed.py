"""Training with products in fixed point: where, under which names, with which losses."""

import numpy as np
import pytest
import torch

import small
from quipu.errors import TrainingError, UsageError
from quipu.model.fixed import FixedLinear, linear, pays
from quipu.model.transformer import Transformer
from quipu.native import ISA
from quipu.train import start
from quipu.train.loop import Machine, open_rows, train
from quipu.train.lora import adapt
from quipu.train.placing import fix, place
from quipu.train.ranks import MeshShape, Ranks
from quipu.train.recipe import Lora
from quipu.train.speed import peak_flops
from quipu.train.step import Learner

# Losses of twenty steps, each on weights that differ a little: AdamW's first steps go by the signs
# of gradients, and small ones turn.
LOSS_TOLERANCE = 5e-3
MACHINE = Machine(compiled=False, save_every_s=1e9, tensorboard=False)
CPU = torch.device("cpu")

needs_kernels = pytest.mark.skipif(not pays(CPU), reason="no kernels for fixed point here")


@needs_kernels
def test_all_matrices_of_blocks_are_fixed_under_their_own_names():
    plain, fixed = Transformer(small.MODEL), Transformer(small.MODEL)
    fix(fixed)
    assert plain.state_dict().keys() == fixed.state_dict().keys()
    for block in fixed.layers:
        assert sum(isinstance(module, FixedLinear) for module in block.modules()) == 7
    adapted = Transformer(small.MODEL)
    adapt(adapted, Lora(rank=2))
    fix(adapted)
    wq = adapted.layers[0].attention.wq
    assert wq.linear is linear


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return small.corpus(tmp_path_factory.mktemp("corpus"))


def losses(folder, corpus, **changed):
    recipe = small.recipe(20, **changed)
    return [step.loss for step in train(recipe, folder, corpus, MACHINE)]


@needs_kernels
@pytest.mark.parametrize("lora", [None, Lora(rank=4)])
def test_training_follows_fp32_and_repeats_itself_to_the_bit(tmp_path, corpus, lora):
    plain = losses(tmp_path / "plain", corpus, lora=lora)
    fixed = [losses(tmp_path / name, corpus, products="fixed", lora=lora) for name in "ab"]
    assert fixed[0] == fixed[1] != plain
    np.testing.assert_allclose(fixed[0], plain, rtol=LOSS_TOLERANCE)


def test_without_kernels_products_are_plain(tmp_path, corpus, monkeypatch):
    monkeypatch.setenv(ISA, "portable")
    assert losses(tmp_path / "fixed", corpus, products="fixed") == losses(
        tmp_path / "plain", corpus
    )
    assert not pays(torch.device("cuda"))


@needs_kernels
def test_what_is_no_number_ends_the_run(corpus):
    recipe = small.recipe(2, products="fixed")
    ranks = Ranks(MeshShape(), CPU)
    weights = place(recipe.model, ranks, torch.float32, compiled=False, recompute=False, fixed=True)
    start.fill(weights, recipe)
    name = next(n for n in weights.masters if n.endswith("wo.weight"))
    with torch.no_grad():
        weights.masters[name][0, 0] = float("nan")
    learner = Learner(weights, recipe, ranks, micro_tokens=512)
    with pytest.raises(TrainingError, match="loss nan"):
        learner.step(open_rows(recipe, corpus).batch(0, recipe.batch_rows), 0)


@needs_kernels
def test_settings_that_do_not_go_together_are_refused():
    with pytest.raises(UsageError, match="dtype=float32"):
        small.recipe(2, products="fixed", dtype="bfloat16")
    split = Ranks(MeshShape(tensor=2), CPU)
    with pytest.raises(UsageError, match="products=plain"):
        place(
            small.recipe(2).model, split, torch.float32, compiled=False, recompute=False, fixed=True
        )


def test_the_peak_of_a_processor_is_that_of_its_own_products():
    for fixed in (False, True):
        assert peak_flops(CPU, torch.float32, fixed=fixed) > 1e8
