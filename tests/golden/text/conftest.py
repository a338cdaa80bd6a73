"""Vocabularies whose ids are golden."""

import pytest

from quipu.text.tokenizer import Tokenizer
from unit.text import vocabularies


def _load(model: bytes) -> Tokenizer:
    return Tokenizer.from_files({"tokenizer.model": model})


@pytest.fixture(scope="session")
def handmade() -> Tokenizer:
    return _load(vocabularies.handmade_model())


@pytest.fixture(scope="session")
def handmade_with_step() -> Tokenizer:
    return _load(vocabularies.handmade_model(["<step>"]))


@pytest.fixture(scope="session")
def code_llama() -> Tokenizer:
    """The vocabulary of 7B and 13B."""
    return _load(vocabularies.code_llama_model())


@pytest.fixture(scope="session")
def code_llama_70b() -> Tokenizer:
    """The vocabulary of 70B Instruct, with `<step>`."""
    return _load(vocabularies.code_llama_model(step=True))
