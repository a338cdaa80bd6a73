"""The engine over a toy runner: batching, chunking, caching and pre-emption change no text."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quipu.engine.engine import Engine, Event, Rows
from quipu.engine.sampler import choose, uniform
from quipu.errors import BackendError, PromptTooLong, UsageError
from quipu.request import Request, Sampling
from unit.engine.toy import ToyRunner, toy_logits

VOCAB = 50


def engine_of(runner=None, **options):
    return Engine(runner or ToyRunner(), **{"context": 200, "vocab": VOCAB, **options})


def run(engine, limit=10_000):
    """Step until idle: tokens and finish reason of each answer."""
    tokens, reasons = {}, {}
    for _ in range(limit):
        for event in engine.step():
            assert isinstance(event, Event)
            key = (event.request_id, event.index)
            assert key not in reasons, "an event after the end"
            if event.token_id is not None:
                tokens.setdefault(key, []).append(event.token_id)
            if event.finish_reason:
                reasons[key] = event.finish_reason
        if engine.idle:
            return {key: (tokens.get(key, []), reason) for key, reason in reasons.items()}
    raise AssertionError("the engine does not come to an end")


def twin(request, index=0, seed=0):
    """One answer the slow way: no pages, no batch."""
    tokens, sampling = list(request.prompt), request.sampling
    for position in range(sampling.max_tokens):
        token = choose(
            toy_logits(tokens, VOCAB),
            sampling,
            seen=set(tokens),
            allowed=None,
            number=uniform(seed, index, position),
        )
        if token in request.stop_ids:
            return tokens[len(request.prompt) :], "stop"
        tokens.append(token)
    return tokens[len(request.prompt) :], "length"


requests = st.builds(
    lambda start, tail, tokens, temperature, penalty, n, stops: Request(
        prompt=tuple([3] * start + tail),
        stop_ids=tuple(stops),
        sampling=Sampling(
            max_tokens=tokens, temperature=temperature, repetition_penalty=penalty, n=n, seed=5
        ),
    ),
    start=st.integers(0, 20),  # shared beginnings
    tail=st.lists(st.integers(0, VOCAB - 1), min_size=1, max_size=12),
    tokens=st.integers(1, 14),
    temperature=st.sampled_from([0.0, 1.0]),
    penalty=st.sampled_from([1.0, 1.2]),
    n=st.integers(1, 3),
    stops=st.lists(st.integers(0, VOCAB - 1), max_size=6),
)


@given(
    arrivals=st.lists(st.tuples(st.integers(0, 6), requests), min_size=1, max_size=6),
    tokens_per_step=st.sampled_from([1, 2, 5, 16, 100]),
    max_sequences=st.sampled_from([1, 3, 64]),
    num_pages=st.sampled_from([12, 14, 20, 100]),  # 46 tokens at most: 12 pages hold one sequence
    tells_best=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_any_load_gives_the_texts_of_single_runs(
    arrivals, tokens_per_step, max_sequences, num_pages, tells_best
):
    engine = engine_of(
        ToyRunner(num_pages=num_pages, tells_best=tells_best),
        tokens_per_step=tokens_per_step,
        max_sequences=max_sequences,
    )
    found, reasons, asked = {}, {}, {}
    step, pending = 0, sorted(arrivals, key=lambda pair: pair[0])
    while pending or not engine.idle:
        while pending and pending[0][0] <= step:
            request = pending.pop(0)[1]
            asked[engine.add(request)] = request
        for event in engine.step():
            if event.token_id is not None:
                found.setdefault((event.request_id, event.index), []).append(event.token_id)
            if event.finish_reason:
                reasons[event.request_id, event.index] = event.finish_reason
        step += 1
        assert step < 5000
    for number, request in asked.items():
        for index in range(request.sampling.n):
            expected = twin(request, index, seed=5)
            assert (found.get((number, index), []), reasons[number, index]) == expected
    assert engine.scheduler.pages.available == num_pages, "pages were lost"
    sizes = [len(batch.tokens_T) for batch in engine.runner.batches]
    assert max(sizes) <= tokens_per_step


@given(
    prompts=st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=30), min_size=2, max_size=6),
    cancels=st.lists(st.tuples(st.integers(0, 20), st.integers(0, 5)), max_size=4),
)
@settings(max_examples=60, deadline=None)
def test_cancelling_some_changes_nothing_for_others(prompts, cancels):
    engine = engine_of(ToyRunner(num_pages=12), tokens_per_step=7)
    ask = [Request(prompt=tuple(p), sampling=Sampling(max_tokens=9)) for p in prompts]
    numbers = [engine.add(request) for request in ask]
    found, ended = {number: [] for number in numbers}, {}
    for step in range(400):
        events = list(engine.step())
        for when, which in cancels:
            if when == step and which < len(numbers):
                events += engine.cancel(numbers[which])
        for event in events:
            if event.token_id is not None:
                found[event.request_id].append(event.token_id)
            if event.finish_reason:
                assert event.request_id not in ended
                ended[event.request_id] = event.finish_reason
    assert engine.idle
    for number, request in zip(numbers, ask, strict=True):
        whole = twin(request)[0]
        assert found[number] == whole[: len(found[number])]
        assert ended[number] == "cancelled" or found[number] == whole
    assert engine.scheduler.pages.available == 12


def test_few_pages_lead_to_preemption_and_the_same_texts():
    runner = ToyRunner(num_pages=12)
    engine = engine_of(runner)
    ask = [Request(prompt=(i, 2, 3), sampling=Sampling(max_tokens=30)) for i in range(4)]
    numbers = [engine.add(request) for request in ask]
    found = run(engine)
    assert engine.scheduler.preemptions > 0
    assert [found[n, 0] for n in numbers] == [twin(request) for request in ask]


def test_the_youngest_is_put_out_first():
    engine = engine_of(ToyRunner(num_pages=6))
    old, young = (
        engine.add(Request(prompt=(i, 1), sampling=Sampling(max_tokens=20))) for i in (7, 8)
    )
    ended = []
    while not engine.idle:
        ended += [event.request_id for event in engine.step() if event.finish_reason]
        assert all(s.request_id == young for s in engine.scheduler.waiting)
    assert engine.scheduler.preemptions > 0
    assert ended == [old, young]


def test_a_second_run_takes_full_pages_from_the_cache():
    runner = ToyRunner(page_size=4)
    engine = engine_of(runner)
    request = Request(prompt=tuple(range(11)), sampling=Sampling(max_tokens=3))
    first = engine.add(request)
    run(engine)
    before = len(runner.batches)
    second = engine.add(request)
    events = []
    while not engine.idle:
        events += engine.step()
    assert len(runner.batches[before].tokens_T) == 3  # 11 less two full pages
    assert {event.cached_tokens for event in events} == {8}
    assert [e.token_id for e in events] == twin(request)[0]
    assert first != second


def test_the_last_prompt_token_is_computed_even_when_all_is_cached():
    runner = ToyRunner(page_size=4)
    engine = engine_of(runner)
    request = Request(prompt=tuple(range(8)), sampling=Sampling(max_tokens=1))
    for _ in range(2):
        engine.add(request)
        run(engine)
    assert [len(batch.tokens_T) for batch in runner.batches] == [8, 4]


def test_answers_are_cached_for_the_next_turn():
    runner = ToyRunner(page_size=4)
    engine = engine_of(runner)
    request = Request(prompt=(1, 2, 3), sampling=Sampling(max_tokens=6))
    number = engine.add(request)
    answer = run(engine)[number, 0][0]
    next_turn = Request(prompt=(1, 2, 3, *answer, 9), sampling=Sampling(max_tokens=1))
    engine.add(next_turn)
    assert engine.step()[0].cached_tokens == 8


def test_siblings_wait_for_the_leader_and_share_its_pages():
    runner = ToyRunner(page_size=4)
    engine = engine_of(runner, tokens_per_step=8)
    prompt = tuple(range(20, 41))
    request = Request(prompt=prompt, sampling=Sampling(max_tokens=2, n=3, temperature=1.0, seed=5))
    number = engine.add(request)
    found = run(engine)
    assert [found[number, i] for i in range(3)] == [twin(request, i, 5) for i in range(3)]
    computed = sum(len(batch.tokens_T) for batch in runner.batches)
    assert computed == 21 + 2 * 1 + 3  # the prompt once, its last token twice more, 3 second tokens


def test_decodes_go_on_while_a_long_prompt_is_read():
    runner = ToyRunner(num_pages=100)
    engine = engine_of(runner, tokens_per_step=8)
    engine.add(Request(prompt=(1,), sampling=Sampling(max_tokens=50)))
    engine.step()
    long = engine.add(Request(prompt=(2,) * 60, sampling=Sampling(max_tokens=1)))
    steps = 0
    ended = False
    while not ended:
        events = engine.step()
        steps += 1
        assert any(event.request_id != long for event in events), "decoding stood still"
        ended = any(event.request_id == long for event in events)
    assert steps == 9  # 7 prompt tokens beside each decode


def test_stop_ids_end_an_answer_and_are_not_part_of_it():
    request = Request(prompt=(4, 5), sampling=Sampling(max_tokens=20))
    whole = twin(request)[0]
    stopped = replace(request, stop_ids=(whole[6],))
    engine = engine_of()
    number = engine.add(stopped)
    assert run(engine)[number, 0] == (whole[: whole.index(whole[6])], "stop")


def test_max_tokens_is_cut_to_the_context():
    engine = engine_of(context=10)
    number = engine.add(Request(prompt=(1,) * 7, sampling=Sampling(max_tokens=100)))
    tokens, reason = run(engine)[number, 0]
    assert (len(tokens), reason) == (3, "length")


def test_max_tokens_is_cut_to_the_pages():
    engine = engine_of(ToyRunner(num_pages=2, page_size=4))
    number = engine.add(Request(prompt=(1,) * 7, sampling=Sampling(max_tokens=100)))
    assert len(run(engine)[number, 0][0]) == 2  # the last token needs no slot


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"context": 8}, "context of 8 tokens; got 8 tokens; allowed: up to 7"),
        ({"context": 99}, "key/value memory of 8 tokens; got 9 tokens; allowed: up to 8"),
    ],
)
def test_a_prompt_that_can_never_fit_is_refused_with_numbers(options, message):
    engine = engine_of(ToyRunner(num_pages=2, page_size=4), **options)
    length = 8 if options["context"] == 8 else 9
    with pytest.raises(PromptTooLong, match=message):
        engine.add(Request(prompt=(1,) * length))
    assert engine.idle


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (Request(prompt=()), "empty prompt"),
        (Request(prompt=(1, VOCAB)), f"got {VOCAB}; allowed: 0 to {VOCAB - 1}"),
        (Request(prompt=(-1,)), "got -1"),
        (Request(prompt=(1,), sampling=Sampling(logit_bias={VOCAB: 1.0})), "logit_bias"),
        (Request(prompt=(1,), sampling=Sampling(logit_bias={1: float("nan")})), "logit_bias"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(request_, message):
    with pytest.raises(UsageError, match=message):
        engine_of().check(request_)


def test_ids_that_the_tokenizer_lacks_are_never_chosen():
    engine = engine_of(vocab=5)
    number = engine.add(Request(prompt=(1,), sampling=Sampling(max_tokens=40, temperature=2.0)))
    assert set(run(engine)[number, 0][0]) <= set(range(5))


def test_no_seed_draws_a_new_one_for_each_request():
    seeds = iter([5, 6])
    engine = engine_of(draw_seed=lambda: next(seeds))
    request = Request(prompt=(1,), sampling=Sampling(max_tokens=8, temperature=1.0))
    numbers = [engine.add(request) for _ in range(2)]
    found = run(engine)
    assert [found[n, 0] for n in numbers] == [twin(request, 0, seed) for seed in (5, 6)]


def test_a_constraint_rules_until_it_has_nothing_to_say():
    class FirstTwo:
        def allowed(self, generated):
            return np.array([40 + len(generated)]) if len(generated) < 2 else None

    engine = engine_of()
    request = Request(prompt=(1, 2), sampling=Sampling(max_tokens=5))
    number = engine.add(request, FirstTwo())
    tokens = run(engine)[number, 0][0]
    rest = replace(request, prompt=(1, 2, 40, 41), sampling=Sampling(max_tokens=3))
    assert tokens == [40, 41, *twin(rest)[0]]


class BestRunner(ToyRunner):
    """Says that one id is best, whatever the logits are."""

    def __init__(self, best):
        super().__init__()
        self.best = best

    def step(self, batch):
        result = super().step(batch)
        return replace(result, best_N=np.full(len(result.logits_NV), self.best, np.int32))


def test_a_greedy_answer_takes_the_token_that_the_runner_calls_best():
    engine = engine_of(BestRunner(17))
    number = engine.add(Request(prompt=(1, 2), sampling=Sampling(max_tokens=3)))
    assert run(engine)[number, 0][0] == [17, 17, 17]


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(max_tokens=4, temperature=1.0, seed=0),
        Sampling(max_tokens=4, repetition_penalty=1.5),
        Sampling(max_tokens=4, logit_bias={3: 50.0}),
    ],
)
def test_other_answers_do_not(sampling):
    request = Request(prompt=(1, 2), sampling=sampling)
    engine = engine_of(BestRunner(17))
    number = engine.add(request)
    assert run(engine)[number, 0] == twin(request)


def test_a_runner_can_say_that_logits_are_not_finite():
    engine = engine_of(BestRunner(-1))
    engine.add(Request(prompt=(1, 2)))
    with pytest.raises(BackendError, match="not finite"):
        engine.step()


def test_logprobs_are_given_when_asked_for():
    engine = engine_of()
    engine.add(Request(prompt=(1, 2), sampling=Sampling(max_tokens=1, logprobs=3)))
    (event,) = engine.step()
    assert event.logprob.token_id == event.token_id == event.logprob.top[0][0]
    assert len(event.logprob.top) == 3


@pytest.mark.parametrize("tokens_per_step", [1, 4, 7, 100])
def test_rows_of_a_prompt_are_all_its_logits(tokens_per_step):
    engine = engine_of(tokens_per_step=tokens_per_step)
    ids = [7, 7, 1, 2, 3, 9, 9, 4, 4, 4, 30]
    for _ in range(2):  # the second time the pages are cached, the rows still needed
        engine.add_rows(ids)
        rows = np.zeros((len(ids), VOCAB), np.float32)
        while not engine.idle:
            for event in engine.step():
                assert isinstance(event, Rows)
                rows[event.start : event.start + len(event.logits_NV)] = event.logits_NV
        expected = [toy_logits(ids[: t + 1], VOCAB) for t in range(len(ids))]
        assert (rows == np.array(expected)).all()


def test_rows_survive_preemption():
    engine = engine_of(ToyRunner(num_pages=5, page_size=4), tokens_per_step=2)
    number = engine.add(Request(prompt=(1,), sampling=Sampling(max_tokens=20)))
    tokens = [event.token_id for _ in range(3) for event in engine.step()]
    scored = engine.add_rows([1, 2, 3, 4, 5, 6, 7, 8, 9])
    rows = np.zeros((9, VOCAB), np.float32)
    while not engine.idle:
        for event in engine.step():
            if isinstance(event, Rows):
                assert event.request_id == scored
                rows[event.start : event.start + len(event.logits_NV)] = event.logits_NV
            elif event.token_id is not None:
                assert event.request_id == number
                tokens.append(event.token_id)
    assert engine.scheduler.preemptions == 1
    assert (rows == np.array([toy_logits(range(1, t + 2), VOCAB) for t in range(9)])).all()
    assert tokens == twin(Request(prompt=(1,), sampling=Sampling(max_tokens=20)))[0]


def test_ending_one_answer_leaves_its_siblings():
    engine = engine_of()
    request = Request(prompt=(1, 2), sampling=Sampling(max_tokens=6, n=2, temperature=1.0, seed=5))
    number = engine.add(request)
    engine.step()
    engine.end(number, 0)
    engine.end(number, 0)
    assert run(engine) == {(number, 1): twin(request, 1, 5)}
