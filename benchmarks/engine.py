"""What Python costs for each token, around a runner that costs nothing.

    python benchmarks/engine.py [--tokens N] [--repeats R] [--profile CASE]

Cases: the engine alone with 1 and with 8 greedy answers, with 1 sampled answer (temperature 0.8,
top-p 0.95, vocabulary 32016), and the way through LocalBackend and LLM, streamed. Printed is the
fastest of the repeats, in microseconds a token. The runner names the best token of each row, as a
native one does; `--profile` shows where the time of one case goes.
"""

import argparse
import cProfile
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
from quipu.llm import LLM, model_path
from quipu.request import Request, Sampling
from quipu.text.tokenizer import Tokenizer

VOCAB = 32016
CONTEXT = 8192
PROMPT = 1000  # tokens
SAMPLED = Sampling(temperature=0.8, top_p=0.95, seed=1, max_tokens=CONTEXT)


class FreeRunner:
    """Answers at once with the same logits, and a best token that goes round the vocabulary."""

    num_pages, page_size, batch_invariant = 8192, 16, True

    def __init__(self, vocab: int) -> None:
        draw = np.random.default_rng(0)
        self._logits_NV = draw.normal(0, 3, (64, vocab)).astype(np.float32)
        self._step = 0

    def step(self, batch: Batch) -> StepResult:
        self._step += 1
        rows = len(batch.select_N)
        best = 300 + self._step * 7 % 1000
        return StepResult(
            logits_NV=self._logits_NV[:rows], best_N=np.full(rows, best, dtype=np.int32)
        )


def engine_of(vocab: int = VOCAB) -> Engine:
    return Engine(FreeRunner(vocab), context=CONTEXT, vocab=vocab)


def engine_alone(answers: int, sampling: Sampling, tokens: int) -> float:
    """Seconds a token of `Engine.step`, once all prompts are read."""
    engine = engine_of()
    for number in range(answers):
        prompt = tuple((np.arange(PROMPT) * 13 + number).tolist())
        engine.add(Request(prompt=prompt, sampling=sampling, stop_ids=(2,)))
    for _ in range(answers * PROMPT // 256 + 4):
        engine.step()
    done, started = 0, time.perf_counter()
    while done < tokens:
        done += len(engine.step())
    return (time.perf_counter() - started) / done


def through_llm(tokens: int) -> float:
    """Seconds a token between the first and the last piece of a stream."""
    tokenizer = Tokenizer.load(model_path(None))
    info = ModelInfo(name="free", context=CONTEXT, abilities=Abilities())
    with LLM(LocalBackend(engine_of(tokenizer.vocab), tokenizer, info)) as llm:
        asked = llm.ask_complete("def f(x):\n" * 50, Sampling(max_tokens=tokens))
        times = [time.perf_counter() for _ in asked]
    return (times[-1] - times[0]) / tokens


CASES: dict[str, Callable[[int], float]] = {
    "engine, 1 greedy": lambda tokens: engine_alone(1, Sampling(max_tokens=CONTEXT), tokens),
    "engine, 8 greedy": lambda tokens: engine_alone(8, Sampling(max_tokens=CONTEXT), tokens),
    "engine, 1 sampled": lambda tokens: engine_alone(1, SAMPLED, tokens),
    "LLM stream, 1 greedy": through_llm,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--profile", choices=CASES)
    args = parser.parse_args()
    if args.profile:
        profile = cProfile.Profile()
        profile.runcall(CASES[args.profile], args.tokens)
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)
        return
    for name, case in CASES.items():
        best = min(case(args.tokens) for _ in range(args.repeats))
        print(f"{name:22} {best * 1e6:7.1f} us/token")


if __name__ == "__main__":
    main()
