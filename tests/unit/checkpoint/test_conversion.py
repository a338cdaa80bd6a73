import errno
import json
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest

from quipu.checkpoint import Checkpoint, as_float32, conversion, convert, open_checkpoint
from quipu.checkpoint.conversion import FORMATS
from quipu.checkpoint.hf import HfWriter
from quipu.checkpoint.tensors import StoredTensor
from quipu.config import Abilities
from quipu.errors import CheckpointError, TokenizerError, UsageError
from unit.checkpoint.conftest import MakeHf
from unit.checkpoint.models import TINY, edit_config, random_weights

TARGETS = ("hf", "meta", "gguf", "native")
ONE_FILE = ("gguf", "native")


def assert_same(path: Path, checkpoint: Checkpoint) -> None:
    """Everything at `path` equals the open checkpoint, bit for bit."""
    found = open_checkpoint(path)
    assert found.config == checkpoint.config
    assert found.abilities == checkpoint.abilities
    assert found.names() == checkpoint.names()
    for name in found.names():
        ours, theirs = found.read(name), checkpoint.read(name)
        assert np.array_equal(as_float32(ours), as_float32(theirs)), name


@pytest.mark.parametrize("dtype", ["f32", "f16", "bf16"])
@pytest.mark.parametrize("through", [(a, b) for a in TARGETS for b in TARGETS])
def test_any_two_layouts_on_the_way_change_no_bit(
    make_hf: MakeHf, tmp_path: Path, through: tuple[str, str], dtype: str
) -> None:
    source = make_hf(dtype=dtype, quipu={"infill": True, "chat": "inst"})
    convert(source, tmp_path / "1", to=through[0], shards=1 if through[0] in ONE_FILE else 2)
    convert(tmp_path / "1", tmp_path / "2", to=through[1])
    convert(tmp_path / "2", tmp_path / "3", to="hf")
    original = open_checkpoint(source)
    for step in "123":
        assert_same(tmp_path / step, original)
    last = open_checkpoint(tmp_path / "3")
    widened = dtype == "f16" and "native" in through
    assert {last.spec(name).dtype for name in last.names()} == {"f32" if widened else dtype}


@pytest.mark.parametrize("to", ONE_FILE)
def test_norms_that_were_widened_stay_wide_if_narrowing_would_lose_bits(
    make_hf: MakeHf, tmp_path: Path, to: str
) -> None:
    weights = random_weights(TINY)
    weights["norm.weight"][3] = np.float32(1 / 3)
    convert(make_hf(weights=weights), tmp_path / "x", to=to, dtype="bf16")
    convert(tmp_path / "x", tmp_path / "hf", to="hf")
    found = open_checkpoint(tmp_path / "hf")
    assert found.spec("norm.weight").dtype == "f32"
    assert found.spec("layers.0.ffn_norm.weight").dtype == "bf16"
    assert as_float32(found.read("norm.weight"))[3] == np.float32(1 / 3)


@pytest.mark.parametrize("to", TARGETS)
@pytest.mark.parametrize("dtype", ["f32", "f16", "bf16", "q8_0"])
def test_weights_are_stored_as_asked(make_hf: MakeHf, tmp_path: Path, to: str, dtype: str) -> None:
    if dtype not in FORMATS[to]:
        return
    convert(make_hf(), tmp_path / "out", to=to, dtype=dtype)
    found = open_checkpoint(tmp_path / "out")
    norm = "f32" if to in ONE_FILE else dtype
    for name in found.names():
        spec = found.spec(name)
        assert spec.dtype == (dtype if len(spec.shape) == 2 else norm)
    if to == "hf":
        names = {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}
        config = json.loads((tmp_path / "out" / "config.json").read_text())
        assert config["torch_dtype"] == names[dtype]


@pytest.mark.parametrize("to", ONE_FILE)
def test_q8_0_equals_the_quantiser_of_gguf_and_comes_back_widened(
    make_hf: MakeHf, tmp_path: Path, to: str
) -> None:
    convert(make_hf(), tmp_path / "x", to=to, dtype="q8_0")
    convert(tmp_path / "x", tmp_path / "hf", to="hf")
    found = open_checkpoint(tmp_path / "hf")
    kind = gguf.GGMLQuantizationType.Q8_0
    for name, array in random_weights(TINY).items():
        assert found.spec(name).dtype == "f32"
        expected = array if array.ndim == 1 else gguf.dequantize(gguf.quantize(array, kind), kind)
        assert np.array_equal(as_float32(found.read(name)), expected)


@pytest.mark.parametrize("through", ONE_FILE)
@pytest.mark.parametrize("dtype", ["q8_0", "q4_0"])
def test_quantised_weights_come_back_to_gguf_untouched(
    make_hf: MakeHf, tmp_path: Path, dtype: str, through: str
) -> None:
    convert(make_hf(), tmp_path / "a.gguf", to="gguf", dtype=dtype)
    convert(tmp_path / "a.gguf", tmp_path / "x", to=through)
    convert(tmp_path / "x", tmp_path / "b.gguf", to="gguf")
    first, second = gguf.GGUFReader(tmp_path / "a.gguf"), gguf.GGUFReader(tmp_path / "b.gguf")
    assert len(first.tensors) == len(second.tensors)
    for a, b in zip(first.tensors, second.tensors, strict=True):
        assert (a.name, a.tensor_type) == (b.name, b.tensor_type)
        assert np.array_equal(a.data, b.data)


def test_progress_counts_every_byte_twice(make_hf: MakeHf, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    source = make_hf()
    size = open_checkpoint(source).weight_bytes()
    convert(
        source, tmp_path / "x", to="hf", progress=lambda done, total: seen.append((done, total))
    )
    assert seen[0] == (0, 2 * size)
    assert seen[-1] == (2 * size, 2 * size)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_a_source_without_theta_is_converted_only_with_one(make_hf: MakeHf, tmp_path: Path) -> None:
    source = make_hf()
    edit_config(source, rope_theta=None)
    with pytest.raises(CheckpointError, match="rope theta is missing"):
        convert(source, tmp_path / "x.gguf", to="gguf")
    convert(source, tmp_path / "x.gguf", to="gguf", rope_theta=1e6)
    assert open_checkpoint(tmp_path / "x.gguf").config == TINY


def test_a_tokenizer_that_does_not_fit_is_refused(make_hf: MakeHf, tmp_path: Path) -> None:
    source = make_hf()
    (source / "added_tokens.json").write_text('{"<pad>": 320}')
    with pytest.raises(TokenizerError, match="got 321 token ids; allowed: 320"):
        convert(source, tmp_path / "x", to="hf")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"to": "onnx"}, "target layout; got onnx; allowed: hf, meta, gguf, native"),
        ({"to": "hf", "dtype": "q8_0"}, "format of weights in hf; got q8_0; allowed: f32, f16, b"),
        ({"to": "gguf", "dtype": "q4_k"}, "got q4_k; allowed: f32, f16, bf16, q8_0, q4_0"),
        ({"to": "gguf", "shards": 2}, "number of shards in gguf; got 2; allowed: 1"),
        ({"to": "native", "dtype": "f16"}, "weights in native; got f16; allowed: f32, bf16, q8_0"),
        ({"to": "native", "shards": 2}, "number of shards in native; got 2; allowed: 1"),
        ({"to": "hf", "shards": 0}, "number of shards in hf; got 0; allowed: 1 or more"),
    ],
)
def test_senseless_arguments_are_refused(
    make_hf: MakeHf, tmp_path: Path, arguments: dict[str, str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        convert(make_hf(), tmp_path / "x", **arguments)


def test_source_and_target_must_differ(make_hf: MakeHf) -> None:
    source = make_hf()
    with pytest.raises(UsageError, match="source and target are the same"):
        convert(source, source / ".." / "model", to="hf", overwrite=True)


def test_an_existing_target_is_kept_unless_told(make_hf: MakeHf, tmp_path: Path) -> None:
    source = make_hf()
    target = tmp_path / "x.gguf"
    target.write_text("precious")
    with pytest.raises(CheckpointError, match=r"x\.gguf: already exists; pass --force"):
        convert(source, target, to="gguf")
    assert target.read_text() == "precious"
    convert(source, target, to="gguf", overwrite=True)
    assert_same(target, open_checkpoint(source))


@pytest.mark.parametrize("former", TARGETS)
@pytest.mark.parametrize("to", TARGETS)
def test_any_layout_overwrites_any_other(
    make_hf: MakeHf, tmp_path: Path, former: str, to: str
) -> None:
    source = make_hf()
    convert(source, tmp_path / "x", to=former)
    convert(source, tmp_path / "x", to=to, overwrite=True)
    assert open_checkpoint(tmp_path / "x").layout == to
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "x"]


def test_a_folder_that_holds_no_model_is_never_overwritten(make_hf: MakeHf, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").write_text("years of work")
    with pytest.raises(CheckpointError, match="holds no model is not overwritten"):
        convert(make_hf(), tmp_path / "home", to="hf", overwrite=True)
    assert (tmp_path / "home" / "thesis.txt").read_text() == "years of work"


def test_a_target_in_a_folder_that_is_not_there_is_refused(make_hf: MakeHf, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such folder; make it first"):
        convert(make_hf(), tmp_path / "absent" / "x", to="hf")


Break = Callable[[], None]


def failing_after(weights: int, error: BaseException) -> Callable[[StoredTensor, str], object]:
    """A cast that gives up in the middle of a conversion."""
    original, seen = conversion.cast, [0]

    def cast(tensor: StoredTensor, dtype: str) -> StoredTensor:
        seen[0] += 1
        if seen[0] > weights:
            raise error
        return original(tensor, dtype)

    return cast


FAILURES = [
    (OSError(errno.ENOSPC, "No space left on device"), CheckpointError, "the disk is full; nothin"),
    (OSError(errno.EIO, "Input/output error"), CheckpointError, "cannot be written; got Input"),
    (KeyboardInterrupt(), KeyboardInterrupt, None),
    (MemoryError(), MemoryError, None),
]


@pytest.mark.parametrize(("error", "expected", "message"), FAILURES)
@pytest.mark.parametrize("weights", [0, 7])
@pytest.mark.parametrize("to", TARGETS)
def test_nothing_is_left_after_a_failure(
    make_hf: MakeHf,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    to: str,
    weights: int,
    error: BaseException,
    expected: type[BaseException],
    message: str | None,
) -> None:
    source, target = make_hf(), tmp_path / "x"
    convert(source, target, to="hf")
    before = {path: path.read_bytes() for path in target.iterdir()}
    monkeypatch.setattr(conversion, "cast", failing_after(weights, error))
    with pytest.raises(expected, match=message):
        convert(source, target, to=to, overwrite=True)
    assert {path: path.read_bytes() for path in target.iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "x"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
@pytest.mark.parametrize("to", TARGETS)
def test_a_disk_that_is_really_full_is_reported(
    make_hf: MakeHf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: str
) -> None:
    """Weights go to /dev/full, which takes nothing; the rest goes where it should."""
    opened = Path.open

    def to_full_disk(path: Path, mode: str = "r", *args: object, **options: object) -> object:
        return opened(Path("/dev/full") if mode in ("r+b", "wb") else path, mode, *args, **options)

    source = make_hf()
    monkeypatch.setattr(Path, "open", to_full_disk)
    with pytest.raises(CheckpointError, match="the disk is full; nothing was left behind"):
        convert(source, tmp_path / "x", to=to)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]


def test_a_disk_known_to_be_too_small_is_refused_before_the_work(
    make_hf: MakeHf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    monkeypatch.setattr(
        shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9 - 10**6, 10**6)
    )
    with pytest.raises(CheckpointError, match="not enough space on the disk; got 1,000,000 bytes"):
        convert(make_hf(), tmp_path / "x", to="hf")


def test_what_was_written_wrongly_is_noticed(
    make_hf: MakeHf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = HfWriter.write

    def write_one_bit_wrong(self: HfWriter, name: str, tensor: StoredTensor) -> None:
        if name == "layers.1.attention.wk.weight":
            tensor.data.view(np.uint8)[5, 7] ^= 1
        write(self, name, tensor)

    monkeypatch.setattr(HfWriter, "write", write_one_bit_wrong)
    with pytest.raises(CheckpointError, match=r"not what was read; got layers\.1\.attention\.wk"):
        convert(make_hf(), tmp_path / "x", to="hf")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]


def test_a_name_that_says_instruct_is_carried_on_as_an_ability(
    make_hf: MakeHf, tmp_path: Path
) -> None:
    convert(make_hf(name="Tiny-Instruct"), tmp_path / "x.gguf", to="gguf")
    convert(tmp_path / "x.gguf", tmp_path / "y", to="meta")
    convert(tmp_path / "y", tmp_path / "z", to="hf")
    assert open_checkpoint(tmp_path / "z").abilities == Abilities(infill=True, chat="inst")
