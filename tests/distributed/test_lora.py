"""Adapters are trained alike by one process and by two, and frozen weights stay as they were."""

import json

import pytest
import torch

import processes
import small
from quipu.train import checkpoint, start
from quipu.train.loop import Machine, train
from quipu.train.lora import A, B
from quipu.train.recipe import Lora

# Sums in another order, fp32.
LOSS_TOLERANCE = 1e-5
ADAPTER_TOLERANCE = 1e-4  # of their largest; AdamW divides small gradients by their own size
STEPS = 6

CODE = """
import sys
from pathlib import Path
import small
from quipu.train.loop import Machine, train
from quipu.train.ranks import MeshShape, launched_world
from quipu.train.recipe import Lora
folder, corpus, base = map(Path, sys.argv[1:4])
for mesh in sys.argv[4:]:
    shape = MeshShape.parse(mesh, launched_world())
    machine = Machine(compiled=False, mesh=shape, micro_tokens=128, tensorboard=False)
    recipe = small.recipe(STEPS, model=small.EVEN, start=str(base), lora=Lora(rank=4, alpha=8.0))
    for _ in train(recipe, folder / mesh, corpus, machine):
        pass
""".replace("STEPS", str(STEPS))

MACHINE = Machine(compiled=False, tensorboard=False)


def losses(run):
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines]


def test_two_processes_train_the_adapters_of_one(tmp_path):
    corpus, base, alone = (tmp_path / name for name in ("corpus", "base", "alone"))
    small.corpus(corpus)
    for _ in train(small.recipe(10, model=small.EVEN), base, corpus, MACHINE):
        pass
    lora = Lora(rank=4, alpha=8.0)
    recipe = small.recipe(STEPS, model=small.EVEN, start=str(base), lora=lora)
    for _ in train(recipe, alone, corpus, MACHINE):
        pass
    meshes = ("data=2", "context=2")
    processes.run(2, CODE, tmp_path, corpus, base, *meshes)
    before = dict(start.whole_weights(base))
    wanted = dict(checkpoint.weights_of(checkpoint.saved(alone)[-1]))
    for mesh in meshes:
        run = tmp_path / mesh
        assert losses(run) == pytest.approx(losses(alone), rel=LOSS_TOLERANCE)
        found = dict(checkpoint.weights_of(checkpoint.saved(run)[-1]))
        assert found.keys() == wanted.keys()
        assert all(name.endswith((A, B)) for name in found)
        for name, adapter in found.items():
            size = float(wanted[name].abs().max())
            torch.testing.assert_close(adapter, wanted[name], rtol=0, atol=ADAPTER_TOLERANCE * size)
        for name, weight in start.whole_weights(run):
            adapted = f"{name.removesuffix('weight')}{A}" in found
            assert torch.equal(weight, before[name]) != adapted
