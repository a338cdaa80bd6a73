"""Our own layout: one file that the native runtime maps and runs as it is.

A safetensors file without gaps: matrices packed (packing.py) from a multiple of 64 bytes on, then
norms in fp32, scales, and the tokenizer's files. `__metadata__` comes first in the header, and
its only key is `quipu`: JSON with version, name, configuration (as in Hugging Face's config.json)
and format of every matrix.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from quipu.checkpoint.abilities import stated
from quipu.checkpoint.checkpoint import (
    Checkpoint,
    Part,
    Stored,
    Weight,
    check_names,
    checked,
    our_weights,
)
from quipu.checkpoint.config_json import read_config, write_config
from quipu.checkpoint.files import (
    FETCH_AGAIN,
    MappedFile,
    file_size,
    read_bytes,
    sync,
    write_at,
)
from quipu.checkpoint.packing import (
    ALIGNMENT,
    GROUP,
    LANES,
    STORED,
    Format,
    PackedWeight,
    pack,
    scale_bytes,
    value_bytes,
)
from quipu.checkpoint.safetensors_file import Entry, lay_out, read_head
from quipu.checkpoint.settings import Settings
from quipu.checkpoint.tensors import StoredTensor, TensorSpec
from quipu.checkpoint.tokenizer_facts import FILES, read_facts
from quipu.config import Abilities, ModelConfig
from quipu.counts import weight_shapes
from quipu.errors import CheckpointError

SUFFIX = ".quipu"
VERSION = 1

_BEGIN = b'{"__metadata__":{"quipu":'  # of the header, after its length
_SCALES = ".scales"
_TOKENIZER = "tokenizer/"
_NONE = re.compile(r"$^")
_FORMATS: Mapping[str, Format] = {stored: packed for packed, stored in STORED.items()}


def is_native(path: Path) -> bool:
    """Whether a file begins as ours do."""
    size = 8 + len(_BEGIN)
    return file_size(path) >= size and read_bytes(path, 8, len(_BEGIN)) == _BEGIN


def open_native(path: Path, rope_theta: float | None = None) -> Checkpoint:
    """Open a native file. Raises CheckpointError if it is not whole."""
    head = read_head(path)
    settings = _settings(path, head.metadata)
    values = settings.inner("config")
    if values is None:
        raise CheckpointError(f"{settings.where}: config is missing", remedy=FETCH_AGAIN)
    config = read_config(values, values.count("vocab_size"), rope_theta)
    _check_places(path, head.entries)
    ours = [name for name in head.entries if not name.endswith(_SCALES)]
    ours = [name for name in ours if not name.startswith(_TOKENIZER)]
    check_names(path, config, our_weights(path, "native", ours, _NONE))
    formats, file = settings.inner("formats"), MappedFile(path)
    weights: dict[str, Stored] = {}
    for name, shape in weight_shapes(config):
        if len(shape) == 1:
            weights[name] = _vector(path, head.entries[name])
        else:
            format = _format(settings.where, formats, name)
            weights[name] = _matrix(file, head.entries, name, format, (shape[0], shape[1]))
    return Checkpoint(
        layout="native",
        path=path,
        name=settings.text("name", path.resolve().stem),
        config=config,
        abilities=stated(values.inner("quipu") or Settings(values.where, {})),
        weights=checked(path, config, weights),
        load_tokenizer_files=lambda: _tokenizer_files(path, head.entries),
    )


def _settings(path: Path, metadata: Settings) -> Settings:
    try:
        values = json.loads(metadata.text("quipu"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: header is malformed", got=error, remedy=FETCH_AGAIN
        ) from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{path}: header is malformed", remedy=FETCH_AGAIN)
    settings = Settings(f"{path}: quipu", values)
    if (version := settings.count("version")) != VERSION:
        raise CheckpointError(
            f"{path}: written by another version of this program",
            got=f"file version {version}",
            allowed=VERSION,
            remedy="convert the model again from its source",
        )
    return settings


def _check_places(path: Path, entries: Mapping[str, Entry]) -> None:
    """Raise CheckpointError if two tensors share bytes."""
    end = 0
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].offset, item[1].size)):
        if entry.offset < end:
            raise CheckpointError(
                f"{path}: {name} overlaps another tensor",
                got=f"byte {entry.offset:,}",
                allowed=f"{end:,} or more",
                remedy=FETCH_AGAIN,
            )
        end = entry.offset + entry.size


def _format(where: str, formats: Settings | None, name: str) -> Format:
    found = formats.text(name) if formats else ""
    for format in STORED:
        if found == format:
            return format
    raise CheckpointError(
        f"{where}: format of {name}", got=found, allowed=", ".join(STORED), remedy=FETCH_AGAIN
    )


def _vector(path: Path, entry: Entry) -> Weight:
    spec = TensorSpec(dtype=entry.dtype.lower(), shape=entry.shape)
    return Weight(parts=(Part(path=path, offset=entry.offset, spec=spec),))


def _matrix(
    file: MappedFile,
    entries: Mapping[str, Entry],
    name: str,
    format: Format,
    shape: tuple[int, int],
) -> PackedWeight:
    places: list[int] = []
    for part, dtype, packed_shape, size in _parts(name, format, shape):
        entry = entries.get(part)
        if entry is None:
            raise CheckpointError(f"{file.path}: {part} is missing", remedy=FETCH_AGAIN)
        if entry[:2] != (dtype, packed_shape) or entry.size != size:
            raise CheckpointError(
                f"{file.path}: {part} does not fit configuration and format",
                got=f"{entry.dtype} {list(entry.shape)}",
                allowed=f"{dtype} {list(packed_shape)}",
                remedy=FETCH_AGAIN,
            )
        places.append(entry.offset)
    if places[0] % ALIGNMENT or places[-1] % 2:
        raise CheckpointError(
            f"{file.path}: {name} lies at an odd place",
            got=f"bytes {places}",
            allowed=f"a multiple of {ALIGNMENT}",
            remedy=FETCH_AGAIN,
        )
    return PackedWeight(
        file=file,
        format=format,
        shape=shape,
        values_at=places[0],
        scales_at=places[1] if len(places) > 1 else None,
    )


def _tokenizer_files(path: Path, entries: Mapping[str, Entry]) -> dict[str, bytes]:
    return {
        name: read_bytes(path, entry.offset, entry.size)
        for name in FILES
        if (entry := entries.get(_TOKENIZER + name)) is not None
    }


def _parts(
    name: str, format: Format, shape: tuple[int, int]
) -> Iterator[tuple[str, str, tuple[int, ...], int]]:
    """Tensors of a packed matrix: name, dtype, shape, bytes; native/weights.h gives the shapes."""
    panels, groups = -(-shape[0] // LANES), shape[1] // GROUP
    size = value_bytes(format, shape)
    dtype, packed_shape = {
        "fp32": ("F32", (panels, shape[1], LANES)),
        "bf16": ("BF16", (panels, shape[1] // 2, LANES, 2)),
        "int8": ("U8", (panels, groups, 8, LANES, 4)),
        "int4": ("U8", (panels, groups, 4, LANES, 4)),
    }[format]
    yield name, dtype, packed_shape, size
    if scales := scale_bytes(format, shape):
        yield name + _SCALES, "F16", (panels, groups, LANES), scales


class NativeWriter:
    """Writes such a file, weight by weight in any order."""

    def __init__(
        self,
        path: Path,
        config: ModelConfig,
        abilities: Abilities,
        specs: Mapping[str, TensorSpec],
        tokenizer_files: Mapping[str, bytes],
        name: str,
    ) -> None:
        self._path = path
        files = {name: data for name, data in tokenizer_files.items() if name in FILES}
        facts = read_facts(files)
        bos_id, eos_id = (facts.bos_id, facts.eos_id) if facts else (1, 2)
        about = {
            "version": VERSION,
            "name": name,
            "config": write_config(config, abilities, None, bos_id, eos_id),
            "formats": {
                ours: _FORMATS[spec.dtype] for ours, spec in specs.items() if len(spec.shape) == 2
            },
        }
        head, self._entries = lay_out(
            _ordered(specs, files), {"quipu": json.dumps(about, separators=(",", ":"))}, ALIGNMENT
        )
        path.write_bytes(head)
        for file, data in files.items():
            self._put(_TOKENIZER + file, np.frombuffer(data, np.uint8))

    def write(self, name: str, tensor: StoredTensor) -> None:
        """Write one weight by our name, in the format that the specs promised."""
        if len(tensor.shape) == 1:
            self._put(name, tensor.data)
            return
        packed = pack(tensor, _FORMATS[tensor.dtype])
        self._put(name, packed.values)
        if packed.scales is not None:
            self._put(name + _SCALES, packed.scales)

    def finish(self) -> None:
        """Make sure that everything has reached the disk."""
        assert not self._entries, f"never written: {list(self._entries)[:3]}"
        sync(self._path)

    def close(self) -> None:
        """Nothing to free: no file stays open between two weights."""

    def _put(self, name: str, data: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]") -> None:
        entry = self._entries.pop(name)
        assert data.nbytes == entry.size
        write_at(self._path, entry.offset, data)


def _ordered(
    specs: Mapping[str, TensorSpec], files: Mapping[str, bytes]
) -> Sequence[tuple[str, str, tuple[int, ...], int]]:
    """Values (multiples of 64 bytes long, so that all lie at one), norms, scales, tokenizer."""
    norms = [(name, spec) for name, spec in specs.items() if len(spec.shape) == 1]
    matrices = [
        list(_parts(name, _FORMATS[spec.dtype], (spec.shape[0], spec.shape[1])))
        for name, spec in specs.items()
        if len(spec.shape) == 2
    ]
    return [
        *(parts[0] for parts in matrices),
        *((name, "F32", spec.shape, spec.bytes) for name, spec in norms),
        *(part for parts in matrices for part in parts[1:]),
        *((_TOKENIZER + name, "U8", (len(data),), len(data)) for name, data in files.items()),
    ]
