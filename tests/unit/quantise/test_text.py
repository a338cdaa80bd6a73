from pathlib import Path

import numpy as np
import pytest

from quipu.errors import UsageError
from quipu.llm import TRAINED, model_path
from quipu.quantise.text import read_tokens
from quipu.text.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """The embedded model's."""
    return Tokenizer.load(model_path(TRAINED))


def test_the_standard_library_is_the_default_and_always_the_same(tokenizer: Tokenizer) -> None:
    first = read_tokens(tokenizer, None, count=6, length=64)
    assert first.shape == (6, 64)
    assert first.dtype == np.int32
    assert np.array_equal(first, read_tokens(tokenizer, None, count=6, length=64))
    begins = first[:, 0] == tokenizer.bos_id
    assert begins.sum() >= 3  # two of each file at most


def test_a_file_is_read_to_its_end(tokenizer: Tokenizer, tmp_path: Path) -> None:
    text = "".join(f"value_{number} = {number}\n" for number in range(500))
    (tmp_path / "x.txt").write_text(text)
    ids = [tokenizer.bos_id, *tokenizer.encode(text)]
    found = read_tokens(tokenizer, tmp_path / "x.txt", count=1000, length=32)
    assert len(found) == len(ids) // 32
    assert found.ravel().tolist() == ids[: found.size]
    assert len(read_tokens(tokenizer, tmp_path / "x.txt", count=3, length=32)) == 3


def test_of_a_folder_come_two_sequences_of_each_text_file(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / ".git").mkdir()
    for name in ("a.py", "inner/b.rs", ".git/c", ".hidden"):
        (tmp_path / name).write_text("x = 1\n" * 500)
    (tmp_path / "image").write_bytes(b"\xff\xfe" * 5000)
    (tmp_path / "short").write_text("x = 1\n")
    assert len(read_tokens(tokenizer, tmp_path, count=100, length=64)) == 4


@pytest.mark.parametrize("name", ["empty", "short", "binary", "folder"])
def test_without_one_whole_sequence_it_is_refused(
    tokenizer: Tokenizer, tmp_path: Path, name: str
) -> None:
    (tmp_path / "empty").write_text("")
    (tmp_path / "short").write_text("x = 1\n")
    (tmp_path / "binary").write_bytes(b"\xff" * 5000)
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match=r"text to calibrate with.*64 tokens or more"):
        read_tokens(tokenizer, tmp_path / name, count=4, length=64)
