"""Speculation: the same tokens as without it, sooner when drafts are good."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quipu.engine.engine import Engine, Event
from quipu.engine.runner import StepResult
from quipu.engine.speculation import Chances, Costs
from quipu.errors import BackendError
from quipu.request import Request, Sampling
from unit.engine.toy import ToyRunner

VOCAB = 12  # few, and a short memory: texts repeat and drafts are often right
CONTEXT = 200


class Parity:
    """A constraint that says which ids may come, for the first tokens or for ever."""

    def __init__(self, until):
        self.until = until

    def allowed(self, generated):
        if len(generated) >= self.until:
            return None
        return np.arange(sum(generated) % 2, VOCAB, 2)


def engine_of(runner, speculate=True, **options):
    return Engine(
        runner,
        context=CONTEXT,
        vocab=VOCAB,
        speculate=speculate,
        clock=lambda: runner.now,
        **options,
    )


def run(engine, arrivals, ends=()):
    """All events of each answer, in order. Requests arrive, and answers end, at given steps."""
    events, step, left = {}, 0, sorted(arrivals, key=lambda arrival: arrival[0])
    while left or not engine.idle:
        while left and left[0][0] <= step:
            _, request, until = left.pop(0)
            engine.add(request, Parity(until) if until else None)
        for number, when in ends:
            if when == step:
                for event in engine.cancel(number):
                    events[event.request_id, event.index].append(event)
        for event in engine.step():
            assert isinstance(event, Event)
            events.setdefault((event.request_id, event.index), []).append(event)
        check_pages(engine)
        step += 1
        assert step < 5000
    assert engine.scheduler.pages.available == engine.scheduler.pages.num_pages
    return events


def check_pages(engine):
    """No sequence keeps more pages or digests than its own tokens fill."""
    size = engine.scheduler.pages.page_size
    for sequence in engine.scheduler.running:
        assert sequence.computed < len(sequence.tokens)
        assert len(sequence.pages) <= -(-len(sequence.tokens) // size)
        assert len(sequence.digests) <= len(sequence.tokens) // size


def told(events):
    """What a user sees of each answer."""
    return {
        key: [(event.token_id, event.logprob, event.finish_reason) for event in found]
        for key, found in events.items()
    }


requests = st.builds(
    lambda prompt, stops, until, options: (
        Request(prompt=tuple(prompt), stop_ids=tuple(stops), sampling=Sampling(seed=5, **options)),
        until,
    ),
    prompt=st.lists(st.integers(0, VOCAB - 1), min_size=1, max_size=20),
    stops=st.lists(st.integers(0, VOCAB - 1), max_size=1),
    until=st.sampled_from([0, 0, 3, 1000]),
    options=st.fixed_dictionaries(
        {
            "max_tokens": st.integers(1, 26),
            "temperature": st.sampled_from([0.0, 0.3, 1.0]),
            "top_p": st.sampled_from([1.0, 0.8]),
            "repetition_penalty": st.sampled_from([1.0, 1.1]),
            "logit_bias": st.sampled_from([{}, {3: 1.5}]),
            "n": st.integers(1, 2),
            "logprobs": st.sampled_from([None, 0, 2]),
        }
    ),
)


@given(
    arrivals=st.lists(st.tuples(st.integers(0, 6), requests), min_size=1, max_size=5),
    memory=st.sampled_from([1, 2, None]),
    tells_best=st.booleans(),
    tokens_per_step=st.sampled_from([1, 3, 9, 100]),
    max_sequences=st.sampled_from([1, 3, 64]),
    num_pages=st.sampled_from([12, 14, 100]),  # 12 hold one sequence
)
@settings(max_examples=200, deadline=None)
def test_answers_are_those_without_speculation(
    arrivals, memory, tells_best, tokens_per_step, max_sequences, num_pages
):
    found = []
    for speculate in (False, True):
        runner = ToyRunner(vocab=VOCAB, num_pages=num_pages, memory=memory, tells_best=tells_best)
        engine = engine_of(
            runner, speculate, tokens_per_step=tokens_per_step, max_sequences=max_sequences
        )
        asked = [(when, request, until) for when, (request, until) in arrivals]
        found.append(told(run(engine, asked)))
        assert max(len(batch.tokens_T) for batch in runner.batches) <= tokens_per_step
    assert found[0] == found[1]


@given(ends=st.lists(st.tuples(st.integers(0, 3), st.integers(3, 20)), max_size=3))
@settings(max_examples=30, deadline=None)
def test_cancelling_some_changes_nothing_for_others(ends):
    ask = [(0, greedy([i, 2, 3], 40), 0) for i in range(4)]
    alone = told(run(engine_of(ToyRunner(vocab=VOCAB, memory=1), False), ask))
    found = told(run(engine_of(ToyRunner(vocab=VOCAB, memory=1)), ask, ends))
    for key, events in found.items():
        if events[-1][2] == "cancelled":
            events.pop()
        assert events == alone[key][: len(events)]


def greedy(prompt, tokens, **options):
    return Request(prompt=tuple(prompt), sampling=Sampling(max_tokens=tokens, **options))


def test_a_text_that_repeats_takes_few_steps():
    runner = ToyRunner(vocab=VOCAB, memory=1)
    engine = engine_of(runner)
    run(engine, [(0, greedy([1], 120), 0)])
    assert len(runner.batches) < 40
    speculation = engine.speculation
    assert speculation.drafted >= speculation.accepted > 80
    assert speculation.accepted == 120 - len(runner.batches)


def test_a_finished_answer_helps_the_next_one():
    runner = ToyRunner(vocab=50)  # a long memory: the answer itself never repeats
    engine = Engine(runner, context=CONTEXT, vocab=50, clock=lambda: runner.now)
    steps = []
    for _ in range(2):
        before = len(runner.batches)
        engine.add(greedy([1, 2, 3, 4, 5], 60))
        while not engine.idle:
            engine.step()
        steps.append(len(runner.batches) - before)
    assert steps[0] == 60
    assert steps[1] < 30


def test_a_text_that_was_given_helps_too():
    first = ToyRunner(vocab=50)
    engine = Engine(first, context=CONTEXT, vocab=50, speculate=False)
    engine.add(greedy([1, 2, 3, 4, 5], 60))
    answer = [event.token_id for _ in range(60) for event in engine.step()]
    runner = ToyRunner(vocab=50)
    engine = Engine(runner, context=CONTEXT, vocab=50, clock=lambda: runner.now)
    engine.speculation.learn([1, 2, 3, 4, 5, *answer])
    engine.add(greedy([1, 2, 3, 4, 5], 60))
    assert [e.token_id for _ in range(60) for e in engine.step()] == answer
    assert len(runner.batches) < 30


def test_drafts_put_nobody_out():
    # Two sequences fill the pages to the last one; only what is free goes to drafts.
    for speculate in (False, True):
        runner = ToyRunner(vocab=VOCAB, memory=1, num_pages=12)
        engine = engine_of(runner, speculate)
        run(engine, [(0, greedy([i], 24), 0) for i in range(2)])
        assert engine.scheduler.preemptions == 0


def test_rejected_tokens_are_not_remembered():
    runner = ToyRunner(vocab=VOCAB, memory=2, num_pages=200)
    engine = engine_of(runner)
    (events,) = run(engine, [(0, greedy([1, 2, 1, 2], 100, temperature=0.7, seed=1), 0)]).values()
    assert engine.speculation.drafted > engine.speculation.accepted > 0
    answer = [event.token_id for event in events]
    again = greedy([1, 2, 1, 2, *answer], 1)
    (events,) = run(engine, [(0, again, 0)]).values()  # the toy checks what its pages hold
    assert events[0].cached_tokens == 100


def test_a_prompt_beside_an_answer_leaves_no_room_for_drafts():
    runner = ToyRunner(vocab=VOCAB, memory=1, num_pages=100)
    engine = engine_of(runner, tokens_per_step=8)
    engine.add(greedy([1], 150))
    for _ in range(10):
        engine.step()
    assert len(runner.batches[-1].tokens_T) == 8
    engine.add(greedy([2] * 60, 1))
    while engine.scheduler.waiting or engine.scheduler.running[-1].remaining > 1:
        engine.step()
        assert len(runner.batches[-1].tokens_T) <= 8
        assert runner.batches[-1].starts_S1[1] == 1


@pytest.mark.parametrize("invariant", [True, False])
def test_it_is_on_where_it_cannot_change_an_answer(invariant):
    runner = ToyRunner(vocab=VOCAB)
    runner.batch_invariant = invariant
    options = {"context": CONTEXT, "vocab": VOCAB}
    assert (Engine(runner, **options).speculation is not None) == invariant
    assert Engine(runner, **options, speculate=True).speculation is not None
    assert Engine(runner, **options, speculate=False).speculation is None


def test_logits_behind_a_wrong_draft_are_not_looked_at():
    class Brittle(ToyRunner):
        """Has no numbers for tokens that the answer does not hold."""

        def step(self, batch):
            result = super().step(batch)
            positions = batch.positions_T[batch.select_N]
            for row, (position, at) in enumerate(zip(positions, batch.select_N, strict=True)):
                if answer and position < len(answer) and batch.tokens_T[at] != answer[position]:
                    result.logits_NV[row] = np.nan
            return result

    answer = []
    request = greedy([1, 2, 1, 2], 60, temperature=0.7, seed=1)
    plain = engine_of(ToyRunner(vocab=VOCAB, memory=2, num_pages=100), False)
    (events,) = run(plain, [(0, request, 0)]).values()
    answer += [1, 2, 1, 2, *(event.token_id for event in events)]
    engine = engine_of(Brittle(vocab=VOCAB, memory=2, num_pages=100))
    (events,) = run(engine, [(0, request, 0)]).values()
    assert answer[4:] == [event.token_id for event in events]
    assert engine.speculation.drafted > engine.speculation.accepted
    answer[10] = (answer[10] + 1) % VOCAB
    with pytest.raises(BackendError, match="not finite"):
        run(engine, [(0, request, 0)])


class Reciting:
    """A runner that recites a text whatever it is told, at a price for each step."""

    batch_invariant, num_pages, page_size = True, 400, 16

    def __init__(self, text, cost, noise=0.0):
        self.text, self.cost, self.noise, self.now = np.array(text, np.int32), cost, noise, 0.0
        self.draw = np.random.default_rng(0)

    def step(self, batch):
        self.now += self.cost(len(batch.tokens_T)) * (1 + self.noise * self.draw.exponential())
        best_N = self.text[batch.positions_T[batch.select_N] + 1]
        return StepResult(logits_NV=np.zeros((len(best_N), 1), np.float32), best_N=best_N)


PROMPT, ANSWER = 500, 1000


def speed_up(text, cost, noise=0.0, sequences=1):
    """Time without speculation over time with it."""
    times = []
    for speculate in (False, True):
        runner = Reciting(text, cost, noise)
        engine = Engine(
            runner, context=9999, vocab=9999, speculate=speculate, clock=lambda r=runner: r.now
        )
        for _ in range(sequences):
            engine.add(greedy(text[:PROMPT], ANSWER))
        while not engine.idle:
            engine.step()
        times.append(runner.now)
    return times[0] / times[1]


def novel(draw):
    return draw.zipf(1.3, PROMPT + ANSWER + 1).clip(0, 5000).tolist()


def small_words(draw):
    return draw.integers(0, 4, PROMPT + ANSWER + 1).tolist()


def edited(draw):
    base = draw.zipf(1.3, PROMPT).clip(0, 5000)
    copies = [np.where(draw.random(PROMPT) < 0.05, draw.integers(6000, 9000), base) for _ in "ab"]
    return np.concatenate([base, *copies, [1]]).tolist()


COSTS = {
    "flat": lambda _: 1.0,
    "by the row": lambda rows: float(rows),
    "memory bound": lambda rows: 1 + 0.03 * rows,
    "cliff": lambda rows: 1.0 if rows == 1 else 10.0,
    "square": lambda rows: float(rows * rows),
    "tiles": lambda rows: float(-(-rows // 8)),
}


@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize("text", [novel, small_words, edited])
@pytest.mark.parametrize("cost", COSTS)
def test_it_is_never_much_slower(text, cost, noise):
    assert speed_up(text(np.random.default_rng(3)), COSTS[cost], noise) > 0.97


@pytest.mark.parametrize("cost", COSTS)
def test_it_is_never_much_slower_with_several_sequences(cost):
    assert speed_up(edited(np.random.default_rng(3)), COSTS[cost], 0.3, sequences=3) > 0.97


@pytest.mark.parametrize(("cost", "least"), [("flat", 4.0), ("memory bound", 3.0), ("tiles", 2.5)])
def test_an_edited_copy_is_much_faster(cost, least):
    assert speed_up(edited(np.random.default_rng(3)), COSTS[cost]) > least


def test_it_wakes_up_when_drafts_become_good():
    draw = np.random.default_rng(3)
    first = small_words(draw)
    text = first + first[-600:] + [1]
    runner = Reciting(text, COSTS["memory bound"])
    engine = Engine(runner, context=9999, vocab=9999, clock=lambda: runner.now)
    engine.add(greedy(text[:PROMPT], len(text) - PROMPT - 1))
    ends = []
    while not engine.idle:
        engine.step()
        ends.append(runner.now)
    assert ends[-1] < 0.75 * (len(text) - PROMPT) * 1.03


def test_chances_follow_what_happens():
    chances = Chances()
    for _ in range(200):
        chances.record(2, False)
        chances.record(40, True)
    assert chances.chain(2, 9) == []
    assert chances.chain(40, 3) == pytest.approx([0.99, 0.98, 0.97], abs=0.03)


def test_costs_between_known_ones_lie_between():
    costs = Costs()
    for rows, seconds in ((1, 1.0), (9, 3.0)):
        costs.record(rows, 1, seconds)
    assert costs.estimate(5, 1) == pytest.approx(2.0)
    assert costs.estimate(19, 1) == pytest.approx(4.5)
    assert costs.reach(1) == 20


def test_one_hiccup_is_not_taken_for_a_cost():
    costs = Costs()
    for seconds in (1.0, 1.0, 100.0):
        costs.record(4, 4, seconds)
    assert costs.estimate(4, 4) < 1.5


def test_a_hiccup_in_the_first_step_of_a_size_is_soon_forgotten():
    costs = Costs()
    costs.record(1, 1, 1.0)
    assert costs.record(3, 1, 100.0) < 7
    for _ in range(130):
        costs.record(1, 1, 1.0)
    assert costs.estimate(3, 1) == pytest.approx(1.1)


def test_a_cost_that_nobody_measures_any_more_is_forgotten():
    costs = Costs()
    for _ in range(20):
        costs.record(1, 1, 1.0)
        costs.record(2, 1, 50.0)
    assert costs.estimate(2, 1) > 40
    for _ in range(600):
        costs.record(1, 1, 1.0)
    assert costs.estimate(2, 1) < 1.1


def test_n_answers_of_one_request_draft_each_for_itself():
    request = replace(greedy([1, 2, 3], 60), sampling=Sampling(max_tokens=60, n=3, seed=2))
    runner = ToyRunner(vocab=VOCAB, memory=1, num_pages=100)
    engine = engine_of(runner)
    found = told(run(engine, [(0, request, 0)]))
    assert found[0, 0] == found[0, 1] == found[0, 2]
    assert len(runner.batches) < 40
