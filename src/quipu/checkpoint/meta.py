"""Meta's layout: params.json and consolidated.NN.pth, one per model-parallel share.

params.json says nothing of context, tying or abilities; we keep them beside it in quipu.json, which
Meta's own code does not look at. Without that file the context is taken from theta: 16,384 for
Code Llama's 1e6, otherwise Llama 2's 4,096.
"""

import contextlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from quipu.checkpoint.abilities import stated_or_derived, to_values
from quipu.checkpoint.checkpoint import Checkpoint, Part, Weight, checked, layer_count, our_weights
from quipu.checkpoint.config_json import missing_theta
from quipu.checkpoint.files import FETCH_AGAIN, read_json, read_whole
from quipu.checkpoint.hf import read_tokenizer_files
from quipu.checkpoint.names import entry_of, name_in
from quipu.checkpoint.rotary import rotated_heads, to_neighbours
from quipu.checkpoint.settings import Settings
from quipu.checkpoint.tensors import Array, StoredTensor, TensorSpec
from quipu.checkpoint.torch_archive import TorchArchiveWriter, read_parts
from quipu.config import Abilities, ModelConfig
from quipu.errors import CheckpointError, UsageError

PARAMS = "params.json"
EXTRAS = "quipu.json"
_SHARD = "consolidated.{:02}.pth"
_IGNORED = re.compile(r"(^|\.)rope\.freqs$")


def open_meta(path: Path, rope_theta: float | None = None) -> Checkpoint:
    """Open a folder as Meta distributes it. Raises CheckpointError if it is not whole."""
    params = Settings(str(path / PARAMS), read_json(path / PARAMS))
    extras = _extras(path)
    shards = [read_parts(file) for file in _shard_files(path)]
    found = _merge_all(path, shards)
    config = _read_config(path, params, extras, found, len(shards), rope_theta)
    if config.tied:
        found.pop("output.weight", None)
    weights = {
        ours: replace(weight, neighbour_heads=rotated_heads(config, ours))
        for ours, weight in checked(path, config, found).items()
    }
    name = path.resolve().name
    return Checkpoint(
        layout="meta",
        path=path,
        name=name,
        config=config,
        abilities=stated_or_derived(
            extras.inner("abilities"), name, lambda: _tokenizer_files(path)
        ),
        weights=weights,
        load_tokenizer_files=lambda: _tokenizer_files(path),
    )


def _extras(path: Path) -> Settings:
    file = path / EXTRAS
    return Settings(str(file), read_json(file) if file.is_file() else {})


def _tokenizer_files(path: Path) -> dict[str, bytes]:
    """Meta puts one tokenizer.model beside the folders of all sizes, or into each."""
    above = path.resolve().parent / "tokenizer.model"
    found = read_tokenizer_files(path)
    if "tokenizer.model" not in found and "tokenizer.json" not in found and above.is_file():
        found["tokenizer.model"] = read_whole(above)
    return found


def _shard_files(path: Path) -> list[Path]:
    files = sorted(path.glob("consolidated.*.pth"))
    if not files:
        raise CheckpointError(f"{path}: no weights", allowed="consolidated.00.pth and following")
    for number, file in enumerate(files):
        if file.name != _SHARD.format(number):
            raise _missing_shard(path, _SHARD.format(number))
    return files


def _missing_shard(path: Path, what: str) -> CheckpointError:
    return CheckpointError(
        f"{path}: a shard is missing", got=f"{what} not found", remedy="fetch this file"
    )


def _merge_all(path: Path, shards: Sequence[Mapping[str, Part]]) -> dict[str, Weight]:
    names = [our_weights(path, "meta", shard, _IGNORED) for shard in shards]
    for number, other in enumerate(names):
        if different := sorted(set(names[0]) ^ set(other)):
            raise CheckpointError(
                f"{path / _SHARD.format(number)}: other weights than in {_SHARD.format(0)}",
                got=different[0],
                remedy=FETCH_AGAIN,
            )
    return {
        ours: _merge([shard[theirs] for shard in shards], ours) for ours, theirs in names[0].items()
    }


def _merge(parts: Sequence[Part], name: str) -> Weight:
    """Join the shares of a weight. Raises CheckpointError if they do not go together."""
    axis = entry_of(name).split
    first = parts[0]
    dimensions = 1 if axis is None else 2
    for part in parts:
        if part.spec != first.spec or len(part.spec.shape) != dimensions:
            same = f"{first.spec.dtype} {list(first.spec.shape)} as in {first.path.name}"
            raise CheckpointError(
                f"{part.path}: {name} has the wrong shape or format",
                got=f"{part.spec.dtype} {list(part.spec.shape)}",
                allowed=f"{dimensions} dimensions" if part is first else same,
                remedy=FETCH_AGAIN,
            )
    return Weight(parts=(first,)) if axis is None else Weight(parts=tuple(parts), axis=axis)


def _read_config(
    path: Path,
    params: Settings,
    extras: Settings,
    found: Mapping[str, Weight],
    shards: int,
    rope_theta: float | None,
) -> ModelConfig:
    """Every shape comes from the weights; params.json adds what they cannot tell."""
    shapes = _key_shapes(path, found, shards)
    params.require("use_scaled_rope", False)
    heads = params.count("n_heads")
    head_size = shapes["wq"][0] // heads
    theta = rope_theta or params.maybe_real("rope_theta")
    if theta is None:
        raise missing_theta(params.where)
    config = ModelConfig(
        dim=shapes["norm"][0],
        layers=layer_count(found),
        heads=heads,
        kv_heads=shapes["wk"][0] // max(1, head_size),
        ffn=shapes["w1"][0],
        vocab=shapes["tok_embeddings"][0],
        context=extras.count("context", 16384 if theta >= 1e6 else 4096),
        rope_theta=theta,
        head_size=head_size,
        norm_eps=params.real("norm_eps", 1e-5),
        tied=extras.flag("tied", False),
    )
    params.agree("dim", config.dim)
    params.agree("n_layers", config.layers)
    params.agree("n_kv_heads", config.kv_heads)
    return config


_KEY_WEIGHTS = (
    "tok_embeddings.weight",
    "layers.0.attention.wq.weight",
    "layers.0.attention.wk.weight",
    "layers.0.feed_forward.w1.weight",
    "norm.weight",
)


def _key_shapes(
    path: Path, found: Mapping[str, Weight], shards: int
) -> Mapping[str, tuple[int, ...]]:
    """Shapes that decide all others, by the last part of their names."""
    if missing := [name for name in _KEY_WEIGHTS if name not in found]:
        raise CheckpointError(
            f"{path}: weights are missing", got=f"{missing[0]} not found", remedy=FETCH_AGAIN
        )
    shapes = {name.split(".")[-2]: found[name].spec.shape for name in _KEY_WEIGHTS}
    width, whole = shapes["tok_embeddings"][1], shapes["norm"][0]
    if width != whole:  # norms are whole in every shard, the embedding is divided
        expected = whole * shards // max(1, width)
        raise _missing_shard(path, f"{shards} shards of {expected}: {_SHARD.format(shards)}")
    return shapes


class MetaWriter:
    """Writes such a folder, weight by weight, divided among model-parallel shards."""

    def __init__(
        self,
        path: Path,
        config: ModelConfig,
        abilities: Abilities,
        specs: Mapping[str, TensorSpec],
        tokenizer_files: Mapping[str, bytes],
        shards: int,
    ) -> None:
        _check_expressible(config, shards)
        self._config, self._shards = config, shards
        path.mkdir()
        if config.tied:
            specs = {**specs, "output.weight": specs["tok_embeddings.weight"]}
        shares = {name_in("meta", name): _share(name, specs[name], shards) for name in specs}
        with contextlib.ExitStack() as stack:
            self._writers = []
            for number in range(shards):
                writer = TorchArchiveWriter(path / _SHARD.format(number), shares)
                stack.callback(writer.close)
                self._writers.append(writer)
            extras = {
                "context": config.context,
                "tied": config.tied,
                "abilities": to_values(abilities),
            }
            for name, values in ((PARAMS, params_values(config)), (EXTRAS, extras)):
                (path / name).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
            for name, data in tokenizer_files.items():
                (path / name).write_bytes(data)
            self._opened = stack.pop_all()

    def write(self, name: str, tensor: StoredTensor) -> None:
        """Write one weight by our name, in the format that the specs promised."""
        data = tensor.data
        if heads := rotated_heads(self._config, name):
            data = to_neighbours(data, heads)
        for writer, share in zip(self._writers, _divided(data, name, self._shards), strict=True):
            writer.write(name_in("meta", name), np.ascontiguousarray(share))
        if name == "tok_embeddings.weight" and self._config.tied:
            self.write("output.weight", tensor)

    def finish(self) -> None:
        """Complete the files and make sure that they have reached the disk."""
        for writer in self._writers:
            writer.finish()

    def close(self) -> None:
        """Let go of the files, finished or not."""
        self._opened.close()


def _divided(data: Array, name: str, shards: int) -> Sequence[Array]:
    axis = entry_of(name).split
    return [data] * shards if axis is None else np.split(data, shards, axis)


def _share(name: str, spec: TensorSpec, shards: int) -> TensorSpec:
    axis = entry_of(name).split
    shape = [size // shards if at == axis else size for at, size in enumerate(spec.shape)]
    return TensorSpec(dtype=spec.dtype, shape=tuple(shape))


def _check_expressible(config: ModelConfig, shards: int) -> None:
    for name in ("heads", "kv_heads", "dim", "ffn", "vocab"):
        if getattr(config, name) % shards:
            raise UsageError(
                f"weights cannot be divided into {shards} shards",
                got=f"{name} {getattr(config, name)}",
                allowed=f"a number that divides {name}",
                remedy="choose fewer shards",
            )
    if config.rope_scaling is not None:
        raise CheckpointError(
            "Meta's layout cannot say how rotary angles are scaled",
            got=config.rope_scaling.kind,
            remedy="convert to hf or gguf",
        )
    if config.head_size * config.heads != config.dim:
        raise CheckpointError(
            "Meta's layout cannot say the size of a head",
            got=config.head_size,
            allowed=f"dim / heads = {config.dim / config.heads:g}",
            remedy="convert to hf or gguf",
        )


def params_values(config: ModelConfig) -> dict[str, object]:
    """Values of a params.json from which Meta's code computes the same shapes."""
    multiple_of, multiplier = _feed_forward_rule(config.dim, config.ffn)
    return {
        "dim": config.dim,
        "n_layers": config.layers,
        "n_heads": config.heads,
        "n_kv_heads": config.kv_heads,
        "multiple_of": multiple_of,
        "ffn_dim_multiplier": multiplier,
        "norm_eps": config.norm_eps,
        "rope_theta": config.rope_theta,
        "vocab_size": config.vocab,
    }


def feed_forward_size(dim: int, multiple_of: int, multiplier: float) -> int:
    """F as Meta's code computes it: two thirds of 4 D, scaled, rounded up to a multiple."""
    size = int(multiplier * int(2 * 4 * dim / 3))
    return multiple_of * -(-size // multiple_of)


def _feed_forward_rule(dim: int, ffn: int) -> tuple[int, float]:
    """multiple_of and multiplier that lead to `ffn`; Code Llama's own where they do."""
    for multiple_of, multiplier in ((256, 1.0), (4096, 1.3)):
        if feed_forward_size(dim, multiple_of, multiplier) == ffn:
            return multiple_of, multiplier
    return 1, (ffn + 0.5) / int(2 * 4 * dim / 3)
