"""What Python costs for each token, around a runner that costs nothing.

    python benchmarks/engine.py [--tokens N] [--repeats R] [--profile CASE]

Cases: the engine alone with 1 and with 8 greedy answers, with 1 sampled answer (temperature 0.8,
top-p 0.95, vocabulary 32016), and the way through LocalBackend and LLM, streamed: with the free
runner, and with one that works for half a millisecond outside of Python's lock, as a native one
does; `work` is that half millisecond alone, and the difference is what counts. `drafts` looks for
drafts at every token and finds none that is worth a try. Printed is the fastest of the repeats, in
microseconds a token.
"""

import argparse
import cProfile
import hashlib
import pstats
import time
from collections.abc import Callable

import numpy as np

from quipu.backend.local import LocalBackend
from quipu.backend.protocol import ModelInfo
from quipu.config import Abilities
from quipu.engine.batch import Batch
from quipu.engine.engine import Engine
from quipu.engine.runner import StepResult
from quipu.llm import LLM, TRAINED, model_path
from quipu.request import Request, Sampling
from quipu.text.tokenizer import Tokenizer

VOCAB = 32016
CONTEXT = 8192
PROMPT = 1000  # tokens
GREEDY = Sampling(max_tokens=CONTEXT)
SAMPLED = Sampling(temperature=0.8, top_p=0.95, seed=1, max_tokens=CONTEXT)
WORK = bytes(900_000)  # to hash it takes about half a millisecond, and no lock


class FreeRunner:
    """Names a best token by the step: at once, or after some work outside of Python's lock."""

    num_pages, page_size, batch_invariant = 8192, 16, True

    def __init__(self, vocab: int, work: bytes = b"") -> None:
        draw = np.random.default_rng(0)
        self._logits_NV = draw.normal(0, 3, (64, vocab)).astype(np.float32)
        self._ids = draw.integers(300, vocab - 20, 100_000).astype(np.int32)
        self._work = work
        self._steps = 0

    def step(self, batch: Batch) -> StepResult:
        if self._work:
            hashlib.sha256(self._work).digest()
        self._steps += 1
        rows = len(batch.select_N)
        best_N = self._ids[self._steps : self._steps + rows]
        return StepResult(logits_NV=self._logits_NV[:rows], best_N=best_N)


def engine_of(runner: FreeRunner, vocab: int = VOCAB, speculate: bool = False) -> Engine:
    return Engine(runner, context=CONTEXT, vocab=vocab, speculate=speculate)


def alone(tokens: int, answers: int, sampling: Sampling, speculate: bool = False) -> float:
    """Seconds a token of `Engine.step`, once all prompts are read."""
    engine = engine_of(FreeRunner(VOCAB), speculate=speculate)
    for number in range(answers):
        prompt = tuple((np.arange(PROMPT) * 13 + number).tolist())
        engine.add(Request(prompt=prompt, sampling=sampling, stop_ids=(2,)))
    for _ in range(answers * PROMPT // 256 + 4):
        engine.step()
    done, started = 0, time.perf_counter()
    while done < tokens:
        done += len(engine.step())
    return (time.perf_counter() - started) / done


def through_llm(tokens: int, work: bytes = b"") -> float:
    """Seconds a token of a stream, from the question to the last piece."""
    tokenizer = Tokenizer.load(model_path(TRAINED))
    info = ModelInfo(name="free", context=CONTEXT, abilities=Abilities())
    runner = FreeRunner(tokenizer.vocab, work)
    with LLM(LocalBackend(engine_of(runner, tokenizer.vocab), tokenizer, info)) as llm:
        started = time.perf_counter()
        for _ in llm.ask_complete("def f(x):\n" * 50, Sampling(max_tokens=tokens)):
            pass
        return (time.perf_counter() - started) / tokens


def work_alone(tokens: int) -> float:
    """Seconds of the work."""
    started = time.perf_counter()
    for _ in range(tokens):
        hashlib.sha256(WORK).digest()
    return (time.perf_counter() - started) / tokens


CASES: dict[str, Callable[[int], float]] = {
    "engine, 1 greedy": lambda tokens: alone(tokens, 1, GREEDY),
    "engine, 1 greedy, drafts": lambda tokens: alone(tokens, 1, GREEDY, speculate=True),
    "engine, 8 greedy": lambda tokens: alone(tokens, 8, GREEDY),
    "engine, 8 greedy, drafts": lambda tokens: alone(tokens, 8, GREEDY, speculate=True),
    "engine, 1 sampled": lambda tokens: alone(tokens, 1, SAMPLED),
    "LLM stream": through_llm,
    "work": work_alone,
    "LLM stream, work": lambda tokens: through_llm(tokens, WORK),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--profile", choices=CASES, help="show where the time of one case goes")
    args = parser.parse_args()
    if args.profile:
        profile = cProfile.Profile()
        profile.runcall(CASES[args.profile], args.tokens)
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)
        return
    for name, case in CASES.items():
        best = min(case(args.tokens) for _ in range(args.repeats))
        print(f"{name:26} {best * 1e6:7.1f} us/token")


if __name__ == "__main__":
    main()
