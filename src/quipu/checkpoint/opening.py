"""Opening a checkpoint without being told its layout."""

import math
from pathlib import Path

from quipu.checkpoint import gguf_file, gguf_layout, hf, meta, native_file
from quipu.checkpoint.checkpoint import Checkpoint
from quipu.checkpoint.files import FETCH_AGAIN, file_size, read_bytes
from quipu.checkpoint.names import Layout
from quipu.errors import CheckpointError, UsageError

_LAYOUTS = (
    "a folder with config.json and safetensors, a folder with params.json and consolidated.00.pth,"
    " a GGUF file, or a native file (.quipu)"
)


def open_checkpoint(path: Path, *, rope_theta: float | None = None) -> Checkpoint:
    """Open a model on disk, its layout found by looking.

    `rope_theta` overrules the rotary base that the source states; a source that states none is
    refused without it. Raises CheckpointError if a checkpoint is foreign, truncated or incomplete,
    or does not go together with its own configuration.
    """
    if rope_theta is not None and not 0 < rope_theta < math.inf:
        raise UsageError("rope theta", got=rope_theta, allowed="a number above 0")
    opener = {
        "hf": hf.open_hf,
        "meta": meta.open_meta,
        "gguf": gguf_layout.open_gguf,
        "native": native_file.open_native,
    }
    return opener[find_layout(path)](path, rope_theta)


def find_layout(path: Path) -> Layout:
    """The layout of what lies at `path`. Raises CheckpointError if it is none of ours."""
    if not path.exists():
        raise CheckpointError(f"{path}: no such file or folder", allowed=_LAYOUTS)
    if path.is_dir():
        if (path / hf.CONFIG).is_file():
            return "hf"
        if (path / meta.PARAMS).is_file():
            return "meta"
        raise CheckpointError(f"{path}: a folder without a model", allowed=_LAYOUTS)
    if file_size(path) >= 4 and read_bytes(path, 0, 4) == gguf_file.MAGIC:
        return "gguf"
    if native_file.is_native(path):
        return "native"
    for suffix, kind in ((".gguf", "GGUF"), (native_file.SUFFIX, "native")):
        if path.suffix == suffix:
            raise CheckpointError(f"{path}: not a {kind} file, or truncated", remedy=FETCH_AGAIN)
    raise CheckpointError(
        f"{path}: not a model", allowed=_LAYOUTS, remedy="name the folder, not one file in it"
    )
