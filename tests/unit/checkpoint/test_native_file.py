"""The native file: what is in it, how it is mapped, and what a spoiled one is told."""

import contextlib
import itertools
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open

import quipu
from quipu.checkpoint import as_float32, convert, describe, open_checkpoint
from quipu.checkpoint.packing import PackedWeight, pack, read_packed, unpack
from quipu.checkpoint.tensors import cast
from quipu.config import Abilities, ModelConfig, RopeScaling
from quipu.errors import CheckpointError, QuipuError
from unit.checkpoint.conftest import MakeHf
from unit.checkpoint.models import TINY, header_of, random_weights

NAME = "layers.1.feed_forward.w2.weight"
DTYPES = ("f32", "bf16", "q8_0", "q4_0")
Change = Callable[[dict[str, object]], object]


@pytest.fixture
def native(make_hf: MakeHf, tmp_path: Path) -> Callable[..., Path]:
    """Write a native file of random weights."""

    def make(dtype: str | None = None, config: ModelConfig = TINY, **changes: object) -> Path:
        convert(make_hf(config, **changes), tmp_path / "x.quipu", to="native", dtype=dtype)
        return tmp_path / "x.quipu"

    return make


def rewritten(path: Path, change: Change) -> Path:
    """Change the header; offsets count from its end."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = header_of(path)
    change(header)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % 64)
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + size :])
    return path


def about(change: Change) -> Change:
    """A change of what stands under `quipu`."""

    def changed(header: dict[str, object]) -> None:
        metadata = header["__metadata__"]
        assert isinstance(metadata, dict)
        values = json.loads(metadata["quipu"])
        change(values)
        metadata["quipu"] = json.dumps(values)

    return changed


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_safetensors_library_reads_the_file(native: Callable[..., Path], dtype: str) -> None:
    path = native(dtype)
    checkpoint = open_checkpoint(path)
    with safe_open(path, "pt") as file:
        assert set(file.metadata()) == {"quipu"}
        for name in checkpoint.names():
            tensor = file.get_tensor(name)
            if name + ".scales" in file.keys():  # noqa: SIM118  (not a dict)
                assert tensor.shape[:2] == file.get_tensor(name + ".scales").shape[:2]
        assert (
            file.get_tensor("norm.weight").tolist() == random_weights(TINY)["norm.weight"].tolist()
        )


def test_matrices_come_first_at_multiples_of_64_bytes_and_nothing_lies_between(
    native: Callable[..., Path],
) -> None:
    path = native("q8_0")
    start = 8 + int.from_bytes(path.read_bytes()[:8], "little")
    header = header_of(path)
    assert next(iter(header)) == "__metadata__"
    del header["__metadata__"]
    places = [entry["data_offsets"] for entry in header.values()]
    assert places[0][0] == 0
    assert all(a[1] == b[0] for a, b in itertools.pairwise(places))
    assert start + places[-1][1] == path.stat().st_size
    weights = open_checkpoint(path).weights
    matrices = [weight for weight in weights.values() if isinstance(weight, PackedWeight)]
    assert len(matrices) == 16
    assert all(weight.values_at % 64 == 0 for weight in matrices)
    kinds = [
        "tokenizer" if "/" in name else "scales" if name.endswith("scales") else entry["dtype"]
        for name, entry in header.items()
    ]
    assert list(dict.fromkeys(kinds)) == ["U8", "F32", "scales", "tokenizer"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_weight_is_read_as_the_cast_of_its_source(
    native: Callable[..., Path], tmp_path: Path, dtype: str
) -> None:
    found, source = open_checkpoint(native(dtype)), open_checkpoint(tmp_path / "model")
    for name in found.names():
        expected = source.read(name)
        stored = "f32" if len(expected.shape) == 1 else dtype
        tensor = found.read(name)
        if stored == "q4_0" and name in ("tok_embeddings.weight", "output.weight"):
            stored = "q8_0"
        assert (tensor.dtype, tensor.shape) == (stored, expected.shape)
        assert np.array_equal(as_float32(tensor), as_float32(cast(expected, stored)))


def test_configuration_abilities_name_and_tokenizer_travel_along(
    native: Callable[..., Path], tmp_path: Path
) -> None:
    scaling = RopeScaling(kind="linear", factor=4.0)
    changes: dict[str, object] = {"rope_scaling": {"type": "linear", "factor": 4.0}}
    config = replace(TINY, tied=True, norm_eps=1e-6, rope_scaling=scaling)
    found = open_checkpoint(
        native(config=config, quipu={"infill": True, "chat": "inst"}, **changes)
    )
    assert found.config == config
    assert found.abilities == Abilities(infill=True, chat="inst")
    assert (found.layout, found.name) == ("native", "model")
    assert found.tokenizer_files() == open_checkpoint(tmp_path / "model").tokenizer_files()


def test_a_vocabulary_that_panels_do_not_divide_keeps_its_size(
    native: Callable[..., Path],
) -> None:
    found = open_checkpoint(native("q8_0", config=replace(TINY, vocab=321)))
    assert found.config.vocab == 321
    assert found.read("output.weight").shape == (321, 64)


def test_theta_can_be_overruled(native: Callable[..., Path]) -> None:
    assert open_checkpoint(native(), rope_theta=5e5).config.rope_theta == 5e5


def test_a_matrix_is_mapped_read_only_without_a_copy(native: Callable[..., Path]) -> None:
    path = native("q4_0")
    path.chmod(0o444)
    checkpoint = open_checkpoint(path)
    packed, other = read_packed(checkpoint, NAME), read_packed(checkpoint, "output.weight")
    assert (packed.format, other.format) == ("int4", "int8")
    assert packed.scales is not None
    for array in (packed.values, packed.scales, other.values):
        assert not array.flags.writeable
        assert not array.flags.owndata
        assert type(array) is np.ndarray
    between = other.values.ctypes.data - packed.values.ctypes.data
    weights = checkpoint.weights
    assert between == weights["output.weight"].values_at - weights[NAME].values_at  # one mapping
    assert packed.values.ctypes.data % 64 == 0
    expected = pack(checkpoint.read(NAME), "int4")
    assert np.array_equal(packed.values, expected.values)
    assert np.array_equal(packed.scales, expected.scales)


def test_the_mapping_outlives_checkpoint_and_file(native: Callable[..., Path]) -> None:
    path = native("q8_0")
    checkpoint = open_checkpoint(path)
    expected = checkpoint.read(NAME)
    packed = read_packed(checkpoint, NAME)
    checkpoint.close()
    del checkpoint
    path.unlink()
    assert np.array_equal(unpack(packed).data, expected.data)


def test_another_format_than_the_files_own_is_packed_anew(native: Callable[..., Path]) -> None:
    checkpoint = open_checkpoint(native("bf16"))
    assert read_packed(checkpoint, NAME).format == "bf16"
    packed = read_packed(checkpoint, NAME, "int8")
    assert np.array_equal(packed.values, pack(checkpoint.read(NAME), "int8").values)


def test_processes_share_a_file(native: Callable[..., Path]) -> None:
    path = native("q8_0")
    code = (
        "import sys; from pathlib import Path\n"
        "from quipu.checkpoint import open_checkpoint\n"
        "from quipu.checkpoint.packing import read_packed\n"
        f"packed = read_packed(open_checkpoint(Path(sys.argv[1])), {NAME!r})\n"
        "print(packed.values.sum(), flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(path)]
    source = str(Path(quipu.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": source}
    with (
        subprocess.Popen(command, env=environment, stdin=-1, stdout=-1, text=True) as one,
        subprocess.Popen(command, env=environment, stdin=-1, stdout=-1, text=True) as other,
    ):
        assert one.stdout is not None
        assert other.stdout is not None
        totals = {int(one.stdout.readline()), int(other.stdout.readline())}
        one.communicate()
        other.communicate()
    assert totals == {int(read_packed(open_checkpoint(path), NAME).values.sum())}


def test_a_description_tells_the_formats(native: Callable[..., Path]) -> None:
    found = describe(open_checkpoint(native("q4_0")))
    assert found.layout == "native"
    assert found.formats == {"q8_0": 2, "f32": 5, "q4_0": 14}


def test_inputs_that_groups_do_not_divide_are_refused_and_nothing_is_left(
    make_hf: MakeHf, tmp_path: Path
) -> None:
    source = make_hf(replace(TINY, ffn=100))
    with pytest.raises(CheckpointError, match="got 100 inputs; allowed: a multiple of 32"):
        convert(source, tmp_path / "x.quipu", to="native")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]


def test_a_file_that_is_cut_after_it_was_opened_is_refused(native: Callable[..., Path]) -> None:
    path = native("q8_0")
    checkpoint = open_checkpoint(path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(CheckpointError, match="truncated"):
        read_packed(checkpoint, "output.weight")
    path.write_bytes(b"")
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_packed(open_checkpoint_of(checkpoint, path), "output.weight")


def open_checkpoint_of(checkpoint: object, path: Path) -> object:
    """The same checkpoint, its file not mapped yet."""
    from quipu.checkpoint.checkpoint import Checkpoint
    from quipu.checkpoint.files import MappedFile

    assert isinstance(checkpoint, Checkpoint)
    weight = checkpoint.weights["output.weight"]
    assert isinstance(weight, PackedWeight)
    weights: Mapping[str, PackedWeight] = {"output.weight": replace(weight, file=MappedFile(path))}
    return replace(checkpoint, weights=weights)


SCALES = NAME + ".scales"


def offsets(name: str, first: int, last: int) -> Change:
    """Move a tensor."""
    return lambda header: header[name].update(data_offsets=[first, last])


SPOILED: dict[str, tuple[Change, str]] = {
    "no tensor": (lambda h: h.pop(NAME), "weights are missing"),
    "no scales": (lambda h: h.pop(SCALES), "scales is missing"),
    "no norm": (lambda h: h.pop("norm.weight"), "weights are missing; got norm.weight"),
    "a stranger": (lambda h: h.update(bias=h[NAME]), "overlaps|does not have"),
    "a bias": (
        lambda h: h.update({"output.bias": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}}),
        "that a Llama model does not have",
    ),
    "overlap": (lambda h: h[SCALES].update(h["output.weight.scales"]), "overlaps another tensor"),
    "shape": (lambda h: h[NAME].update(shape=[3072]), "does not fit configuration and format"),
    "dtype": (lambda h: h[SCALES].update(dtype="BF16"), "does not fit configuration and format"),
    "norm dtype": (lambda h: h["norm.weight"].update(dtype="I32"), "norm.weight is stored as i32"),
    "norm shape": (lambda h: h["norm.weight"].update(shape=[8, 8]), "has the wrong shape"),
    "backwards": (lambda h: h[NAME].update(data_offsets=[64, 0]), "not a safetensors file"),
    "negative": (lambda h: h[NAME].update(data_offsets=[-64, 0]), "data_offsets"),
    "beyond the end": (
        lambda h: h[NAME].update(data_offsets=[10**9, 10**9 + 3072]),
        "file is truncated",
    ),
    "size": (lambda h: h[NAME].update(data_offsets=[0, 1]), "not a safetensors file"),
    "no object": (lambda h: h.update({NAME: 7}), "allowed: an object"),
    "metadata": (lambda h: h["__metadata__"].update(quipu="{"), "header is malformed"),
    "metadata list": (lambda h: h["__metadata__"].update(quipu="[]"), "header is malformed"),
    "metadata deep": (lambda h: h["__metadata__"].update(quipu="[" * 9000), "header is malformed"),
    "metadata type": (lambda h: h["__metadata__"].update(quipu=3), "allowed: text"),
    "version": (about(lambda a: a.update(version=2)), "file version 2; allowed: 1; convert the"),
    "no version": (about(lambda a: a.pop("version")), "version is missing"),
    "no config": (about(lambda a: a.pop("config")), "config is missing"),
    "no theta": (about(lambda a: a["config"].pop("rope_theta")), "rope theta is missing"),
    "no vocabulary": (about(lambda a: a["config"].pop("vocab_size")), "vocab_size is missing"),
    "vocabulary": (
        about(lambda a: a["config"].update(vocab_size=400)),
        "does not fit configuration and form",
    ),
    "more layers": (
        about(lambda a: a["config"].update(num_hidden_layers=3)),
        "weights are missing",
    ),
    "endless layers": (
        about(lambda a: a["config"].update(num_hidden_layers=10**12)),
        "weights are missing",
    ),
    "fewer layers": (
        about(lambda a: a["config"].update(num_hidden_layers=1)),
        "more weights than the config",
    ),
    "tied": (
        about(lambda a: a["config"].update(tie_word_embeddings=True)),
        "more weights than the conf",
    ),
    "width": (about(lambda a: a["config"].update(hidden_size=96)), "does not fit|wrong shape"),
    "odd width": (about(lambda a: a["config"].update(intermediate_size=100)), "does not fit"),
    "no formats": (about(lambda a: a.pop("formats")), "format of tok_embeddings.weight"),
    "format": (
        about(lambda a: a["formats"].update({NAME: "int5"})),
        "got int5; allowed: fp32, bf16, int8, int4",
    ),
    "other format": (
        about(lambda a: a["formats"].update({NAME: "int8"})),
        "does not fit configuration and form",
    ),
    "chat": (about(lambda a: a["config"]["quipu"].update(chat="alpaca")), "allowed: inst, source"),
}


@pytest.mark.parametrize("kind", SPOILED)
def test_a_spoiled_header_is_told_what_is_wrong(native: Callable[..., Path], kind: str) -> None:
    change, message = SPOILED[kind]
    path = rewritten(native("q4_0"), change)
    with pytest.raises(CheckpointError, match=message):
        open_checkpoint(path)


def test_a_matrix_at_an_odd_place_is_refused(native: Callable[..., Path]) -> None:
    path = native("q8_0")
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    moved = (size + 16).to_bytes(8, "little") + data[8 : 8 + size] + b" " * 16 + data[8 + size :]
    path.write_bytes(moved)
    with pytest.raises(CheckpointError, match=r"lies at an odd place; .* a multiple of 64"):
        open_checkpoint(path)


@pytest.mark.parametrize("content", [b"", b"{}", b"\0" * 100, b"x" * 100])
def test_another_file_by_that_name_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.quipu"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="not a native file, or truncated"):
        open_checkpoint(path)


@pytest.mark.parametrize("size", [0, 1, 0xFF, 2**30, 2**63])
def test_a_wrong_length_of_the_header_is_refused(native: Callable[..., Path], size: int) -> None:
    path = native("q8_0")
    path.write_bytes(size.to_bytes(8, "little") + path.read_bytes()[8:])
    with pytest.raises(CheckpointError):
        open_checkpoint(path)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a small native file without tokenizer, its header the most of it."""
    from unit.checkpoint.models import config_values, hf_name, write_safetensors

    folder = tmp_path_factory.mktemp("small") / "model"
    folder.mkdir()
    config = replace(TINY, dim=32, heads=2, kv_heads=2, ffn=32, vocab=16, layers=1)
    stored = {hf_name(name): array for name, array in random_weights(config).items()}
    write_safetensors(folder / "model.safetensors", stored, "f32")
    (folder / "config.json").write_text(json.dumps(config_values(config)))
    convert(folder, folder / "x.quipu", to="native", dtype="q4_0")
    return (folder / "x.quipu").read_bytes()


@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_changed_bytes_never_give_a_foreign_error(
    tmp_path_factory: pytest.TempPathFactory, small: bytes, data: st.DataObject
) -> None:
    content = bytearray(small)
    head = 8 + int.from_bytes(small[:8], "little")
    places = st.integers(0, len(content) - 1) | st.integers(0, head)
    for place in data.draw(st.lists(places, min_size=1, max_size=4)):
        content[place] = data.draw(st.integers(0, 255) | st.sampled_from(list(b'0123456789{}[]",')))
    path = tmp_path_factory.mktemp("fuzz") / "x.quipu"
    path.write_bytes(content)
    with contextlib.suppress(QuipuError):
        checkpoint = open_checkpoint(path)
        describe(checkpoint)
        for name in checkpoint.names():
            tensor = checkpoint.read(name)
            if len(tensor.shape) == 2:
                assert math.prod(tensor.shape) <= 8 * len(content)
                read_packed(checkpoint, name)
