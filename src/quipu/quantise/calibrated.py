"""A model's matrices fitted to text, one layer after the other.

The tokens' activations pass through a layer twice: with the source's weights, to see what its
matrices are fed; then with the fitted ones, so that later layers are fitted to what they will get.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from quipu.checkpoint.checkpoint import Checkpoint
from quipu.checkpoint.conversion import Casts
from quipu.checkpoint.tensors import StoredTensor, TensorSpec, as_float32, cast
from quipu.config import ModelConfig
from quipu.errors import TokenizerError
from quipu.quantise.forward import Floats, Forward, LayerInputs, NativeForward
from quipu.quantise.solver import fit
from quipu.quantise.text import LENGTH, read_tokens
from quipu.text.tokenizer import Tokenizer

# Matrices by what they are fed, in the order of LayerInputs.
_FED = (("wq", "wk", "wv"), ("wo",), ("w1", "w3"), ("w2",))
_COUNTS = ((1024, 128), (2048, 64))  # (width up to, sequences); larger models learn from fewer
_FEWEST = 32


def sequences_for(config: ModelConfig) -> int:
    """How many sequences are enough for a model: time grows with them, quality hardly."""
    return next((count for width, count in _COUNTS if config.dim <= width), _FEWEST)


def calibrated_on(source: Checkpoint, text: Path | None) -> "Calibrated":
    """For a model and a file or folder of text; None: the standard library of this interpreter.

    Raises TokenizerError for a model without tokenizer, UsageError for a text that is too short.
    """
    config, files = source.config, source.tokenizer_files()
    if not files:
        raise TokenizerError(
            f"{source.path}: no tokenizer, and calibration needs one",
            remedy="add its files to the model, or take --calibrate none",
        )
    tokenizer = Tokenizer.from_files(files)
    length = min(LENGTH, config.context)
    return Calibrated(read_tokens(tokenizer, text, count=sequences_for(config), length=length))


class Calibrated:
    """Implements `conversion.Rounding`: q4_0 weights of layers are fitted, all others are cast.

    Needs memory for the activations of all tokens and for one layer beside what a conversion needs.
    """

    def __init__(
        self,
        tokens_ST: npt.NDArray[np.int32],
        forward: Callable[[ModelConfig, int], Forward] = NativeForward,
    ) -> None:
        self._tokens_ST = tokens_ST
        self._forward = forward

    def tensors(
        self, source: Checkpoint, specs: Mapping[str, TensorSpec]
    ) -> Iterator[tuple[str, StoredTensor]]:
        """Every weight in its format, in the order of computation."""
        if not any(_to_fit(source, name, spec) for name, spec in specs.items()):
            yield from Casts().tensors(source, specs)
            return
        forward = self._forward(source.config, self._tokens_ST.shape[1])
        embedding = cast(source.read("tok_embeddings.weight"), specs["tok_embeddings.weight"].dtype)
        yield "tok_embeddings.weight", embedding
        x_STD = _rows(embedding, self._tokens_ST)
        del embedding
        for layer in range(source.config.layers):
            yield from self._layer(source, specs, forward, f"layers.{layer}.", x_STD)
        for name in specs:
            if not name.startswith(("layers.", "tok_embeddings.")):
                yield name, cast(source.read(name), specs[name].dtype)

    def _layer(
        self,
        source: Checkpoint,
        specs: Mapping[str, TensorSpec],
        forward: Forward,
        prefix: str,
        x_STD: Floats,
    ) -> Iterator[tuple[str, StoredTensor]]:
        names = {name.split(".")[-2]: name for name in specs if name.startswith(prefix)}
        weights = {part: source.read(name) for part, name in names.items()}
        forward.load(weights)
        hessians = _moments(forward, x_STD)
        for parts, hessian_II in zip(_FED, hessians, strict=True):
            for part in parts:
                if _to_fit(source, names[part], specs[names[part]]):
                    weights[part] = fit(as_float32(weights[part]), hessian_II).stored()
        for part, name in names.items():
            weights[part] = cast(weights[part], specs[name].dtype)
            yield name, weights[part]
        forward.load(weights)
        for x_TD in x_STD:
            forward.run(x_TD)


def _to_fit(source: Checkpoint, name: str, spec: TensorSpec) -> bool:
    return name.startswith("layers.") and spec.dtype == "q4_0" != source.spec(name).dtype


def _rows(embedding: StoredTensor, tokens_ST: npt.NDArray[np.int32]) -> Floats:
    ids, inverse = np.unique(tokens_ST, return_inverse=True)
    used = StoredTensor(
        dtype=embedding.dtype, shape=(len(ids), embedding.shape[1]), data=embedding.data[ids]
    )
    return as_float32(used)[inverse.reshape(tokens_ST.shape)]


def _moments(forward: Forward, x_STD: Floats) -> list[Floats]:
    """X^T X of each of the four inputs, by the number of tokens."""
    sums: list[Floats] = []
    for x_TD in x_STD:
        inputs = forward.run(x_TD.copy())
        if not sums:
            sums = [np.zeros((x.shape[1],) * 2, np.float32) for x in inputs]
        _add_products(sums, inputs)
    count = np.float32(x_STD.shape[0] * x_STD.shape[1])
    return [total / count for total in sums]


def _add_products(sums: list[Floats], inputs: LayerInputs) -> None:
    for total, x in zip(sums, inputs, strict=True):
        total += x.T @ x
