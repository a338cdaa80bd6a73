"""A small corpus, its tokenizer and a small recipe, for tests that train."""

import functools
from pathlib import Path

from quipu.config import ModelConfig
from quipu.data.documents import Document, Folder
from quipu.data.packing import Infilling
from quipu.text.tokenizer import Tokenizer
from quipu.text.vocabulary import train_tokenizer
from quipu.train.recipe import TrainRecipe

VOCAB = 360
MODEL = ModelConfig(
    dim=64, layers=2, heads=2, kv_heads=1, ffn=128, vocab=VOCAB, context=64, rope_theta=1e4
)


def source(number: int) -> str:
    """A module of a few functions; different numbers, different texts."""
    return "".join(
        f"def step_{number}_{i}(value, count={i}):\n"
        f'    """Add {number} to value, {i} times."""\n'
        f"    for _ in range(count):\n        value += {number}\n    return value\n\n\n"
        for i in range(1 + number % 4)
    )


def documents(count: int = 24) -> list[Document]:
    """So many different modules."""
    return [Document(id=f"small/m{i}.py", text=source(i)) for i in range(count)]


@functools.cache
def tokenizer_model() -> bytes:
    """A tokenizer.model trained on the corpus."""
    return train_tokenizer((document.text for document in documents()), VOCAB)


@functools.cache
def tokenizer() -> Tokenizer:
    """The tokenizer of that file."""
    return Tokenizer.from_files({"tokenizer.model": tokenizer_model()})


def recipe(folder: Path, steps: int = 8) -> TrainRecipe:
    """A recipe over the corpus, which is written to `folder`."""
    folder.mkdir(exist_ok=True)
    for document in documents():
        (folder / Path(document.id).name).write_text(document.text)
    return TrainRecipe(
        name="small",
        model=MODEL,
        sources=(Folder(name="small", root=folder),),
        tokens=steps * 512,
        batch_tokens=512,
        part_characters=300,
        held_out=0.1,
        infilling=Infilling(rate=0.5, spm=0.5),
    )
