"""Converting between layouts: one weight in memory at a time, checked, all or nothing."""

import contextlib
import dataclasses
import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from quipu.checkpoint.checkpoint import Checkpoint
from quipu.checkpoint.files import as_bytes
from quipu.checkpoint.gguf_layout import GgufLayoutWriter
from quipu.checkpoint.hf import HfWriter
from quipu.checkpoint.meta import MetaWriter
from quipu.checkpoint.native_file import NativeWriter
from quipu.checkpoint.opening import open_checkpoint
from quipu.checkpoint.packing import STORED
from quipu.checkpoint.staging import check_space, staged
from quipu.checkpoint.tensors import PLAIN, WRITABLE, StoredTensor, TensorSpec, as_float32, cast
from quipu.checkpoint.tokenizer_facts import check_tokenizer, read_facts
from quipu.config import ModelConfig
from quipu.errors import CheckpointError, UsageError

TARGETS = ("hf", "meta", "gguf", "native")
FORMATS: dict[str, tuple[str, ...]] = {
    "hf": tuple(PLAIN),
    "meta": tuple(PLAIN),
    "gguf": WRITABLE,
    "native": tuple(STORED.values()),
}
ONE_FILE = ("gguf", "native")  # no shards, and norms in f32
# Where q4_0 is asked for, these take q8_0 in a native file: see docs/formats.md.
_ENDS = ("tok_embeddings.weight", "output.weight")
_HEAD_BYTES = 64 << 20  # more than configuration and tokenizer take in any layout
_FLOAT32_ROUNDING = 1e-6  # relative; GGUF keeps theta and its like in float32

Progress = Callable[[int, int], None]


class Writer(Protocol):
    """Writes one checkpoint; every weight is written once, in any order."""

    def write(self, name: str, tensor: StoredTensor) -> None:
        """Write one weight by our name, in the format that the specs promised."""

    def finish(self) -> None:
        """Complete the files and make sure that they have reached the disk."""

    def close(self) -> None:
        """Let go of all files, finished or not."""


class Rounding(Protocol):
    """A way to make weights narrower that looks at more than one of them."""

    def tensors(
        self, source: Checkpoint, specs: Mapping[str, TensorSpec]
    ) -> Iterator[tuple[str, StoredTensor]]:
        """Every weight of `specs` once, in its format."""


class Casts:
    """Every weight by itself, each value to the nearest one that its format has."""

    def tensors(
        self, source: Checkpoint, specs: Mapping[str, TensorSpec]
    ) -> Iterator[tuple[str, StoredTensor]]:
        """See `Rounding`."""
        for name, spec in specs.items():
            yield name, cast(source.read(name), spec.dtype)


def convert(
    source: Path,
    target: Path,
    *,
    to: str,
    dtype: str | None = None,
    rounding: Rounding | None = None,
    shards: int = 1,
    rope_theta: float | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> None:
    """Write `source` in the layout `to` at `target`, and read it back to compare.

    `to` is hf, meta, gguf or native. `dtype` is f32, f16 (not native), bf16, or q8_0 or q4_0 (gguf
    and native); None keeps what the source has, and widens weights to f32 where the target cannot
    store them. Norms are f32 in GGUF and in a native file, which keeps embedding and output in
    q8_0 beside q4_0. `rounding` None is that of casts. `shards` is the number of safetensors files
    (hf) or of model-parallel shards (meta). `progress` is told bytes done and bytes in all, writing
    and comparing together.

    Raises CheckpointError for a source or target that will not do, TokenizerError for a tokenizer
    that does not fit the weights, UsageError for arguments that make no sense. After any failure
    nothing of the target is left, and what was there before still is.
    """
    _check_arguments(source, target, to, dtype, shards)
    opened = open_checkpoint(source, rope_theta=rope_theta)
    tokenizer_files = opened.tokenizer_files()
    if facts := read_facts(tokenizer_files):
        check_tokenizer(opened.config.vocab, facts.vocab)
    specs = plan(opened, to, dtype)
    size = sum(spec.bytes for spec in specs.values())
    report = _Report(2 * size, progress)
    with staged(target, overwrite=overwrite) as made, contextlib.closing(opened):
        check_space(target, size + _HEAD_BYTES)
        writer = _writer(opened, made, to, specs, tokenizer_files, shards)
        with contextlib.closing(writer):
            tensors = (rounding or Casts()).tensors(opened, specs)
            digests = _copy(tensors, writer, specs, report)
            writer.finish()
        _verify(opened, made, digests, report)


def plan(source: Checkpoint, to: str, dtype: str | None) -> dict[str, TensorSpec]:
    """Storage format and shape of every weight in the target."""
    matrix_dtypes = [
        source.spec(name).dtype for name in source.names() if len(source.spec(name).shape) > 1
    ]
    uniform = matrix_dtypes[0] if len(set(matrix_dtypes)) == 1 else None
    specs = {}
    for name in source.names():
        spec = source.spec(name)
        if len(spec.shape) == 1:
            chosen = _norm_dtype(source, name, to, dtype, uniform)
        elif to == "native" and dtype == "q4_0" != spec.dtype and name in _ENDS:
            chosen = "q8_0"
        else:
            chosen = _storable(dtype or spec.dtype, to)
        specs[name] = dataclasses.replace(spec, dtype=chosen)
        _ = specs[name].bytes  # refuses rows that blocks do not divide, before anything is written
    return specs


def _storable(dtype: str, to: str) -> str:
    """What a source has, widened where the target cannot store it; GGUF stores whatever it had."""
    return dtype if to == "gguf" or dtype in FORMATS[to] else "f32"


def _norm_dtype(
    source: Checkpoint, name: str, to: str, dtype: str | None, uniform: str | None
) -> str:
    if to in ONE_FILE:
        return "f32"
    if dtype is None and source.layout in ONE_FILE:
        return _narrowed(source.read(name), uniform)
    return _storable(dtype or source.spec(name).dtype, to)


def _narrowed(norm: StoredTensor, dtype: str | None) -> str:
    """Widened norms in the format of the weights again, where that loses nothing."""
    if dtype not in PLAIN:
        return norm.dtype
    try:
        narrow = cast(norm, dtype)
    except CheckpointError:  # too large for it
        return norm.dtype
    return dtype if np.array_equal(as_float32(narrow), as_float32(norm)) else norm.dtype


def _check_arguments(source: Path, target: Path, to: str, dtype: str | None, shards: int) -> None:
    if to not in TARGETS:
        raise UsageError("target layout", got=to, allowed=", ".join(TARGETS))
    if dtype is not None and dtype not in FORMATS[to]:
        raise UsageError(f"format of weights in {to}", got=dtype, allowed=", ".join(FORMATS[to]))
    if shards < 1 or (to in ONE_FILE and shards != 1):
        allowed = "1" if to in ONE_FILE else "1 or more"
        raise UsageError(f"number of shards in {to}", got=shards, allowed=allowed)
    if source.resolve() == target.resolve():
        raise UsageError("source and target are the same", got=target, remedy="name another target")


def _writer(
    source: Checkpoint,
    path: Path,
    to: str,
    specs: Mapping[str, TensorSpec],
    files: Mapping[str, bytes],
    shards: int,
) -> Writer:
    if to == "hf":
        return HfWriter(path, source.config, source.abilities, specs, files, shards)
    if to == "meta":
        return MetaWriter(path, source.config, source.abilities, specs, files, shards)
    if to == "native":
        return NativeWriter(path, source.config, source.abilities, specs, files, source.name)
    return GgufLayoutWriter(path, source.config, source.abilities, specs, files, source.name)


class _Report:
    """Counts bytes and tells whoever listens."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._done, self._total, self._progress = 0, total, progress
        self.add(0)

    def add(self, size: int) -> None:
        self._done += size
        if self._progress is not None:
            self._progress(self._done, self._total)


def _copy(
    tensors: Iterator[tuple[str, StoredTensor]],
    writer: Writer,
    specs: Mapping[str, TensorSpec],
    report: _Report,
) -> dict[str, bytes]:
    """Write every weight; return the digest of each as it should be read back."""
    digests = {}
    for name, tensor in tensors:
        assert tensor.spec == specs[name], name
        digests[name] = _digest(tensor)
        writer.write(name, tensor)
        report.add(tensor.spec.bytes)
        del tensor  # before the next one is read: two weights in memory are enough
    assert len(digests) == len(specs)
    return digests


def _digest(tensor: StoredTensor) -> bytes:
    digest = hashlib.sha256(f"{tensor.dtype} {tensor.shape}".encode())
    digest.update(as_bytes(tensor.data))
    return digest.digest()


def _verify(source: Checkpoint, path: Path, digests: Mapping[str, bytes], report: _Report) -> None:
    """Open what was written as anybody would, and compare all of it with what was meant."""
    with contextlib.closing(open_checkpoint(path)) as written:
        wrong = [] if _same(source.config, written.config) else ["configuration"]
        if source.abilities != written.abilities:
            wrong.append("abilities")
        meant, found = read_facts(source.tokenizer_files()), read_facts(written.tokenizer_files())
        if (meant and (meant.vocab, meant.infill)) != (found and (found.vocab, found.infill)):
            wrong.append("tokenizer")
        for name, digest in digests.items():
            tensor = written.read(name)
            if _digest(tensor) != digest:
                wrong.append(name)
            report.add(tensor.spec.bytes)
            del tensor
    if wrong:
        raise CheckpointError(
            "what was written is not what was read",
            got=", ".join(wrong[:3]),
            remedy="check disk and memory of this machine, then convert again",
        )


def _same(meant: ModelConfig, found: ModelConfig) -> bool:
    pairs = zip(_flat(meant), _flat(found), strict=True)
    return all(
        math.isclose(a, b, rel_tol=_FLOAT32_ROUNDING)
        if isinstance(a, float) and isinstance(b, float)
        else a == b
        for a, b in pairs
    )


def _flat(config: ModelConfig) -> list[object]:
    values = list(dataclasses.astuple(config))
    return [part for value in values for part in (value if isinstance(value, tuple) else [value])]
