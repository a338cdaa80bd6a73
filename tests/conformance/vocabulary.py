"""A small vocabulary, trained in a moment on our own sources."""

import functools
from pathlib import Path

from quipu.text.tokenizer import Tokenizer
from quipu.text.vocabulary import train_tokenizer

VOCAB = 384
ENGINE = Path(__file__).resolve().parents[2] / "src" / "quipu" / "engine"


@functools.cache
def model_file() -> bytes:
    """Content of its tokenizer.model."""
    texts = (path.read_text(encoding="utf-8") for path in sorted(ENGINE.glob("*.py")))
    return train_tokenizer(texts, VOCAB)


@functools.cache
def tokenizer() -> Tokenizer:
    return Tokenizer.from_files({"tokenizer.model": model_file()})
