"""What every adapter is asked, and the one JSON line it answers with: the keys of `quipu bench`.

An adapter opens its engine and generates greedily, past the end token, for a list of prompts given
as token ids. It reports how long it took until every sequence had its first token, and from there
to the last.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

Prompts = list[list[int]]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What to open, and for which load."""

    model: Path
    threads: int
    batch: int
    prompt_tokens: int
    new_tokens: int

    @property
    def tokens(self) -> int:
        """Longest sequence."""
        return self.prompt_tokens + self.new_tokens


@dataclass(frozen=True, kw_only=True)
class Took:
    """Seconds of one generation."""

    prefill_s: float  # until every sequence has its first token
    decode_s: float  # from there until all have all their tokens


class Engine(Protocol):
    """A peer with its model loaded."""

    name: str  # with version and what was chosen for it

    def generate(self, prompts: Prompts, new_tokens: int) -> Took: ...


class Stopwatch:
    """Seconds from its making, read when sequences get their first and their last tokens."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._first_s: float | None = None

    def first(self) -> None:
        """Every sequence has its first token."""
        self._first_s = time.perf_counter() - self._started

    def took(self) -> Took:
        """All tokens are there."""
        total_s = time.perf_counter() - self._started
        first_s = total_s if self._first_s is None else self._first_s
        return Took(prefill_s=first_s, decode_s=total_s - first_s)


def answer(open_engine: Callable[[Asked], Engine]) -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--prompt-tokens", type=int, default=512)
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--vocab", type=int, required=True, help="prompt ids are below it")
    args = parser.parse_args()
    asked = Asked(
        model=args.model,
        threads=args.threads,
        batch=args.batch,
        prompt_tokens=args.prompt_tokens,
        new_tokens=args.new_tokens,
    )
    started = time.perf_counter()
    engine = open_engine(asked)
    load_s = time.perf_counter() - started
    # The first round warms up, as in `quipu bench`, and has the same prompts.
    took = [
        engine.generate(_prompts(number, asked, args.vocab), asked.new_tokens)
        for number in range(args.rounds + 1)
    ]
    print(json.dumps(_figures(asked, took) | {"engine": engine.name, "load_s": load_s}), flush=True)


def _prompts(number: int, asked: Asked, vocab: int) -> Prompts:
    draws = np.random.default_rng([0, number])
    found: Prompts = draws.integers(vocab, size=(asked.batch, asked.prompt_tokens)).tolist()
    return found


def _figures(asked: Asked, took: Sequence[Took]) -> dict[str, object]:
    rounds = took[1:]
    decoded, prompt = asked.batch * (asked.new_tokens - 1), asked.batch * asked.prompt_tokens
    found: dict[str, object] = {
        "first_token_s": statistics.median(entry.prefill_s for entry in rounds),
        "prefill_tokens_per_s": statistics.median(prompt / entry.prefill_s for entry in rounds),
        "decode_tokens_per_s": None,
        "peak_bytes": peak_bytes(),
    }
    if decoded:
        found["decode_tokens_per_s"] = statistics.median(decoded / e.decode_s for e in rounds)
    return found


def peak_bytes() -> int | None:
    """Largest resident memory of this process so far, where Linux tells."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)
