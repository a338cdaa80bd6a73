"""Whatever happens to the bytes of a checkpoint, what comes out is an error of ours."""

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quipu.checkpoint import convert, describe, open_checkpoint
from quipu.errors import QuipuError
from unit.checkpoint.models import (
    TINY,
    bits,
    config_values,
    hf_name,
    random_weights,
    write_safetensors,
)

TARGETS = ("hf", "meta", "gguf", "native")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, tokenizer_model: bytes) -> dict[str, Path]:
    """One checkpoint in every layout."""
    folder = tmp_path_factory.mktemp("whole")
    source = folder / "hf"
    source.mkdir()
    stored = {hf_name(name): bits(array, "f16") for name, array in random_weights(TINY).items()}
    write_safetensors(source / "model.safetensors", stored, "f16")
    (source / "config.json").write_text(json.dumps(config_values(TINY)))
    (source / "tokenizer.model").write_bytes(tokenizer_model)
    convert(source, folder / "meta", to="meta")
    convert(source, folder / "x.gguf", to="gguf")
    convert(source, folder / "x.quipu", to="native", dtype="q4_0")
    return {
        "hf": source,
        "meta": folder / "meta",
        "gguf": folder / "x.gguf",
        "native": folder / "x.quipu",
    }


def copied(source: Path, folder: Path) -> tuple[Path, list[Path]]:
    """A copy of a checkpoint, and its files."""
    files = [source] if source.is_file() else sorted(source.iterdir())
    for path in files:
        (folder / path.name).write_bytes(path.read_bytes())
    target = folder / source.name if source.is_file() else folder
    return target, [folder / path.name for path in files]


@settings(deadline=None, max_examples=60)
@given(size=st.integers(0, 130_000), layout=st.sampled_from(TARGETS))
def test_weights_cut_anywhere_are_refused(
    tmp_path_factory: pytest.TempPathFactory, whole: dict[str, Path], size: int, layout: str
) -> None:
    target, files = copied(whole[layout], tmp_path_factory.mktemp("cut"))
    path = next(
        path for path in files if path.suffix in (".safetensors", ".pth", ".gguf", ".quipu")
    )
    data = path.read_bytes()
    path.write_bytes(data[: min(size, len(data) - 64)])
    with pytest.raises(QuipuError):
        open_checkpoint(target)


@settings(deadline=None, max_examples=60)
@given(data=st.data(), layout=st.sampled_from(TARGETS))
def test_a_changed_byte_never_gives_a_foreign_error(
    tmp_path_factory: pytest.TempPathFactory,
    whole: dict[str, Path],
    layout: str,
    data: st.DataObject,
) -> None:
    target, files = copied(whole[layout], tmp_path_factory.mktemp("spoiled"))
    path = data.draw(st.sampled_from(files))
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, min(len(content), 20_000) - 1))
    content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with contextlib.suppress(QuipuError):
        describe(open_checkpoint(target))
