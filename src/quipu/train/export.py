"""A trained run as a model that everything loads: Hugging Face's layout, bf16."""

import json
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from quipu.checkpoint.hf import HfWriter
from quipu.checkpoint.staging import staged
from quipu.checkpoint.tensors import StoredTensor, TensorSpec, cast
from quipu.config import Abilities, ModelConfig, RopeScaling
from quipu.errors import TrainingError


def export(run: Path, target: Path, *, overwrite: bool = False) -> None:
    """Write the newest weights of a run folder as a model folder, all or nothing.

    Raises TrainingError if the folder holds no run, CheckpointError if the target is not written.
    """
    try:
        recipe = json.loads((run / "recipe.json").read_text())
        tokenizer = (run / "tokenizer.model").read_bytes()
        state = torch.load(run / "state.pt", weights_only=True)["model"]
    except (OSError, ValueError, RuntimeError, KeyError, UnpicklingError) as error:
        raise TrainingError(
            f"run folder {run}",
            got=str(error).splitlines()[0],
            allowed="a folder that quipu train has written",
        ) from error
    tensors = {name: _stored(tensor) for name, tensor in state.items()}
    specs = {name: TensorSpec(dtype="bf16", shape=t.shape) for name, t in tensors.items()}
    abilities = Abilities(infill=recipe["infilling"]["rate"] > 0)
    with staged(target, overwrite=overwrite) as path:
        writer = HfWriter(
            path, _config(recipe["model"]), abilities, specs, {"tokenizer.model": tokenizer}, 1
        )
        for name, tensor in tensors.items():
            writer.write(name, cast(tensor, "bf16"))
        writer.finish()


def _stored(tensor: torch.Tensor) -> StoredTensor:
    return StoredTensor(dtype="f32", shape=tuple(tensor.shape), data=tensor.float().numpy())


def _config(values: dict[str, Any]) -> ModelConfig:
    scaling = values.pop("rope_scaling")
    return ModelConfig(**values, rope_scaling=RopeScaling(**scaling) if scaling else None)
