"""Pieces come out of a stream in order; held ones together, one for each answer."""

import pytest

from quipu.backend.queued import QueuedStream, joined
from quipu.errors import BackendError
from quipu.request import Piece, TokenLogprob


def stream():
    return QueuedStream(lambda: None)


def piece(text, token_id, index=0, **more):
    return Piece(text=text, token_ids=(token_id,), index=index, **more)


def test_held_pieces_come_as_one_for_each_answer():
    filled = stream()
    filled.put(piece("a", 1))
    for held in (piece("b", 2), piece("x", 7, index=1), piece("c", 3)):
        filled.hold(held)
    filled.flush()
    filled.hold(piece("d", 4, finish_reason="length", cached_tokens=5))
    filled.end()
    assert list(filled) == [
        piece("a", 1),
        Piece(text="bc", token_ids=(2, 3)),
        piece("x", 7, index=1),
        piece("d", 4, finish_reason="length", cached_tokens=5),
    ]


def test_what_is_put_comes_after_what_was_held():
    filled = stream()
    filled.hold(piece("a", 1))
    filled.put(piece("b", 2))
    filled.end()
    assert [found.text for found in filled] == ["a", "b"]


def test_logprobs_of_joined_pieces_stay_beside_their_tokens():
    of = [TokenLogprob(token_id=n, logprob=-float(n), top=()) for n in (1, 2)]
    found = joined([piece("", one.token_id, logprobs=(one,)) for one in of])
    assert (found.token_ids, found.logprobs) == ((1, 2), tuple(of))


def test_a_failure_comes_after_what_was_held():
    filled = stream()
    filled.hold(piece("a", 1))
    filled.fail(BackendError("gone"))
    reader = iter(filled)
    assert next(reader).text == "a"
    with pytest.raises(BackendError, match="gone"):
        next(reader)
