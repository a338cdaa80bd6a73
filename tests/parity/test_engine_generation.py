"""Generation through the engine equals transformers; batches, chunks and caches change nothing."""

from functools import cache

import numpy as np
import pytest
import torch

import llama
from quipu.config import ModelConfig
from quipu.engine.engine import Engine, Event
from quipu.engine.runners.torch import TorchRunner
from quipu.request import Request, Sampling

# fp32 sums in another order; asked of us: 1e-4.
TOLERANCE = 1e-4
TOKENS = 64
SHAPE = "34b"  # grouped heads, theta 1e6

shapes = pytest.mark.parametrize("shape", llama.SHAPES)
torch_alone = pytest.mark.parametrize("kind", ["torch"], indirect=True)
RUNNER = {"kind": "torch"}


@pytest.fixture(params=["torch", "native"], autouse=True)
def kind(request):
    """The runner that `runner_of` makes; every test runs with each."""
    RUNNER["kind"] = request.param
    return request.param


@cache
def oracle(shape):
    return llama.oracle(llama.SHAPES[shape])


def runner_of(shape, *, num_pages=256, page_size=16, dtype="float32"):
    if RUNNER["kind"] == "native":
        return llama.native_runner(llama.SHAPES[shape], kv_tokens=num_pages * page_size)
    weights = llama.our_weights(oracle(shape))
    return TorchRunner(
        llama.SHAPES[shape],
        lambda name: weights[name].numpy(),
        device="cpu",
        dtype=dtype,
        num_pages=num_pages,
        page_size=page_size,
    )


def engine_of(shape=SHAPE, *, runner=None, **options):
    config: ModelConfig = llama.SHAPES[shape]
    return Engine(runner or runner_of(shape), context=config.context, vocab=config.vocab, **options)


def run(engine, requests):
    """Answers of requests that run together: token ids of the first answer of each."""
    numbers = [engine.add(request) for request in requests]
    return [[event.token_id for event in events] for events in _events(engine, numbers)]


def _events(engine, numbers):
    found = {number: [] for number in numbers}
    while not engine.idle:
        for event in engine.step():
            assert isinstance(event, Event)
            found[event.request_id].append(event)
    return list(found.values())


def prompts(lengths, shape=SHAPE):
    draw = np.random.default_rng(4)
    return [tuple(draw.integers(3, llama.SHAPES[shape].vocab, n).tolist()) for n in lengths]


def greedy(prompt, tokens=TOKENS, **options):
    return Request(prompt=prompt, sampling=Sampling(max_tokens=tokens, **options))


@cache
def expected(shape, prompt, tokens=TOKENS):
    """What transformers answers greedily."""
    with torch.no_grad():
        out = oracle(shape).generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.int64),
            do_sample=False,
            max_new_tokens=tokens,
            min_new_tokens=tokens,
            eos_token_id=None,
            pad_token_id=0,
        )
    return out[0, len(prompt) :].tolist()


UNEVEN = (1, 5, 16, 17, 33, 48, 70, 100)


@shapes
def test_greedy_generation_equals_transformers(shape):
    (prompt,) = prompts([37], shape)
    (found,) = run(engine_of(shape), [greedy(prompt)])
    assert found == expected(shape, prompt)


def test_a_batch_of_uneven_prompts_gives_the_tokens_of_single_runs():
    ask = [greedy(prompt) for prompt in prompts(UNEVEN)]
    single = [run(engine_of(), [request])[0] for request in ask]
    assert run(engine_of(), ask) == single
    assert single == [expected(SHAPE, request.prompt) for request in ask]


@pytest.mark.parametrize("tokens_per_step", [1, 7, 16, 50])
def test_chunked_prefill_changes_nothing(tokens_per_step):
    ask = [greedy(prompt) for prompt in prompts(UNEVEN)]
    found = run(engine_of(tokens_per_step=tokens_per_step), ask)
    assert found == [expected(SHAPE, request.prompt) for request in ask]


@torch_alone
@pytest.mark.parametrize("page_size", [1, 3, 16, 64])
def test_the_page_size_changes_nothing(page_size):
    runner = runner_of(SHAPE, num_pages=900 // page_size + 8, page_size=page_size)
    ask = [greedy(prompt) for prompt in prompts(UNEVEN)]
    assert run(engine_of(runner=runner), ask) == [expected(SHAPE, r.prompt) for r in ask]


def test_prefix_cache_hits_change_nothing():
    engine = engine_of()
    (long,) = prompts([100])
    ask = [greedy(long[:cut]) for cut in (100, 100, 64, 65, 40)]
    for request in ask:
        number = engine.add(request)
        (events,) = _events(engine, [number])
        assert [event.token_id for event in events] == expected(SHAPE, request.prompt)
    assert events[-1].cached_tokens == 32


def test_preemption_changes_nothing():
    engine = engine_of(runner=runner_of(SHAPE, num_pages=14))
    ask = [greedy(prompt) for prompt in prompts(UNEVEN)]
    assert run(engine, ask) == [expected(SHAPE, request.prompt) for request in ask]
    assert engine.scheduler.preemptions > 2


def test_the_same_seed_gives_the_same_text_whatever_the_batch():
    ask = [
        greedy(prompt, 40, temperature=0.8, top_p=0.95, seed=number)
        for number, prompt in enumerate(prompts(UNEVEN))
    ]
    alone = [run(engine_of(), [request])[0] for request in ask]
    assert run(engine_of(), ask) == alone
    assert run(engine_of(), ask[::-1]) == alone[::-1]
    tight = engine_of(runner=runner_of(SHAPE, num_pages=12), tokens_per_step=9)
    assert run(tight, ask) == alone
    assert tight.scheduler.preemptions > 0
    assert alone[0] != run(engine_of(), [greedy(ask[0].prompt, 40, temperature=0.8, seed=99)])[0]


def test_n_answers_are_those_of_the_same_seed_alone():
    (prompt,) = prompts([40])
    request = greedy(prompt, 20, temperature=1.0, seed=3, n=4)
    found = []
    for others in (0, 3):
        engine = engine_of()
        for other in prompts([20, 30, 50][:others]):
            engine.add(greedy(other))
        number = engine.add(request)
        answers = {index: [] for index in range(4)}
        while not engine.idle:
            for event in engine.step():
                if event.request_id == number:
                    answers[event.index].append(event.token_id)
        found.append(answers)
    assert found[0] == found[1]
    assert len({tuple(answer) for answer in found[0].values()}) == 4


@shapes
def test_logprobs_equal_teacher_forced_ones(shape):
    ask = [
        greedy(prompt, 24, temperature=0.9, seed=1, logprobs=5)
        for prompt in prompts((3, 20, 50), shape)
    ]
    engine = engine_of(shape, tokens_per_step=11)
    for request, events in zip(
        ask, _events(engine, [engine.add(request) for request in ask]), strict=True
    ):
        ids = [*request.prompt, *(event.token_id for event in events)]
        with torch.no_grad():
            forced = oracle(shape)(torch.tensor([ids])).logits[0].log_softmax(-1)
        for event, row in zip(events, forced[len(request.prompt) - 1 :], strict=False):
            assert abs(event.logprob.logprob - row[event.token_id]) < TOLERANCE
            best = row.topk(5)
            assert [i for i, _ in event.logprob.top] == best.indices.tolist()
            for (_, found), value in zip(event.logprob.top, best.values, strict=True):
                assert abs(found - value) < TOLERANCE


@shapes
@pytest.mark.parametrize("tokens_per_step", [16, 300])
def test_rows_of_a_prompt_equal_the_logits_of_transformers(shape, tokens_per_step):
    (ids,) = prompts([150], shape)
    engine = engine_of(shape, tokens_per_step=tokens_per_step)
    engine.add_rows(ids)
    rows = np.zeros((len(ids), llama.SHAPES[shape].vocab), np.float32)
    while not engine.idle:
        for event in engine.step():
            rows[event.start : event.start + len(event.logits_NV)] = event.logits_NV
    with torch.no_grad():
        forced = oracle(shape)(torch.tensor([ids])).logits[0].numpy()
    assert np.abs(rows - forced).max() < TOLERANCE


@torch_alone
def test_bfloat16_on_the_cpu_stays_near_float32():
    (ids,) = prompts([60])
    found = []
    for dtype in ("float32", "bfloat16"):
        engine = engine_of(runner=runner_of(SHAPE, dtype=dtype))
        engine.add_rows(ids)
        (rows,) = engine.step()
        assert rows.logits_NV.dtype == np.float32
        found.append(rows.logits_NV.copy())
    # 8 bits of mantissa through 3 layers, logits of size 3: a wrong mask or slot is off by more.
    assert np.abs(found[0] - found[1]).max() < 0.15
