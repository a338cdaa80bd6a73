"""A trained run as a model that everything loads: Hugging Face's layout, bf16."""

from pathlib import Path

import torch

from quipu.checkpoint.hf import HfWriter
from quipu.checkpoint.staging import staged
from quipu.checkpoint.tensors import StoredTensor, TensorSpec, cast
from quipu.counts import weight_shapes
from quipu.errors import TrainingError
from quipu.train import checkpoint, folder, start


def export(run: Path, target: Path, *, overwrite: bool = False) -> None:
    """Write the newest weights of a run folder, adapters merged, as a model folder, or nothing.

    Raises TrainingError if the folder holds no run, CheckpointError if the target is not written.
    """
    folder.read_recipe(run)
    if not checkpoint.saved(run):
        raise TrainingError(
            f"run folder {run}",
            got="no checkpoint",
            remedy="train it first, with quipu train",
        )
    tokenizer = folder.tokenizer_files(run)
    config = folder.model_of(run)
    specs = {n: TensorSpec(dtype="bf16", shape=shape) for n, shape in weight_shapes(config)}
    abilities = start.abilities_of(run)
    with staged(target, overwrite=overwrite) as path:
        writer = HfWriter(path, config, abilities, specs, tokenizer, 1)
        for name, tensor in start.whole_weights(run):
            writer.write(name, cast(_stored(tensor), "bf16"))
        writer.finish()


def _stored(tensor: torch.Tensor) -> StoredTensor:
    return StoredTensor(dtype="f32", shape=tuple(tensor.shape), data=tensor.float().numpy())
