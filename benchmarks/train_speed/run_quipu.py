"""Steps of Quipu's trainer: two documents a row, masked from each other, as packing makes them."""

import time

import numpy as np
import torch
import turns

from quipu.config import ModelConfig
from quipu.data.loading.mixture import LoaderRecipe, Source
from quipu.data.loading.row import Row
from quipu.train import start
from quipu.train.loop import Machine, of_machine
from quipu.train.placing import place
from quipu.train.ranks import MeshShape, Ranks
from quipu.train.recipe import TrainRecipe
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
    )
    ranks = Ranks(MeshShape(), torch.device(work.device))
    weights = place(
        model, ranks, getattr(torch, work.dtype), compiled=work.compiled, recompute=False
    )
    start.fill(weights, recipe)
    machine = of_machine(Machine(), recipe)
    learner = Learner(weights, recipe, ranks, micro_tokens=machine.micro_tokens)
    number = 0
    while True:
        turns.wait()
        began = time.perf_counter()
        learner.step(row_of(turns.rows(work, number)), number)
        turns.told(began, work.device)
        number += 1


if __name__ == "__main__":
    main()
