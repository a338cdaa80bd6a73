"""Steps of Quipu's trainer: two documents a row, masked from each other, as packing makes them."""

import os
import socket
import subprocess
import sys
import time
from typing import Any

import numpy as np
import torch
import turns

from quipu.config import ModelConfig
from quipu.data.loading.mixture import LoaderRecipe, Source
from quipu.data.loading.row import Row
from quipu.train import start
from quipu.train.loop import Machine, of_machine
from quipu.train.placing import place
from quipu.train.ranks import MeshShape, Ranks, joined
from quipu.train.recipe import Optimisation, TrainRecipe
from quipu.train.step import Learner


def row_of(ids: np.ndarray) -> Row:
    count, length = ids.shape[0], ids.shape[1] - 1
    place_T = np.tile(np.arange(length), count)
    return Row(
        tokens_T=ids[:, :-1].reshape(-1),
        targets_T=ids[:, 1:].reshape(-1),
        positions_T=place_T % (length // 2),
        document_T=place_T // (length // 2),
    )


def main() -> None:
    work = turns.work()
    model = ModelConfig(
        dim=work.dim, layers=work.layers, heads=work.heads, kv_heads=work.kv_heads, ffn=work.ffn,
        vocab=work.vocab, context=work.row_tokens, rope_theta=1e4, tied=True,
    )  # fmt: skip
    recipe = TrainRecipe(
        name="speed",
        model=model,
        data=LoaderRecipe(sources=(Source(group="any"),), row_tokens=work.row_tokens),
        tokens=work.batch_tokens * 1000,
        batch_tokens=work.batch_tokens,
        dtype=work.dtype,
        products=work.products,
        optimisation=Optimisation(matrices=work.matrices),
    )
    launch(work)
    with joined(MeshShape(data=work.processes), work.device) as ranks:
        take_steps(work, recipe, ranks)


def launch(work: Any) -> None:
    """Start the other processes, which follow the first."""
    if work.processes == 1 or "RANK" in os.environ:
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    os.environ |= {"WORLD_SIZE": str(work.processes), "MASTER_ADDR": "127.0.0.1",
                   "MASTER_PORT": str(port)}  # fmt: skip
    for rank in range(1, work.processes):
        subprocess.Popen([sys.executable, *sys.argv], env={**os.environ, "RANK": str(rank)})
    os.environ["RANK"] = "0"


def take_steps(work: Any, recipe: TrainRecipe, ranks: Ranks) -> None:
    """A step whenever it is this trainer's turn."""
    weights = place(
        recipe.model, ranks, getattr(torch, work.dtype), compiled=work.compiled, recompute=False,
        fixed=recipe.products == "fixed",
    )  # fmt: skip
    start.fill(weights, recipe)
    machine = of_machine(Machine(), recipe)
    learner = Learner(weights, recipe, ranks, micro_tokens=machine.micro_tokens)
    number = 0
    while True:
        if ranks.leads:
            turns.wait()
        ranks.barrier()
        began = time.perf_counter()
        mine = np.array_split(turns.rows(work, number), work.processes)[ranks.data_rank]
        learner.step(row_of(mine), number)
        if ranks.leads:
            turns.told(began, work.device)
        number += 1


if __name__ == "__main__":
    main()
