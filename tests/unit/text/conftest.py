"""Vocabularies that the tests of text share, each made once."""

import pytest

from quipu.text.tokenizer import Tokenizer
from unit.text import vocabularies


@pytest.fixture(scope="session")
def tiny_model() -> bytes:
    return vocabularies.tiny_model()


@pytest.fixture(scope="session")
def tiny(tiny_model: bytes) -> Tokenizer:
    return Tokenizer.from_files({"tokenizer.model": tiny_model})


@pytest.fixture(scope="session")
def handmade() -> Tokenizer:
    return Tokenizer.from_files({"tokenizer.model": vocabularies.handmade_model()})


@pytest.fixture(scope="session", params=["sentencepiece", "prepend", "metaspace", "byte-level"])
def any_tokenizer(request: pytest.FixtureRequest, tiny_model: bytes) -> Tokenizer:
    """One tokenizer of each kind that is read."""
    if request.param == "sentencepiece":
        return Tokenizer.from_files({"tokenizer.model": tiny_model})
    if request.param == "byte-level":
        return vocabularies.from_json(vocabularies.byte_level_json())
    return vocabularies.from_json(
        vocabularies.llama_json(tiny_model, metaspace=request.param == "metaspace")
    )


@pytest.fixture(scope="session")
def code_llama_model() -> bytes:
    if not vocabularies.SHARED.is_dir():
        pytest.skip("needs ../shared/data/tokenizer")
    return vocabularies.code_llama_model()


@pytest.fixture(scope="session")
def code_llama(code_llama_model: bytes) -> Tokenizer:
    return Tokenizer.from_files({"tokenizer.model": code_llama_model})


@pytest.fixture(scope="session")
def code_llama_70b() -> Tokenizer:
    if not vocabularies.SHARED.is_dir():
        pytest.skip("needs ../shared/data/tokenizer")
    return Tokenizer.from_files({"tokenizer.model": vocabularies.code_llama_model(step=True)})
