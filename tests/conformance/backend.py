"""What every backend must do, whatever runs behind it: cases over a bench, one behaviour each."""

import threading
from dataclasses import dataclass, replace

import numpy as np
import pytest

from quipu.backend.protocol import Backend
from quipu.errors import BackendError, PromptTooLong, UsageError
from quipu.request import Piece, Request, Sampling

# Both sides compute in fp32, in another order of sums.
TOLERANCE = 1e-4
LONG = 3000  # tokens; nothing answers so much before a test cancels it


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A backend and what is known of it."""

    backend: Backend
    prompts: tuple[tuple[int, ...], ...]  # each has an answer of 40 tokens or more, all differ
    samples: bool  # temperature and seeds matter


@dataclass(frozen=True, kw_only=True)
class Answer:
    text: str
    token_ids: tuple[int, ...]
    reason: str
    pieces: tuple[Piece, ...]


def ask(bench, prompt=0, *, stop_ids=(), **options) -> Request:
    sampling = Sampling(**{"max_tokens": 24, **options})
    return Request(prompt=bench.prompts[prompt], sampling=sampling, stop_ids=stop_ids)


def answers(stream, n=1) -> list[Answer]:
    pieces = [[] for _ in range(n)]
    for piece in stream:
        assert not (pieces[piece.index] and pieces[piece.index][-1].finish_reason), "after the end"
        pieces[piece.index].append(piece)
    return [
        Answer(
            text="".join(piece.text for piece in found),
            token_ids=tuple(token for piece in found for token in piece.token_ids),
            reason=found[-1].finish_reason,
            pieces=tuple(found),
        )
        for found in pieces
    ]


def answer(bench, request) -> Answer:
    return answers(bench.backend.submit(request))[0]


def the_text_is_that_of_the_tokens(bench):
    found = answer(bench, ask(bench))
    assert found.text == bench.backend.tokenizer.decode(found.token_ids, dummy_prefix=False)


def max_tokens_ends_an_answer_by_length(bench):
    found = answer(bench, ask(bench, max_tokens=9))
    assert (len(found.token_ids), found.reason) == (9, "length")


def one_token_may_be_all(bench):
    found = answer(bench, ask(bench, max_tokens=1))
    assert (len(found.token_ids), found.reason) == (1, "length")


def only_the_last_piece_has_a_finish_reason(bench):
    found = answer(bench, ask(bench))
    assert [piece.finish_reason for piece in found.pieces[:-1]] == [None] * (len(found.pieces) - 1)


def a_longer_answer_begins_with_the_shorter(bench):
    short, long = (answer(bench, ask(bench, max_tokens=count)) for count in (8, 24))
    assert long.token_ids[:8] == short.token_ids


def different_prompts_get_their_own_answers(bench):
    found = [answer(bench, ask(bench, prompt)) for prompt in range(len(bench.prompts))]
    assert len({one.token_ids for one in found}) == len(found)


def a_stop_string_cuts_the_text_before_it(bench):
    whole = answer(bench, ask(bench)).text
    stop = whole[len(whole) // 2 :][:3]
    found = answer(bench, ask(bench, stop=(stop,)))
    assert found.text == whole[: whole.index(stop)]
    assert found.reason == "stop"
    assert len(found.token_ids) < 24


def of_several_stop_strings_the_first_in_the_text_counts(bench):
    whole = answer(bench, ask(bench)).text
    late, early = whole[len(whole) // 2 :][:2], whole[len(whole) // 4 :][:2]
    found = answer(bench, ask(bench, stop=(late, early, "never there")))
    assert found.text == whole[: min(whole.index(late), whole.index(early))]


def a_stop_string_that_never_comes_changes_nothing(bench):
    whole = answer(bench, ask(bench))
    begun = whole.text[-2:] + "never there"  # held back to the end, then given
    found = answer(bench, ask(bench, stop=(begun,)))
    assert (found.text, found.token_ids, found.reason) == (whole.text, whole.token_ids, "length")


def a_stop_id_ends_the_answer_and_is_not_part_of_it(bench):
    whole = answer(bench, ask(bench)).token_ids
    stop = whole[len(whole) // 2]
    found = answer(bench, ask(bench, stop_ids=(stop,)))
    assert (found.token_ids, found.reason) == (whole[: whole.index(stop)], "stop")


def greedy_answers_repeat(bench):
    first, second = (answer(bench, ask(bench)) for _ in range(2))
    assert (first.text, first.token_ids) == (second.text, second.token_ids)


def the_same_seed_gives_the_same_text(bench):
    request = ask(bench, temperature=1.0, seed=11)
    assert answer(bench, request).token_ids == answer(bench, request).token_ids


def another_seed_gives_another_text(bench):
    if not bench.samples:
        pytest.skip("this backend does not sample")
    found = {answer(bench, ask(bench, temperature=1.0, seed=seed)).token_ids for seed in range(4)}
    assert len(found) == 4


def n_answers_come_under_their_own_index(bench):
    found = answers(bench.backend.submit(ask(bench, n=3)), 3)
    single = answer(bench, ask(bench))
    assert [one.token_ids for one in found] == [single.token_ids] * 3  # greedy
    assert [one.reason for one in found] == ["length"] * 3


def n_answers_to_a_seed_differ_and_repeat(bench):
    request = ask(bench, n=3, temperature=1.0, seed=5)
    first, second = (answers(bench.backend.submit(request), 3) for _ in range(2))
    assert [one.token_ids for one in first] == [one.token_ids for one in second]
    if bench.samples:
        assert len({one.token_ids for one in first}) == 3


def logprobs_come_one_for_each_token_best_first(bench):
    found = answer(bench, ask(bench, logprobs=2))
    logprobs = [logprob for piece in found.pieces for logprob in piece.logprobs]
    assert tuple(logprob.token_id for logprob in logprobs) == found.token_ids
    for logprob in logprobs:
        assert logprob.logprob <= 0
        assert 1 <= len(logprob.top) <= 2
        assert logprob.top[0] == (logprob.token_id, logprob.logprob)  # greedy takes the best
        assert list(logprob.top) == sorted(logprob.top, key=lambda pair: -pair[1])


def logprobs_may_be_wanted_without_alternatives(bench):
    found = answer(bench, ask(bench, logprobs=0, max_tokens=4))
    assert [len(p.logprobs) == len(p.token_ids) for p in found.pieces]
    assert all(not logprob.top for piece in found.pieces for logprob in piece.logprobs)


def logprobs_stay_away_unless_asked_for(bench):
    assert all(not piece.logprobs for piece in answer(bench, ask(bench)).pieces)


def scores_equal_the_logprobs_of_an_answer(bench):
    found = answer(bench, ask(bench, logprobs=0))
    ids = (*bench.prompts[0], *found.token_ids)
    scores = bench.backend.score(ids)
    assert scores.dtype == np.float32
    assert scores.shape == (len(ids) - 1,)
    logprobs = [logprob.logprob for piece in found.pieces for logprob in piece.logprobs]
    assert np.abs(scores[len(bench.prompts[0]) - 1 :] - logprobs).max() < TOLERANCE


def one_token_has_no_scores(bench):
    assert bench.backend.score(bench.prompts[0][:1]).shape == (0,)


def no_tokens_cannot_be_scored(bench):
    with pytest.raises(UsageError, match="empty"):
        bench.backend.score([])


def a_prompt_that_fills_the_context_is_refused_with_numbers(bench):
    context = bench.backend.info.context
    prompt = (bench.prompts[0] * context)[:context]
    with pytest.raises(PromptTooLong, match=f"{context} tokens.*allowed: up to {context - 1}"):
        bench.backend.submit(Request(prompt=prompt))


def max_tokens_is_cut_to_what_fits(bench):
    context = bench.backend.info.context
    prompt = (bench.prompts[0] * context)[: context - 3]
    found = answer(bench, Request(prompt=prompt, sampling=Sampling(max_tokens=50)))
    assert (len(found.token_ids), found.reason) == (3, "length")


def an_empty_prompt_is_refused(bench):
    with pytest.raises(UsageError, match="empty prompt"):
        bench.backend.submit(Request(prompt=()))


def ids_outside_the_vocabulary_are_refused(bench):
    vocab = bench.backend.tokenizer.vocab
    for wrong in (vocab, -1):
        with pytest.raises(UsageError, match=f"got {wrong}.*0 to {vocab - 1}"):
            bench.backend.submit(Request(prompt=(1, wrong)))


def a_cancelled_answer_ends_as_such_with_what_it_had(bench):
    stream = bench.backend.submit(ask(bench, max_tokens=LONG))
    head = [next(iter(stream)) for _ in range(2)]
    stream.cancel()
    stream.cancel()
    pieces = [*head, *stream]
    assert pieces[-1].finish_reason == "cancelled"
    tokens = sum(len(piece.token_ids) for piece in pieces)
    assert tokens < LONG
    text = "".join(piece.text for piece in pieces[:-1])
    assert answer(bench, ask(bench, max_tokens=tokens + 8)).text.startswith(text)


def a_cancel_before_the_first_piece_ends_every_answer(bench):
    stream = bench.backend.submit(ask(bench, max_tokens=LONG, n=2))
    stream.cancel()
    assert [one.reason for one in answers(stream, 2)] == ["cancelled"] * 2


def a_cancel_after_the_end_does_nothing(bench):
    stream = bench.backend.submit(ask(bench, max_tokens=3))
    assert answers(stream)[0].reason == "length"
    stream.cancel()
    assert list(stream) == []


def a_cancel_leaves_other_answers_alone(bench):
    whole = answer(bench, ask(bench, 1, max_tokens=40))
    cancelled = bench.backend.submit(ask(bench, 0, max_tokens=LONG))
    kept = bench.backend.submit(ask(bench, 1, max_tokens=40))
    cancelled.cancel()
    assert answers(kept)[0].token_ids == whole.token_ids
    list(cancelled)


def streams_can_be_read_in_any_order(bench):
    requests = [ask(bench, prompt) for prompt in range(len(bench.prompts))]
    expected = [answer(bench, request).token_ids for request in requests]
    streams = [bench.backend.submit(request) for request in requests]
    found = [answers(stream)[0].token_ids for stream in reversed(streams)]
    assert found == expected[::-1]


def many_threads_may_ask_at_once(bench):
    requests = [
        ask(bench, number % len(bench.prompts), temperature=1.0, seed=number) for number in range(8)
    ]
    expected = [answer(bench, request).token_ids for request in requests]
    found = {}

    def work(number):
        found[number] = answer(bench, requests[number]).token_ids

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[number] for number in range(8)] == expected


def bytes_forced_on_an_answer_are_not_in_its_text(bench):
    if not bench.backend.info.heals:
        with pytest.raises(UsageError, match="heal"):
            bench.backend.submit(replace(ask(bench), forced=b"de"))
        return
    request = replace(ask(bench), forced=b"de")
    found = answer(bench, request)
    raw = bench.backend.tokenizer.decode(found.token_ids, dummy_prefix=False)
    assert raw.removeprefix("de") == found.text


def the_model_has_a_name_and_a_context(bench):
    assert bench.backend.info.name
    assert bench.backend.info.context > 100


def closing_ends_open_streams_and_refuses_new_requests(bench):
    stream = bench.backend.submit(ask(bench, max_tokens=LONG))
    next(iter(stream))
    bench.backend.close()
    bench.backend.close()
    assert list(stream)[-1].finish_reason == "cancelled"
    with pytest.raises(BackendError, match="closed"):
        bench.backend.submit(ask(bench))
    with pytest.raises(BackendError, match="closed"):
        bench.backend.score(bench.prompts[0])


CLOSING = (closing_ends_open_streams_and_refuses_new_requests,)
CASES = tuple(
    found
    for name, found in list(globals().items())
    if callable(found)
    and getattr(found, "__module__", "") == __name__
    and name not in ("Bench", "Answer", "ask", "answers", "answer")
    and found not in CLOSING
)
