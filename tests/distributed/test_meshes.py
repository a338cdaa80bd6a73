"""One process, two and four compute the same, however weights, rows and tokens are shared out."""

import json

import pytest
import torch

import processes
import small
from quipu.train import checkpoint, start
from quipu.train.loop import Machine, train
from quipu.train.ranks import MeshShape

# Sums in another order, fp32; grown by a few steps of Muon, which magnifies rounding.
LOSS_TOLERANCE = 2e-4
STEPS = 6

CODE = """
import sys
from pathlib import Path
import small
from quipu.train.loop import Machine, train
from quipu.train.ranks import MeshShape, launched_world
run, corpus, mesh, until = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
shape = MeshShape.parse(mesh, launched_world())
machine = Machine(compiled=False, mesh=shape, micro_tokens=128, tensorboard=False,
                  recompute="tensor" in mesh)
for _ in train(small.recipe(STEPS, model=small.EVEN), run, corpus, machine, until=until):
    pass
""".replace("STEPS", str(STEPS))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return small.corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def alone(tmp_path_factory, corpus):
    """The run of one process."""
    folder = tmp_path_factory.mktemp("alone")
    machine = Machine(compiled=False, tensorboard=False)
    for _ in train(small.recipe(STEPS, model=small.EVEN), folder, corpus, machine):
        pass
    return folder


def losses(folder):
    return [json.loads(line)["loss"] for line in (folder / "metrics.jsonl").open()]


def norms(folder):
    return [json.loads(line)["gradient_norm"] for line in (folder / "metrics.jsonl").open()]


@pytest.mark.parametrize(
    "mesh", ["data=2", "data=4", "context=2", "tensor=2", "data=2,context=2", "data=2,tensor=2"]
)
def test_any_mesh_has_the_losses_and_weights_of_one_process(tmp_path, corpus, alone, mesh):
    world = MeshShape.parse(mesh, 1).world
    processes.run(world, CODE, tmp_path, corpus, mesh, 0)
    assert losses(tmp_path) == pytest.approx(losses(alone), rel=LOSS_TOLERANCE)
    assert norms(tmp_path) == pytest.approx(norms(alone), rel=1e-2)
    whole, shared = dict(start.whole_weights(alone)), dict(start.whole_weights(tmp_path))
    for name, weight in whole.items():
        assert torch.nn.functional.cosine_similarity(
            weight.flatten(), shared[name].flatten(), dim=0
        ) > 0.999, name  # fmt: skip


def test_a_run_goes_on_on_another_mesh_with_the_same_rows(tmp_path, corpus, alone):
    processes.run(2, CODE, tmp_path, corpus, "data=2", 2)
    processes.run(4, CODE, tmp_path, corpus, "data=2,tensor=2", 4)
    machine = Machine(compiled=False, tensorboard=False)
    for _ in train(small.recipe(STEPS, model=small.EVEN), tmp_path, corpus, machine):
        pass
    assert checkpoint.saved(tmp_path)[-1].facts["mesh"]["data"] == 1
    assert losses(tmp_path) == pytest.approx(losses(alone), rel=LOSS_TOLERANCE)


def test_resuming_on_the_same_mesh_is_exact_to_the_bit(tmp_path, corpus):
    processes.run(2, CODE, tmp_path / "whole", corpus, "data=2", 0)
    processes.run(2, CODE, tmp_path / "broken", corpus, "data=2", 3)
    processes.run(2, CODE, tmp_path / "broken", corpus, "data=2", 0)
    assert losses(tmp_path / "whole") == losses(tmp_path / "broken")
    one, other = (dict(start.whole_weights(tmp_path / n)) for n in ("whole", "broken"))
    assert all(torch.equal(one[name], other[name]) for name in one)
