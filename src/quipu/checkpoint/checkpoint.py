"""An open checkpoint, whatever its layout: where each weight lies, and how to read just one."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from quipu.checkpoint.files import FETCH_AGAIN, read_into
from quipu.checkpoint.names import Layout, our_name
from quipu.checkpoint.rotary import to_halves
from quipu.checkpoint.tensors import PLAIN, QUANTISED, Array, StoredTensor, TensorSpec
from quipu.config import Abilities, ModelConfig
from quipu.counts import weight_shapes
from quipu.errors import CheckpointError


@dataclass(frozen=True, kw_only=True)
class Part:
    """Contiguous bytes in a file: a weight, or one model-parallel share of it."""

    path: Path
    offset: int
    spec: TensorSpec

    def read(self) -> Array:
        """The bytes as an array. Raises CheckpointError if the file ends before."""
        data = self.spec.empty()
        read_into(self.path, self.offset, data)
        return data


@dataclass(frozen=True, kw_only=True)
class Weight:
    """Where one of our weights lies: its parts, joined along `axis`; norms are read from one."""

    parts: tuple[Part, ...]
    axis: int = 0
    neighbour_heads: int = 0  # heads whose rotary pairs lie as neighbours; 0: rows as we want them

    @property
    def spec(self) -> TensorSpec:
        """Storage format, and shape of the joined parts."""
        first = self.parts[0].spec
        if len(self.parts) == 1:
            return first
        shape = list(first.shape)
        shape[self.axis] = sum(part.spec.shape[self.axis] for part in self.parts)
        return TensorSpec(dtype=first.dtype, shape=tuple(shape))

    def read(self) -> StoredTensor:
        """The joined parts, rows in our rotary order."""
        spec = self.spec
        data = self.parts[0].read() if len(self.parts) == 1 else self._joined(spec)
        if self.neighbour_heads:
            data = to_halves(data, self.neighbour_heads)
        return StoredTensor(dtype=spec.dtype, shape=spec.shape, data=data)

    def _joined(self, spec: TensorSpec) -> Array:
        data, start = spec.empty(), 0
        for part in self.parts:
            end = start + part.spec.shape[self.axis]
            if self.axis == 0:
                read_into(part.path, part.offset, data[start:end])
            else:
                data[:, start:end] = part.read()
            start = end
        return data


class Stored(Protocol):
    """A weight in a file, in whatever form."""

    @property
    def spec(self) -> TensorSpec:
        """Storage format and shape."""

    def read(self) -> StoredTensor:
        """The weight, rows in our rotary order."""


W = TypeVar("W", bound=Stored)


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A readable model on disk. Weights go by our names and have our rotary order.

    Reading a weight allocates that weight alone; nothing is mapped and no file stays open. What
    is mapped, where a layout allows it, is what `packing.read_packed` gives.
    """

    layout: Layout
    path: Path
    name: str
    config: ModelConfig
    abilities: Abilities
    weights: Mapping[str, Stored]
    load_tokenizer_files: Callable[[], Mapping[str, bytes]]

    def names(self) -> Sequence[str]:
        """Our names of all weights, in the order of computation."""
        return tuple(self.weights)

    def spec(self, name: str) -> TensorSpec:
        """Storage format and shape of a weight, without reading it."""
        return self.weights[name].spec

    def read(self, name: str) -> StoredTensor:
        """One weight in its storage format. Raises CheckpointError if the file cannot give it."""
        return self.weights[name].read()

    def tokenizer_files(self) -> Mapping[str, bytes]:
        """Contents of the tokenizer's files by name, as Hugging Face names them; may be empty."""
        return self.load_tokenizer_files()

    def weight_bytes(self) -> int:
        """Bytes of all weights as stored."""
        return sum(weight.spec.bytes for weight in self.weights.values())

    def close(self) -> None:
        """Nothing to free: kept so that layouts which hold a file open can come later."""


def our_weights(
    path: Path, layout: Layout, theirs: Iterable[str], ignored: re.Pattern[str]
) -> dict[str, str]:
    """Our name -> a layout's name. Raises CheckpointError for a weight that Llama does not have."""
    found, foreign = {}, []
    for name in theirs:
        ours = our_name(layout, name)
        if ours is not None:
            found[ours] = name
        elif not ignored.search(name):
            foreign.append(name)
    if foreign:
        raise CheckpointError(
            f"{path}: weights that a Llama model does not have",
            got=_sample(foreign),
            allowed="LlamaForCausalLM without biases, adapters or experts",
            remedy="merge adapters into the weights first, or use another model",
        )
    return found


def checked(path: Path, config: ModelConfig, found: Mapping[str, W]) -> Mapping[str, W]:
    """All weights in order. Raises CheckpointError for missing, surplus or misshapen ones."""
    check_names(path, config, found)
    expected = dict(weight_shapes(config))
    for name, shape in expected.items():
        spec = found[name].spec
        if spec.shape != shape:
            raise CheckpointError(
                f"{path}: {name} has the wrong shape",
                got=_by(spec.shape),
                allowed=_by(shape),
                remedy="use the configuration that belongs to these weights",
            )
        check_dtype(path, name, spec.dtype)
    return {name: found[name] for name in expected}


def check_names(path: Path, config: ModelConfig, found: Collection[str]) -> None:
    """Raise CheckpointError if weights of ours are missing, or there are more than there should."""
    if config.layers > len(found):  # before all the names of a nonsensical number are made
        raise CheckpointError(
            f"{path}: weights are missing",
            got=f"{len(found)} weights for {config.layers} layers",
            remedy=FETCH_AGAIN,
        )
    expected = dict(weight_shapes(config))
    if missing := [name for name in expected if name not in found]:
        raise CheckpointError(
            f"{path}: weights are missing", got=_sample(missing) + " not found", remedy=FETCH_AGAIN
        )
    if surplus := [name for name in found if name not in expected]:
        raise CheckpointError(
            f"{path}: more weights than the configuration has",
            got=_sample(surplus),
            allowed=f"{config.layers} layers" + (", tied output" if config.tied else ""),
            remedy="use the configuration that belongs to these weights",
        )


def check_dtype(path: Path, name: str, dtype: str) -> None:
    """Raise CheckpointError for a storage format that cannot be read."""
    if dtype not in PLAIN and dtype not in QUANTISED:
        raise CheckpointError(
            f"{path}: {name} is stored as {dtype}",
            allowed=", ".join((*PLAIN, *QUANTISED)),
            remedy="convert the model to one of these first",
        )


def layer_count(names: Iterable[str]) -> int:
    """Number of layers that our names speak of."""
    layers = {int(name.split(".")[1]) for name in names if name.startswith("layers.")}
    return max(layers, default=-1) + 1


def _sample(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
