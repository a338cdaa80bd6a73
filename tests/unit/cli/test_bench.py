"""What `quipu bench` measures, with a backend whose speed is known."""

import pytest

import small
from quipu.backend.protocol import ModelInfo
from quipu.cli import bench, main
from quipu.cli.memory import peak_bytes
from quipu.config import Abilities
from quipu.errors import BackendError, PromptTooLong, UsageError
from quipu.request import Piece

CLOCK_START_S, PREFILL_S, STEP_S = 100.0, 2.0, 0.25


class Metronome:
    """A backend on a clock of its own: prompts one after another, then a token a step for all."""

    tokenizer = small.tokenizer()
    info = ModelInfo(name="metronome", context=4096, abilities=Abilities())

    def __init__(self):
        self.now_s, self.requests = CLOCK_START_S, []
        self.gives = {}  # tokens at most, by number of the request

    def submit(self, request):
        number = len(self.requests)
        self.requests.append(request)
        return Ticks(self, min(request.sampling.max_tokens, self.gives.get(number, 10**6)))


class Ticks:
    def __init__(self, clock, count):
        self.clock, self.count, self.cancelled = clock, count, False
        self._pieces = self._generate()

    def __iter__(self):
        return self._pieces

    def cancel(self):
        self.cancelled = True

    def _generate(self):
        self.clock.now_s += PREFILL_S
        began_s = self.clock.now_s
        yield Piece(text="", token_ids=(5,))
        for _ in range(self.count - 1):
            if self.cancelled:  # what has come while nobody looked, and no more
                passed = int((self.clock.now_s - began_s) / STEP_S)
                for _ in range(min(passed, self.count - 1)):
                    yield Piece(text="", token_ids=(5,))
                yield Piece(text="", finish_reason="cancelled")
                return
            self.clock.now_s += STEP_S
            yield Piece(text="", token_ids=(5,))


@pytest.fixture
def metronome(monkeypatch):
    clock = Metronome()
    monkeypatch.setattr(bench.time, "perf_counter", lambda: clock.now_s)
    return clock


def plan(**values):
    return bench.Plan(
        **{"prompt_tokens": 8, "new_tokens": 5, "batch": 1, "rounds": 3, "seed": 0, **values}
    )


def test_prefill_counts_to_the_first_token_and_decode_from_there(metronome):
    found = bench.measure(metronome, plan(), 0)
    assert found.first_token_s == PREFILL_S
    assert found.prefill_tokens_per_s == 8 / PREFILL_S
    assert found.decode_tokens_per_s == 1 / STEP_S


def test_a_batch_counts_the_tokens_of_all_its_sequences(metronome):
    found = bench.measure(metronome, plan(batch=4), 0)
    assert found.first_token_s == PREFILL_S
    assert found.prefill_tokens_per_s == 4 * 8 / (4 * PREFILL_S)
    assert found.decode_tokens_per_s == 4 / STEP_S


def test_earlier_sequences_run_on_until_the_last_has_ended(metronome):
    bench.measure(metronome, plan(batch=4), 0)
    asked = [request.sampling.max_tokens for request in metronome.requests]
    assert asked == sorted(asked, reverse=True)
    assert asked[-1] == 5


def test_one_token_has_no_decode_rate(metronome):
    assert bench.measure(metronome, plan(new_tokens=1), 0).decode_tokens_per_s is None


def test_no_two_prompts_begin_alike_so_that_no_prefix_is_cached(metronome):
    for number in range(2):
        bench.measure(metronome, plan(batch=3), number)
    assert len({request.prompt for request in metronome.requests}) == 6


def test_prompts_are_the_same_for_the_same_seed(metronome):
    for seed in (1, 1, 2):
        bench.measure(metronome, plan(seed=seed), 0)
    first, again, other = (request.prompt for request in metronome.requests)
    assert first == again != other


def test_an_answer_that_ends_early_is_an_error(metronome):
    metronome.gives = {0: 3}
    with pytest.raises(BackendError, match="got 3 tokens"):
        bench.measure(metronome, plan(), 0)


def test_a_batch_that_does_not_stay_together_is_an_error(metronome):
    metronome.gives = {0: 2}
    with pytest.raises(BackendError, match="did not answer together; got 2 tokens"):
        bench.measure(metronome, plan(batch=2), 0)


def test_the_first_round_warms_up_and_is_one_more(metronome):
    assert len(list(bench.measured(metronome, plan()))) == 4


def test_figures_are_medians_with_their_spread():
    rounds = [
        bench.Round(first_token_s=s, prefill_tokens_per_s=1 / s, decode_tokens_per_s=None)
        for s in (1.0, 4.0, 2.0)
    ]
    found = bench.figures(rounds)
    assert found["first_token_s"] == 2.0
    assert found["decode_tokens_per_s"] is None
    assert found["spread"]["first_token_s"] == {"median": 2.0, "min": 1.0, "max": 4.0}


@pytest.mark.parametrize("name", ["prompt_tokens", "new_tokens", "batch", "rounds"])
def test_nothing_to_measure_is_refused(name):
    with pytest.raises(UsageError, match=f"--{name.replace('_', '-')}; got 0; allowed: 1 or more"):
        plan(**{name: 0})


def test_more_than_the_context_is_refused_before_anything_runs():
    with pytest.raises(PromptTooLong, match="--prompt-tokens"):
        bench.check_fits(plan(prompt_tokens=60), 64)
    bench.check_fits(plan(prompt_tokens=59), 64)


def asked(*options):
    return main.parser().parse_args(["bench", *options])


def test_keys_and_values_have_memory_for_the_whole_batch():
    args = asked("--batch", "8")
    bench.settle(args, plan(batch=8))
    assert args.kv_tokens >= 8 * plan(batch=8).longest


def test_speculation_is_off_unless_it_is_asked_for():
    for options, expected in (((), False), (("--speculate",), True)):
        args = asked(*options)
        bench.settle(args, plan())
        assert args.speculate is expected


def test_a_server_is_asked_for_nothing_it_does_not_know():
    args = asked("--backend", "http://localhost:8000/v1", "--model", "m")
    bench.settle(args, plan())
    assert (args.speculate, args.kv_tokens) == (None, None)


def test_speculation_is_measured_with_one_sequence():
    with pytest.raises(UsageError, match="a batch of 1"):
        bench.settle(asked("--speculate"), plan(batch=2))


def test_memory_is_that_of_this_process():
    assert peak_bytes() > 2**20
