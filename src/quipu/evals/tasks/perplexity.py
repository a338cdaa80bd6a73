"""Perplexity by length of context, on documents of the user's.

The Code Llama paper, figure 4a, draws perplexity against context for 4 million tokens of files of
at least 50 kB; it prints no numbers. Here: every document from BOS, up to the model's context; each
token's log-probability counts where it stands, in ranges of positions that double, and perplexity
is over all tokens of a range. A document that ends in a range counts up to its end, so that later
ranges are of longer documents: `tokens` says how many each is of. Also over all: perplexity and
bits per byte, which alone can be compared between tokenizers.

The file is the user's: JSON lines with `text`.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from quipu.errors import DataError
from quipu.evals.data import Source
from quipu.evals.task import Declaration, Decoding
from quipu.evals.tasks.lines import rows
from quipu.llm import LLM

FIRST = 128  # positions of the first range


@dataclass(frozen=True, kw_only=True)
class Perplexity:
    """Implements `Measured`."""

    source: Source = Source(path="perplexity/documents.jsonl", sha256="")

    @property
    def declaration(self) -> Declaration:
        return Declaration(
            name="perplexity",
            title="Perplexity by context",
            protocol="documents from BOS up to the model's context; perplexity of all tokens at"
            f" positions below {FIRST}, and of ranges that double from there",
            source="arXiv 2308.12950, figure 4a, which prints no numbers",
            measure="mean",
            decoding=Decoding(max_tokens=1),
            data=(self.source,),
        )

    def measure(
        self, llm: LLM, files: Mapping[str, bytes], told: Callable[[int, int], None]
    ) -> Mapping[str, float]:
        name = self.source.name
        texts = [str(row["text"]) for row in rows(name, files[name], ("text",))]
        scored: list[npt.NDArray[np.float64]] = []
        size = 0
        for number, text in enumerate(texts, 1):
            ids = _ids(llm, text)
            if len(ids) > 1:
                scored.append(np.asarray(llm.score(ids), dtype=np.float64))
                size += sum(len(llm.tokenizer.token_bytes[token]) for token in ids[1:])
            told(number, len(texts))
        if not scored:
            raise DataError(
                f"documents {name}", got="no text of two tokens", allowed='lines {"text": …}'
            )
        return {**_overall(scored, size), **_ranges(scored)}


def _ids(llm: LLM, text: str) -> list[int]:
    bos = llm.tokenizer.bos_id
    ids = llm.tokenizer.encode(text)
    return (ids if bos is None else [bos, *ids])[: llm.info.context]


def _overall(scored: list[npt.NDArray[np.float64]], size: int) -> dict[str, float]:
    every = np.concatenate(scored)
    return {
        "perplexity": math.exp(-every.mean()),
        "bits per byte": float(-every.sum() / math.log(2) / size),
        "tokens": float(len(every)),
    }


def _ranges(scored: list[npt.NDArray[np.float64]]) -> dict[str, float]:
    found: dict[str, float] = {}
    begin, end = 0, FIRST
    while parts := [row[begin:end] for row in scored if len(row) > begin]:
        here = np.concatenate(parts)
        found[f"perplexity {begin}-{end}"] = math.exp(-here.mean())
        found[f"tokens {begin}-{end}"] = float(len(here))
        begin, end = end, 2 * end
    return found
