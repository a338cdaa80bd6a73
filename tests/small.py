"""A small corpus, its tokenizer and a small recipe, for tests that train."""

import functools
import json
from dataclasses import replace
from pathlib import Path

import token_shards
from quipu.config import ModelConfig
from quipu.data.documents import Document
from quipu.data.loading.mixture import LoaderRecipe, Source
from quipu.text.tokenizer import Tokenizer
from quipu.text.vocabulary import train_tokenizer
from quipu.train.recipe import LearningRate, TrainRecipe

VOCAB = 360
MODEL = ModelConfig(
    dim=64, layers=2, heads=2, kv_heads=1, ffn=128, vocab=VOCAB, context=64, rope_theta=1e4
)

# The same, with heads that can be shared out over two processes.
EVEN = replace(MODEL, heads=4, kv_heads=2, head_size=16)


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


def corpus(folder: Path, count: int = 24) -> Path:
    """Token shards of the documents, the last few of them held out, with their tokenizer."""
    texts = [token_shards.Text(document.text) for document in documents(count)]
    token_shards.write(folder, tokenizer(), {"python": texts[:-3], "held-out-python": texts[-3:]})
    (folder / "tokenizer.model").write_bytes(tokenizer_model())
    return folder


def conversation(number: int) -> list[dict[str, str]]:
    """Messages of a dialogue of one to three turns; different numbers, different texts."""
    messages = [{"role": "system", "content": f"Be brief, {number}."}] if number % 3 == 0 else []
    for turn in range(1 + number % 3):
        asked = f"Add {number} to value, {turn} times."
        messages.append({"role": "user", "content": asked})
        messages.append({"role": "assistant", "content": f"value += {number} * {turn}"})
    return messages


def dialogues(folder: Path, count: int = 12) -> Path:
    """So many different dialogues, as the corpus in `folder` has them."""
    (folder / "dialogues").mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"id": i, "messages": conversation(i)}) + "\n" for i in range(count)]
    (folder / "dialogues" / "added.jsonl").write_text("".join(lines))
    return folder


def recipe(steps: int = 8, **changed: object) -> TrainRecipe:
    """A recipe over that corpus: eight rows of 64 tokens a step."""
    values: dict[str, object] = {
        "name": "small",
        "model": MODEL,
        "data": LoaderRecipe(sources=(Source(group="python", weight=1.0),), row_tokens=64),
        "tokens": steps * 512,
        "batch_tokens": 512,
        "learning_rate": LearningRate(warmup_steps=2),
        "milestones": 1,
        "dtype": "float32",
    }
    return TrainRecipe(**(values | changed))  # type: ignore[arg-type]
