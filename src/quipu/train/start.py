"""What a stage begins with: fresh weights, a checkpoint in any layout, or a run before it."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from quipu.checkpoint.opening import open_checkpoint
from quipu.checkpoint.tensors import as_float32
from quipu.config import Abilities, ModelConfig
from quipu.counts import weight_shapes
from quipu.errors import CheckpointError, TrainingError
from quipu.model.transformer import initial_value
from quipu.train import checkpoint, folder
from quipu.train.lora import A, B, initial_adapter, merged
from quipu.train.placing import Weights
from quipu.train.recipe import TrainRecipe

VOCABULARY = ("tok_embeddings.weight", "output.weight")
INFILLING_PIECES = 16  # what Code Llama's vocabulary has more than Llama 2's


def fill(weights: Weights, recipe: TrainRecipe) -> None:
    """Give a placed model the weights its recipe begins with, one at a time.

    Raises TrainingError if those are of another shape, CheckpointError if they cannot be read.
    """
    if recipe.start:
        _check(recipe)
        found = _fitted(recipe, whole_weights(Path(recipe.start)))
    else:
        found = _fresh(recipe)
    for name, weight in found:
        weights.fill(name, weight)
    for name, master in weights.masters.items():
        if name.endswith((A, B)):
            weights.fill(name, initial_adapter(name, tuple(master.shape), recipe.seed))


def _fresh(recipe: TrainRecipe) -> Iterator[tuple[str, Tensor]]:
    for name, shape in weight_shapes(recipe.model):
        yield name, initial_value(recipe.model, name, shape, recipe.seed)


def _fitted(
    recipe: TrainRecipe, found: Iterator[tuple[str, Tensor]]
) -> Iterator[tuple[str, Tensor]]:
    """Weights with the recipe's vocabulary: the pieces of infilling come last, and come or go."""
    for name, weight in found:
        if name in VOCABULARY and weight.shape[0] != recipe.model.vocab:
            shape = (recipe.model.vocab, recipe.model.dim)
            whole = initial_value(recipe.model, name, shape, recipe.seed)
            kept = min(weight.shape[0], shape[0])
            whole[:kept] = weight[:kept]
            weight = whole
        yield name, weight


def whole_weights(start: Path) -> Iterator[tuple[str, Tensor]]:
    """Weights of a run's newest checkpoint (adapters merged) or of a model on disk, fp32."""
    if not is_run(start):
        found = open_checkpoint(start)
        for name in found.names():
            yield name, torch.from_numpy(as_float32(found.read(name)))
        return
    saved = checkpoint.saved(start)
    if not saved:
        raise TrainingError(f"run folder {start}", got="no checkpoint yet", remedy="train it first")
    yield from weights_at(start, saved[-1])


def weights_at(run: Path, saved: checkpoint.Saved) -> Iterator[tuple[str, Tensor]]:
    """Weights of one of a run's checkpoints, adapters merged, fp32."""
    lora = folder.lora_of(run)
    trained = checkpoint.weights_of(saved)
    if lora is None:
        yield from trained
    else:
        base = whole_weights(Path(folder.read_recipe(run)["start"]))
        yield from merged(base, dict(trained), lora)


def is_run(start: Path) -> bool:
    """Whether a path is a run folder rather than a model."""
    return (start / folder.RECIPE).is_file()


def config_of(start: Path) -> ModelConfig:
    """Configuration of a run's or a model's weights."""
    return folder.model_of(start) if is_run(start) else open_checkpoint(start).config


def abilities_of(start: Path) -> Abilities:
    """What a model on disk was trained for; of a run, also what it began with could do."""
    if not is_run(start):
        return open_checkpoint(start).abilities
    recipe = folder.read_recipe(start)
    before = abilities_of(Path(recipe["start"])) if recipe["start"] else Abilities()
    data = recipe["data"]
    return replace(
        before,
        infill=before.infill or data["infilling"]["rate"] > 0,
        chat=data.get("format", before.chat),  # which only recipes of dialogues have
    )


def tokenizer_files(start: Path) -> Mapping[str, bytes]:
    """Files of a run's or a model's tokenizer. Raises CheckpointError if a model has none."""
    if is_run(start):
        return folder.tokenizer_files(start)
    found = open_checkpoint(start).tokenizer_files()
    if not found:
        raise CheckpointError(
            f"{start} has no tokenizer",
            allowed="tokenizer.model or tokenizer.json beside the weights",
            remedy="put the model's own there",
        )
    return found


def _check(recipe: TrainRecipe) -> None:
    """Shapes must agree; a stage may change context, rotary base and the pieces of infilling."""
    found = config_of(Path(recipe.start))
    wrong = [
        f"{name} {getattr(found, name)}"
        for name in ("dim", "layers", "heads", "kv_heads", "ffn", "head_size", "tied")
        if getattr(found, name) != getattr(recipe.model, name)
    ]
    if abs(found.vocab - recipe.model.vocab) not in (0, INFILLING_PIECES):
        wrong.append(f"vocab {found.vocab}")
    if wrong:
        raise TrainingError(
            f"{recipe.start} does not fit the recipe's model",
            got=", ".join(wrong),
            allowed=f"the shape of {recipe.name}",
            remedy="start from weights of that shape, or set model.* to theirs",
        )
