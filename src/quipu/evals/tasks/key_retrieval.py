"""Key retrieval: a function among many returns a number that is asked for at the end.

Protocol of the Code Llama paper, table 17: a context of so many tokens, in which one function
returns two digits, at 0, 0.2 or 0.4 of the context; it ends `assert my_function() == `; greedy; 64
examples for each length and place; right if the first number of the answer is the value. The
paper's filler is solutions from a contest set. Here it is functions written by this module, which
anybody can make again, or the user's texts: JSON lines with `text`, in
`key-retrieval/filler.jsonl`.

Lengths count tokens of the model at hand, so prompts are made with its tokenizer, and this is a
task that measures: a length that does not fit the model's context is left out.
"""

import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from quipu.errors import AbilityError, DataError
from quipu.evals.data import Source
from quipu.evals.task import Declaration, Decoding, Published
from quipu.evals.tasks.lines import rows
from quipu.llm import LLM
from quipu.text.tokenizer import Tokenizer

PAPER = "arXiv 2308.12950, table 17"
FILLER = Source(path="key-retrieval/filler.jsonl", sha256="")
KEY = (
    "def my_function() -> int:\n"
    '    """Note that this function is used at the end\n    """\n'
    "    return {value}\n\n"
)
QUESTION = "assert my_function() == "
PLACES = (0.0, 0.2, 0.4)
_ANSWER_TOKENS = 8
_NUMBER = re.compile(r"\s*(\d+)")
_SCORES = {  # at 0, 0.2, 0.4 of 8,000, 16,000 and 24,000 tokens
    "Code Llama 7B": ((100, 95.3, 100), (54.7, 100, 98.4), (3.1, 85.9, 85.9)),
    "Code Llama 13B": ((100, 100, 100), (100, 100, 100), (100, 89.1, 6.3)),
    "Code Llama 34B": ((76.6, 100, 100), (95.3, 96.9, 100), (81.3, 0.0, 81.3)),
    "Code Llama - Instruct 7B": ((100, 97.7, 100), (7.0, 96.9, 96.1), (0, 62.5, 54.7)),
    "Code Llama - Instruct 13B": ((100, 100, 100), (100, 100, 93.8), (4.7, 84.4, 100)),
    "Code Llama - Instruct 34B": ((92.2, 100, 100), (68.8, 95.3, 100), (46.9, 0, 85.9)),
}
_VERBS = [
    "count",
    "merge",
    "split",
    "rank",
    "shift",
    "pack",
    "trim",
    "scale",
    "fold",
    "join",
    "pick",
    "turn",
]
_NOUNS = [
    "rows",
    "names",
    "edges",
    "words",
    "dates",
    "codes",
    "sums",
    "parts",
    "steps",
    "tags",
    "bytes",
    "keys",
]
_BODIES = (
    "    total = {a}\n    for item in values:\n        total += item * {b}\n    return total\n",
    "    found = [item for item in values if item % {b} == {c}]\n    return found[:{a}]\n",
    "    best = {a}\n    for item in values:\n        if item > best + {c}:\n"
    "            best = item - {b}\n    return best\n",
    "    seen = {{}}\n    for item in values:\n        seen[item % {b}] = seen.get(item, {c})\n"
    "    return sorted(seen)[-{a}:]\n",
)


@dataclass(frozen=True, kw_only=True)
class KeyRetrieval:
    """Implements `Measured` and `Bounded`."""

    lengths: tuple[int, ...] = (1_000, 2_000, 4_000, 8_000, 16_000, 24_000)
    places: tuple[float, ...] = PLACES
    examples: int = 64
    filler: Source | None = None  # the user's texts in place of generated functions

    @property
    def declaration(self) -> Declaration:
        kind = "the user's texts" if self.filler else "generated functions"
        return Declaration(
            name="key-retrieval-own-filler" if self.filler else "key-retrieval",
            title="Key retrieval by length and place",
            protocol=f"{self.examples} examples for each length (tokens of the model) and place;"
            f" filler: {kind}; greedy; the answer's first number; lengths that a model has no room"
            " for are left out",
            source=PAPER,
            measure="mean",
            decoding=Decoding(max_tokens=_ANSWER_TOKENS),
            data=(self.filler,) if self.filler else (),
            published=tuple(
                Published(
                    model=model,
                    measure=cell(length, place),
                    value=value,
                    source=PAPER,
                    protocol="filler: solutions from a contest set",
                )
                for model, table in _SCORES.items()
                for length, row in zip((8_000, 16_000, 24_000), table, strict=True)
                for place, value in zip(PLACES, row, strict=True)
            ),
        )

    def measure(
        self, llm: LLM, files: Mapping[str, bytes], told: Callable[[int, int], None]
    ) -> Mapping[str, float]:
        fitting = [n for n in self.lengths if _fits(n, llm.info.context)]
        cells = [(length, place) for length in fitting for place in self.places]
        if not cells:
            raise AbilityError(
                f"model {llm.info.name} has too short a context for key retrieval",
                got=llm.info.context,
                allowed=f"at least {min(self.lengths) + _ANSWER_TOKENS + 1} tokens",
            )
        texts = self._texts(files)
        found: dict[str, float] = {}
        for number, (length, place) in enumerate(cells):
            right = 0
            for example in range(self.examples):
                dice = random.Random(f"{length} {place} {example}")
                value = dice.randrange(10, 100)
                text = prompt(llm.tokenizer, _filler(dice, texts), value, length, place)
                answer = llm.complete(text, heal=False, temperature=0.0, max_tokens=_ANSWER_TOKENS)
                right += correct(answer.text, value)
                told(number * self.examples + example + 1, len(cells) * self.examples)
            found[cell(length, place)] = 100 * right / self.examples
        return found

    def left_out(self, context: int) -> str:
        lengths = [f"{n:,}" for n in self.lengths if not _fits(n, context)]
        if not lengths:
            return ""
        return f"lengths of {', '.join(lengths)} tokens: the model's context has {context:,}"

    def _texts(self, files: Mapping[str, bytes]) -> Sequence[str]:
        if self.filler is None:
            return ()
        name = self.filler.name
        texts = [str(row["text"]) for row in rows(name, files[name], ("text",))]
        if not any(text.strip() for text in texts):
            raise DataError(f"filler {name}", got="no text", allowed='lines {"text": …}')
        return [text for text in texts if text.strip()]


def _fits(length: int, context: int) -> bool:
    return length + _ANSWER_TOKENS + 1 <= context


def cell(length: int, place: float) -> str:
    """The measure's name."""
    return f"{length} tokens, key at {place:g}"


def prompt(
    tokenizer: Tokenizer, filler: Iterator[str], value: int, length: int, place: float
) -> str:
    """At most so many tokens, and as near to that as whole texts of the filler allow."""
    key = KEY.format(value=value)
    sizes: list[int] = []
    parts: list[str] = []
    room = length - len(tokenizer.encode(key + QUESTION))
    while sum(sizes) < room:
        part = next(filler)
        parts.append(part)
        sizes.append(max(1, len(tokenizer.encode(part))))
    while parts:
        if sum(sizes) <= room:
            before = sum(sum(sizes[: n + 1]) <= place * sum(sizes) for n in range(len(parts)))
            text = "".join([*parts[:before], key, *parts[before:], QUESTION])
            if len(tokenizer.encode(text)) <= length:
                return text
        parts.pop()
        sizes.pop()
    return key + QUESTION


def correct(answer: str, value: int) -> bool:
    """Whether the answer begins with the number."""
    found = _NUMBER.match(answer)
    return found is not None and int(found[1]) == value


def _filler(dice: random.Random, texts: Sequence[str]) -> Iterator[str]:
    while True:
        if texts:
            yield f"{dice.choice(texts).strip()}\n\n"
            continue
        a, b, c = dice.randrange(1, 100), dice.randrange(2, 30), dice.randrange(1, 20)
        name = f"{dice.choice(_VERBS)}_{dice.choice(_NOUNS)}_{dice.randrange(1000)}"
        yield f"def {name}(values):\n{dice.choice(_BODIES).format(a=a, b=b, c=c)}\n"
