"""How much memory a conversion takes, measured in a process of its own."""

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from quipu.checkpoint.safetensors_file import SafetensorsWriter
from quipu.checkpoint.tensors import TensorSpec
from quipu.config import ModelConfig
from quipu.counts import weight_shapes
from unit.checkpoint.models import TINY, config_values, hf_name

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="this system does not tell peak memory"
)

MIB = 1 << 20
SLACK = 40 * MIB  # allocator, caches, blocks of a cast

# About 1.1 B parameters (the shape of TinyLlama with Code Llama's vocabulary), 2.2 GB in bf16.
BILLION = ModelConfig(
    dim=2048, layers=22, heads=32, kv_heads=4, ffn=5632, vocab=32016, context=2048, rope_theta=1e6
)
SMALL = replace(TINY, dim=1024, layers=6, heads=16, kv_heads=4, head_size=64, ffn=2816, vocab=8192)

PEAK = """
import sys
from pathlib import Path
from quipu.checkpoint import convert, open_checkpoint
def peak():
    # Not ru_maxrss: a child inherits that of its parent.
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
open_checkpoint(Path(sys.argv[1]))
before = peak()
source, target, to, dtype, shards = sys.argv[1:]
convert(Path(source), Path(target), to=to, dtype=dtype or None, shards=int(shards))
print(before, peak())
"""


def write_random(folder: Path, config: ModelConfig) -> Path:
    """A bf16 checkpoint of random bits, written weight by weight."""
    folder.mkdir()
    specs = {
        hf_name(name): TensorSpec(dtype="bf16", shape=shape)
        for name, shape in weight_shapes(config)
    }
    writer = SafetensorsWriter(folder / "model.safetensors", specs)
    random = np.random.default_rng(0)
    for name, spec in specs.items():
        writer.write(name, random.integers(0, 0x3F80, spec.shape, np.uint16))
    (folder / "config.json").write_text(json.dumps(config_values(config)))
    return folder


def peak_bytes(source: Path, target: Path, to: str, dtype: str, shards: int) -> tuple[int, int]:
    """Peak resident memory before and after a conversion, in a child process."""
    result = subprocess.run(
        [sys.executable, "-c", PEAK, source, target, to, dtype, str(shards)],
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": ":".join(sys.path), "OMP_NUM_THREADS": "1"},
    )
    before, after = map(int, result.stdout.split())
    return before * 1024, after * 1024


def largest_bytes(config: ModelConfig, width: int) -> int:
    return max(width * math.prod(shape) for _, shape in weight_shapes(config))


WAYS = [
    # layout, format, shards, bytes of a value in the wider of source and target
    ("hf", "", 1, 2),
    ("hf", "f32", 3, 4),
    ("meta", "", 4, 2),
    ("gguf", "", 1, 2),
    ("gguf", "q8_0", 1, 2),
    ("native", "", 1, 2),
    ("native", "f32", 1, 4),
    ("native", "q4_0", 1, 2),
]


@pytest.mark.parametrize(("to", "dtype", "shards", "width"), WAYS)
def test_a_conversion_holds_two_of_the_largest_weights(
    tmp_path: Path, to: str, dtype: str, shards: int, width: int
) -> None:
    source = write_random(tmp_path / "source", SMALL)
    before, after = peak_bytes(source, tmp_path / "target", to, dtype, shards)
    print(f"{to} {dtype}: {before / MIB:.0f} MiB before, {after / MIB:.0f} MiB peak")
    assert after - before < 2 * largest_bytes(SMALL, width) + SLACK


@pytest.mark.slow
@pytest.mark.parametrize(("to", "dtype", "shards", "width"), WAYS)
def test_a_billion_parameters_are_converted_within_one_and_a_half_gigabytes(
    tmp_path: Path, to: str, dtype: str, shards: int, width: int
) -> None:
    source = write_random(tmp_path / "source", BILLION)
    before, after = peak_bytes(source, tmp_path / "target", to, dtype, shards)
    print(f"{to} {dtype}: {before / MIB:.0f} MiB before, {after / MIB:.0f} MiB peak")
    assert after < 1.5e9
    assert after - before < 2 * largest_bytes(BILLION, width) + 2 * SLACK
