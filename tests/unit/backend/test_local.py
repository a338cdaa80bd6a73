"""The engine's thread: what it does for streams, and what happens when something breaks."""

import _thread
import gc
import os
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

import numpy as np
import pytest

from conformance.vocabulary import tokenizer
from quipu.backend import local
from quipu.backend.local import LocalBackend
from quipu.backend.protocol import ModelInfo
from quipu.config import Abilities
from quipu.engine.engine import Engine
from quipu.engine.sampler import log_softmax
from quipu.errors import BackendError, PromptTooLong
from quipu.request import Request, Sampling
from unit.engine.toy import ToyRunner

CONTEXT = 500
INFO = ModelInfo(name="toy", context=CONTEXT, abilities=Abilities())


class GatedRunner(ToyRunner):
    """A toy whose steps wait for a gate."""

    def __init__(self, **options):
        super().__init__(**options)
        self.gate = threading.Event()

    def step(self, batch):
        assert self.gate.wait(20)
        return super().step(batch)


@pytest.fixture
def open_backend():
    opened = []

    def make(runner=None, **options):
        runner = runner or ToyRunner(vocab=tokenizer().vocab)
        engine = Engine(runner, context=CONTEXT, vocab=tokenizer().vocab, **options)
        opened.append(LocalBackend(engine, tokenizer(), INFO))
        return opened[-1]

    yield make
    for backend in opened:
        backend.close()


def ask(**fields):
    sampling = Sampling(**{"max_tokens": 20, **fields.pop("sampling", {})})
    return Request(**{"prompt": (1, 300, 301, 302, 303, 304), "sampling": sampling, **fields})


def text_of(pieces):
    return "".join(piece.text for piece in pieces)


def tokens_of(pieces):
    return sum(len(piece.token_ids) for piece in pieces)


def test_a_stop_string_ends_the_work_at_once(open_backend):
    runner = ToyRunner(vocab=tokenizer().vocab)
    backend = open_backend(runner)
    whole = text_of(backend.submit(ask()))
    steps = len(runner.batches)
    pieces = list(backend.submit(ask(sampling={"stop": (whole[:3],)})))
    assert text_of(pieces) == ""
    assert pieces[-1].finish_reason == "stop"
    assert len(runner.batches) - steps == tokens_of(pieces) < 20


def test_a_stop_string_ends_one_of_n_answers(open_backend):
    backend = open_backend()
    sampling = {"n": 3, "temperature": 1.0, "seed": 4}
    pieces = list(backend.submit(ask(sampling=sampling)))
    texts = [text_of(p for p in pieces if p.index == index) for index in range(3)]
    stop = texts[1][2:5]
    assert stop not in texts[0]
    pieces = list(backend.submit(ask(sampling={**sampling, "stop": (stop,)})))
    found = [text_of(p for p in pieces if p.index == index) for index in range(3)]
    assert found[:2] == [texts[0], texts[1][: texts[1].index(stop)]]


def test_prompt_tokens_from_the_cache_are_counted_on_the_last_piece(open_backend):
    backend = open_backend(ToyRunner(vocab=tokenizer().vocab, page_size=2))
    list(backend.submit(ask()))
    pieces = list(backend.submit(ask()))
    *before, last = [piece.cached_tokens for piece in pieces]
    assert (before, last) == ([0] * len(before), 4)


def test_forced_bytes_are_generated_and_not_shown(open_backend):
    backend = open_backend()
    pieces = list(backend.submit(ask(forced=b"self._")))
    raw = tokenizer().decode([i for p in pieces for i in p.token_ids], dummy_prefix=False)
    assert raw.startswith("self._")
    assert text_of(pieces) == raw.removeprefix("self._")


def test_one_leading_space_can_be_dropped(open_backend):
    space = tokenizer().encode(" a", dummy_prefix=False)[0]
    assert tokenizer().token_bytes[space].startswith(b" ")
    backend = open_backend()
    request = ask(sampling={"logit_bias": {space: 1000.0}, "max_tokens": 2})
    raw = text_of(backend.submit(request))
    dropped = ask(sampling={"logit_bias": {space: 1000.0}, "max_tokens": 2}, drop_space=True)
    assert " " + text_of(backend.submit(dropped)) == raw


def test_an_engine_that_breaks_reaches_every_open_stream(open_backend):
    runner = GatedRunner(vocab=tokenizer().vocab, fails_at=2)
    backend = open_backend(runner)
    streams = [backend.submit(ask(prompt=(1, number))) for number in range(3)]
    runner.gate.set()
    for stream in streams:
        with pytest.raises(BackendError, match="RuntimeError: the toy broke") as caught:
            list(stream)
        assert isinstance(caught.value.__cause__, RuntimeError)
    for call in (lambda: backend.submit(ask()), lambda: backend.score([1, 2])):
        with pytest.raises(BackendError, match="the toy broke"):
            call()
    backend.close()


def test_logits_that_are_no_numbers_reach_the_stream(open_backend):
    class Damaged(ToyRunner):
        def step(self, batch):
            result = super().step(batch)
            result.logits_NV[:] = np.nan
            return result

    with pytest.raises(BackendError, match="not finite numbers"):
        list(open_backend(Damaged(vocab=tokenizer().vocab)).submit(ask()))


def test_ctrl_c_reaches_a_consumer_that_waits(open_backend):
    runner = GatedRunner(vocab=tokenizer().vocab)
    backend = open_backend(runner)
    stream = backend.submit(ask())
    threading.Timer(0.1, _thread.interrupt_main).start()
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        list(stream)
    assert time.monotonic() - begun < 5
    runner.gate.set()
    assert list(stream)[-1].finish_reason == "cancelled"


INTERRUPTED = """
import os, signal, sys, threading, time
from conformance import vocabulary
from quipu.backend.local import LocalBackend
from quipu.backend.protocol import ModelInfo
from quipu.config import Abilities
from quipu.engine.engine import Engine
from quipu.llm import LLM
from unit.engine.toy import ToyRunner

class Slow(ToyRunner):
    def step(self, batch):
        time.sleep(0.05)
        return super().step(batch)

words = vocabulary.tokenizer()
runner = Slow(vocab=words.vocab, num_pages=1000)
engine = Engine(runner, context=4000, vocab=words.vocab)
llm = LLM(LocalBackend(engine, words, ModelInfo(name="slow", context=4000, abilities=Abilities())))
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
pieces = 0
try:
    for piece in llm.complete("x", max_tokens=2000, stream=True):
        pieces += 1
except KeyboardInterrupt:
    steps = len(runner.batches)
assert 0 < pieces <= steps
time.sleep(0.3)
assert len(runner.batches) <= steps + 1, "the engine goes on"
assert len(llm.complete("x", max_tokens=2).token_ids) == 2
llm.complete("x", max_tokens=2000, stream=True)  # the process ends in the middle of this one
print("done")
"""


def test_ctrl_c_stops_the_engine_within_a_step_and_the_process_ends_well():
    root = Path(__file__).resolve().parents[3]
    found = subprocess.run(
        [sys.executable, "-c", INTERRUPTED],
        env={**os.environ, "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root / 'tests'}"},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (found.returncode, found.stdout, found.stderr) == (0, "done\n", "")


def test_ctrl_c_while_scoring_stops_the_scoring(open_backend):
    runner = GatedRunner(vocab=tokenizer().vocab)
    backend = open_backend(runner, tokens_per_step=2)
    threading.Timer(0.1, _thread.interrupt_main).start()
    with pytest.raises(KeyboardInterrupt):
        backend.score(list(range(1, 101)))
    runner.gate.set()
    assert tokens_of(backend.submit(ask())) == 20
    assert len(runner.batches) < 30, "the prompt was scored to its end"


def test_submit_does_not_wait_for_a_busy_engine(open_backend):
    runner = GatedRunner(vocab=tokenizer().vocab)
    backend = open_backend(runner)
    streams = [backend.submit(ask()) for _ in range(20)]
    runner.gate.set()
    assert len({text_of(stream) for stream in streams}) == 1


def test_closing_while_scoring_fails_the_score(open_backend):
    runner = GatedRunner(vocab=tokenizer().vocab)
    backend = open_backend(runner, tokens_per_step=2)
    failures = []

    def score():
        try:
            backend.score(list(range(1, 60)))
        except BackendError as error:
            failures.append(str(error))

    scorer = threading.Thread(target=score)
    scorer.start()
    while not backend._worker._open:  # until the engine has it
        time.sleep(0.001)
    closer = threading.Thread(target=backend.close)
    closer.start()
    while backend._worker._refusal is None:  # until the close stands behind the running step
        time.sleep(0.001)
    runner.gate.set()
    scorer.join()
    closer.join()
    assert failures == ["scoring was cancelled"]


def test_a_closed_backend_holds_no_model(open_backend):
    runner = ToyRunner(vocab=tokenizer().vocab)
    backend, gone = open_backend(runner), weakref.ref(runner)
    del runner
    list(backend.submit(ask()))
    backend.close()
    gc.collect()
    assert gone() is None


def test_scores_and_logits_equal_each_other_beside_other_work(open_backend):
    backend = open_backend(tokens_per_step=7)
    other = backend.submit(ask(sampling={"max_tokens": 60}))
    ids = [1, *range(300, 340)]
    scores, logits = backend.score(ids), backend.logits(ids)
    assert logits.shape == (41, tokenizer().vocab)
    expected = log_softmax(logits)[np.arange(40), ids[1:]]
    assert (scores == expected).all()
    assert tokens_of(other) == 60


def test_a_prompt_too_long_to_score_is_refused(open_backend):
    with pytest.raises(PromptTooLong, match="key/value memory of 256 tokens; got 257 tokens"):
        open_backend().score([1] * 257)


def test_a_backend_that_nobody_holds_ends_its_thread():
    engine = Engine(ToyRunner(vocab=tokenizer().vocab), context=CONTEXT, vocab=tokenizer().vocab)
    backend = LocalBackend(engine, tokenizer(), INFO)
    thread = backend._worker._thread
    runner = weakref.ref(engine.runner)
    list(backend.submit(ask()))
    del backend, engine
    gc.collect()
    thread.join(5)
    assert not thread.is_alive()
    assert runner() is None, "the model is still in memory"


def test_a_stream_keeps_its_backend_alive():
    engine = Engine(ToyRunner(vocab=tokenizer().vocab), context=CONTEXT, vocab=tokenizer().vocab)
    stream = LocalBackend(engine, tokenizer(), INFO).submit(ask())
    gc.collect()
    assert list(stream)[-1].finish_reason == "length"


def test_quick_tokens_come_together_and_slow_ones_alone(open_backend, monkeypatch):
    def sizes(backend):
        return [len(piece.token_ids) for piece in backend.submit(ask())]

    monkeypatch.setattr(local, "QUICK_STEP_S", 60.0)
    monkeypatch.setattr(local, "TOGETHER_S", 60.0)
    assert sizes(open_backend()) == [1, 19]  # the first token is not held back
    monkeypatch.setattr(local, "QUICK_STEP_S", 0.0)
    assert sizes(open_backend()) == [1] * 20
