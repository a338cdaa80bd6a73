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
NORM_TOLERANCE = 1e-2
# Products in fixed point round to 4e-4, by stretches that follow how rows are shared out.
FIXED_TOLERANCE = 2e-3
STEPS = 6

CODE = """
import sys
from pathlib import Path
import small
from quipu.train.loop import Machine, train
from quipu.train.ranks import MeshShape, launched_world
folder, corpus, until = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
products = sys.argv[4]
for mesh in sys.argv[5:]:
    shape = MeshShape.parse(mesh, launched_world())
    machine = Machine(compiled=False, mesh=shape, micro_tokens=128, tensorboard=False,
                      recompute="tensor" in mesh)
    for _ in train(small.recipe(STEPS, model=small.EVEN, products=products), folder / mesh,
                   corpus, machine, until=until):
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


def column(folder, name):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)[name] for line in lines]


@pytest.mark.parametrize(
    "meshes",
    [("data=2", "context=2", "tensor=2"), ("data=4", "data=2,context=2", "data=2,tensor=2")],
    ids=["two processes", "four processes"],
)
def test_any_mesh_has_the_losses_and_weights_of_one_process(tmp_path, corpus, alone, meshes):
    world = MeshShape.parse(meshes[0], 1).world
    processes.run(world, CODE, tmp_path, corpus, 0, "plain", *meshes)
    whole = dict(start.whole_weights(alone))
    for mesh in meshes:
        run = tmp_path / mesh
        assert column(run, "loss") == pytest.approx(column(alone, "loss"), rel=LOSS_TOLERANCE)
        norms = [column(folder, "gradient_norm") for folder in (run, alone)]
        assert norms[0] == pytest.approx(norms[1], rel=NORM_TOLERANCE)
        for name, weight in start.whole_weights(run):
            both = weight.flatten(), whole[name].flatten()
            assert torch.cosine_similarity(*both, dim=0) > 0.999, (mesh, name)


def test_a_run_goes_on_on_another_mesh_with_the_same_rows(tmp_path, corpus, alone):
    (tmp_path / "data=2,tensor=2").symlink_to(tmp_path / "data=2")
    processes.run(2, CODE, tmp_path, corpus, 2, "plain", "data=2")
    processes.run(4, CODE, tmp_path, corpus, 4, "plain", "data=2,tensor=2")
    machine = Machine(compiled=False, tensorboard=False)
    run = tmp_path / "data=2"
    for _ in train(small.recipe(STEPS, model=small.EVEN), run, corpus, machine):
        pass
    assert checkpoint.saved(run)[-1].facts["mesh"]["data"] == 1
    assert column(run, "loss") == pytest.approx(column(alone, "loss"), rel=LOSS_TOLERANCE)


def test_products_in_fixed_point_are_shared_out_too(tmp_path, corpus, alone):
    meshes = ("data=2", "context=2")
    processes.run(2, CODE, tmp_path, corpus, 0, "fixed", *meshes)
    for mesh in meshes:
        losses = column(tmp_path / mesh, "loss")
        assert losses == pytest.approx(column(alone, "loss"), rel=FIXED_TOLERANCE)


def test_resuming_on_the_same_mesh_is_exact_to_the_bit(tmp_path, corpus):
    processes.run(2, CODE, tmp_path / "whole", corpus, 0, "plain", "data=2")
    for until in (3, 0):
        processes.run(2, CODE, tmp_path / "broken", corpus, until, "plain", "data=2")
    runs = [tmp_path / name / "data=2" for name in ("whole", "broken")]
    assert column(runs[0], "loss") == column(runs[1], "loss")
    one, other = (dict(start.whole_weights(run)) for run in runs)
    assert all(torch.equal(one[name], other[name]) for name in one)
