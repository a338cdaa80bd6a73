"""Who computes what next: the policy alone, without tokens being chosen."""

from quipu.engine.pages import Pages
from quipu.engine.scheduler import Scheduler
from quipu.engine.sequence import Sequence
from quipu.request import Sampling


def sequence(arrival, length, **fields):
    return Sequence(
        request_id=arrival,
        index=0,
        arrival=arrival,
        tokens=list(range(100 * arrival, 100 * arrival + length)),
        prompt_length=length,
        limit=50,
        sampling=Sampling(),
        seed=0,
        **fields,
    )


def scheduler_of(*, num_pages=32, tokens_per_step=8, max_sequences=8):
    return Scheduler(
        Pages(num_pages, 4), tokens_per_step=tokens_per_step, max_sequences=max_sequences
    )


def step(scheduler):
    """One step in which every finished sequence gains a token; (arrival, size) of each share."""
    shares = scheduler.schedule()
    scheduler.commit(shares)
    for share in shares:
        if share.sequence.remaining == 0:
            share.sequence.tokens.append(0)
    return [(share.sequence.arrival, share.size) for share in shares]


def test_prompts_share_a_step_until_its_tokens_are_spent():
    scheduler = scheduler_of(tokens_per_step=8)
    for arrival, length in enumerate((3, 4, 6, 2)):
        scheduler.add(sequence(arrival, length))
    assert step(scheduler) == [(0, 3), (1, 4), (2, 1)]
    assert step(scheduler) == [(0, 1), (1, 1), (2, 5), (3, 1)]
    assert step(scheduler) == [(0, 1), (1, 1), (2, 1), (3, 1)]


def test_a_young_decode_goes_before_an_old_prompt():
    scheduler = scheduler_of(tokens_per_step=8)
    scheduler.add(sequence(1, 2))
    step(scheduler)
    scheduler.add(sequence(0, 20))  # an old one that was put out comes back
    assert step(scheduler) == [(1, 1), (0, 7)]


def test_no_more_sequences_run_than_allowed():
    scheduler = scheduler_of(max_sequences=2)
    for arrival in range(3):
        scheduler.add(sequence(arrival, 1))
    assert step(scheduler) == [(0, 1), (1, 1)]


def test_a_small_prompt_does_not_overtake_a_large_one_that_lacks_pages():
    scheduler = scheduler_of(num_pages=4)
    for arrival, length in enumerate((8, 12, 1)):
        scheduler.add(sequence(arrival, length))
    assert step(scheduler) == [(0, 8)]
    assert step(scheduler) == [(0, 1)]


def test_a_newcomer_waits_rather_than_be_put_out_at_once():
    scheduler = scheduler_of(num_pages=3)
    scheduler.add(sequence(0, 7))
    step(scheduler)
    scheduler.add(sequence(1, 3))  # there is a page, but the running one is about to need it
    for _ in range(4):
        assert step(scheduler) == [(0, 1)]
    assert scheduler.preemptions == 0


def test_what_is_computed_again_does_not_count_as_cached():
    scheduler = scheduler_of(num_pages=5)
    young = sequence(1, 8)
    scheduler.add(sequence(0, 3))
    scheduler.add(young)
    while not scheduler.preemptions:
        step(scheduler)
    scheduler.remove(next(s for s in scheduler.running if s.arrival == 0))
    assert step(scheduler)[0][0] == 1
    assert young.computed > 8  # its pages were still there
    assert young.cached == 0


def test_removing_a_waiting_sequence_leaves_the_pages_alone():
    scheduler = scheduler_of()
    waiting = sequence(0, 3)
    scheduler.add(waiting)
    scheduler.remove(waiting)
    assert scheduler.schedule() == []
    assert scheduler.pages.available == 32
