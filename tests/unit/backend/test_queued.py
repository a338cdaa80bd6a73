"""The stream between the engine's thread and its reader."""

from quipu.backend import queued
from quipu.backend.queued import QueuedStream
from quipu.request import Piece


def piece(number: int) -> Piece:
    return Piece(text=str(number), token_ids=(number,))


def stream_of(count: int) -> QueuedStream:
    stream = QueuedStream(lambda: None)
    for number in range(count):
        stream.put(piece(number))
    return stream


def naps(monkeypatch) -> list[float]:
    taken: list[float] = []
    monkeypatch.setattr(queued.time, "sleep", taken.append)
    return taken


def test_pieces_come_in_order_and_then_the_end():
    stream = stream_of(3)
    stream.end()
    assert [p.text for p in stream] == ["0", "1", "2"]


def test_a_reader_who_empties_a_fast_stream_lets_pieces_gather(monkeypatch):
    taken: list[float] = []
    stream = stream_of(2)

    def nap(seconds: float) -> None:
        taken.append(seconds)
        stream.end()

    monkeypatch.setattr(queued.time, "sleep", nap)
    monkeypatch.setattr(queued, "FAST_S", 1e9)
    assert [p.text for p in stream] == ["0", "1"]
    assert taken == [queued.BUNDLE_S]


def test_a_reader_of_a_slow_stream_never_sleeps(monkeypatch):
    taken = naps(monkeypatch)
    clock = iter(range(100))
    monkeypatch.setattr(queued.time, "perf_counter", lambda: float(next(clock)))
    stream = stream_of(1)
    next(stream)
    stream.put(piece(1))
    next(stream)
    stream.end()
    assert list(stream) == []
    assert taken == []


def test_the_first_piece_is_never_held_back(monkeypatch):
    taken = naps(monkeypatch)
    monkeypatch.setattr(queued, "POLL_S", 0.01)
    monkeypatch.setattr(queued, "FAST_S", 1e9)
    stream = QueuedStream(lambda: None)
    stream.put(piece(0))
    assert next(stream).text == "0"
    assert taken == []
