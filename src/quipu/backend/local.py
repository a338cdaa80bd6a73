"""A backend over an engine in this process: one thread steps it, any thread submits.

Text is made in the engine's thread, so that a stop string ends an answer before its next token.
"""

import queue
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import numpy as np
import numpy.typing as npt

from quipu.backend.protocol import ModelInfo, Stream
from quipu.backend.queued import QueuedStream
from quipu.engine.engine import Engine, Event, Rows
from quipu.engine.sampler import log_softmax
from quipu.errors import BackendError
from quipu.request import Piece, Request
from quipu.text.healing import PrefixConstraint
from quipu.text.stream import TextStream
from quipu.text.tokenizer import Tokenizer

# Tokens that come faster than anybody sees are handed over together: while steps are quick, held
# back for so long, or to the end of the first slow step.
QUICK_STEP_S = 0.002
TOGETHER_S = 0.008

TakeRows = Callable[[int, npt.NDArray[np.float32]], None]  # number of the first row, logits


class LocalBackend:
    """Implements `Backend`. Owns its engine; dropping the last reference closes it."""

    def __init__(self, engine: Engine, tokenizer: Tokenizer, info: ModelInfo) -> None:
        self._tokenizer = tokenizer
        self._info = info
        self._worker = _Worker(engine)
        # The thread knows the worker only, so that this object can go; at exit it runs too.
        self._closer = weakref.finalize(self, self._worker.close)

    @property
    def tokenizer(self) -> Tokenizer:
        return self._tokenizer

    @property
    def info(self) -> ModelInfo:
        return self._info

    def submit(self, request: Request) -> Stream:
        """See `Backend`. Pieces of forced tokens (token healing) carry the ids and no text."""
        self._worker.engine().check(request)
        answers = _Answers(self._tokenizer, request, self._cancel)
        constraint = PrefixConstraint(self._tokenizer, request.forced) if request.forced else None
        self._worker.start(answers, lambda engine: engine.add(request, constraint))
        return answers.stream

    def score(self, token_ids: Sequence[int]) -> npt.NDArray[np.float32]:
        ids = tuple(token_ids)
        self._worker.engine().check_rows(ids)
        following = np.array(ids[1:], dtype=np.int64)
        found = np.empty(len(following), dtype=np.float32)

        def take(start: int, logits_NV: npt.NDArray[np.float32]) -> None:
            chosen = following[start : start + len(logits_NV)]
            rows = log_softmax(logits_NV)
            found[start : start + len(rows)] = rows[np.arange(len(rows)), chosen]

        if len(found):
            self._run_rows(ids[:-1], take)
        return found

    def logits(self, token_ids: Sequence[int]) -> npt.NDArray[np.float32]:
        ids = tuple(token_ids)
        self._worker.engine().check_rows(ids)
        found = np.empty((len(ids), 0), dtype=np.float32)

        def take(start: int, logits_NV: npt.NDArray[np.float32]) -> None:
            nonlocal found
            if not found.size:
                found = np.empty((len(ids), logits_NV.shape[1]), dtype=np.float32)
            found[start : start + len(logits_NV)] = logits_NV

        self._run_rows(ids, take)
        return found

    def close(self) -> None:
        self._closer()

    def _run_rows(self, ids: tuple[int, ...], take: TakeRows) -> None:
        scoring = _Scoring(take, self._cancel)
        self._worker.start(scoring, lambda engine: engine.add_rows(ids))
        try:
            for _ in scoring.stream:
                raise AssertionError("scoring has no pieces")
        except BaseException:  # Ctrl-C above all: nobody waits for the rest any more
            scoring.stream.cancel()
            raise

    def _cancel(self, job: "_Job") -> None:
        self._worker.cancel(job)


class _Job(Protocol):
    """What the worker feeds with the events of one request."""

    @property
    def stream(self) -> QueuedStream: ...

    def take(self, event: Event | Rows) -> bool:
        """Use an event. True if the answer's text has ended before the engine knows it."""

    def cancelled(self) -> None:
        """No more events will come."""


class _Answers:
    """Texts of a request's answers, made from events."""

    def __init__(
        self, tokenizer: Tokenizer, request: Request, cancel: Callable[[_Job], None]
    ) -> None:
        self.stream = QueuedStream(partial(cancel, self))
        self._begun = False
        self._texts = {
            index: TextStream(
                tokenizer,
                stop=request.sampling.stop,
                forced=request.forced,
                drop_space=request.drop_space,
            )
            for index in range(request.sampling.n)
        }

    def take(self, event: Event | Rows) -> bool:
        assert isinstance(event, Event)
        if event.index not in self._texts:
            return False  # a stop string has ended the answer earlier in the same step
        answer, reason = self._texts[event.index], event.finish_reason
        text = "" if event.token_id is None else answer.push(event.token_id)
        if reason or answer.stopped:
            text += answer.finish()
            reason = "stop" if answer.stopped else reason
            del self._texts[event.index]
        piece = Piece(
            text=text,
            token_ids=() if event.token_id is None else (event.token_id,),
            logprobs=() if event.logprob is None else (event.logprob,),
            index=event.index,
            finish_reason=reason,
            cached_tokens=event.cached_tokens if reason else 0,
        )
        if self._begun:
            self.stream.hold(piece)
        else:
            self.stream.put(piece)
            self._begun = True
        if not self._texts:
            self.stream.end()
        return answer.stopped

    def cancelled(self) -> None:
        assert not self._texts, "an answer without a last piece"


class _Scoring:
    """Rows of a scored prompt, handed on; its stream has no pieces, only an end."""

    def __init__(self, take: TakeRows, cancel: Callable[[_Job], None]) -> None:
        self.stream = QueuedStream(partial(cancel, self))
        self._take = take

    def take(self, event: Event | Rows) -> bool:
        assert isinstance(event, Rows)
        self._take(event.start, event.logits_NV)
        if event.last:
            self.stream.end()
        return False

    def cancelled(self) -> None:
        self.stream.fail(BackendError("scoring was cancelled"))


class _Worker:
    """The thread that alone touches the engine. Others leave it work in an inbox."""

    def __init__(self, engine: Engine) -> None:
        self._engine: Engine | None = engine
        self._inbox: queue.SimpleQueue[Callable[[Engine], None]] = queue.SimpleQueue()
        self._jobs: dict[int, _Job] = {}  # by the engine's number; this thread only
        self._flushed = 0.0  # when; this thread only
        self._lock = threading.RLock()  # guards the two below; see `close`
        self._open: set[_Job] = set()
        self._refusal: BackendError | None = None  # why nothing can be started any more
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="quipu-engine", daemon=True)
        self._thread.start()

    def engine(self) -> Engine:
        """The engine, for its checks. Raises BackendError when it is closed or has failed."""
        engine = self._engine
        self._raise_refusal()
        assert engine is not None
        return engine

    def start(self, job: _Job, add: Callable[[Engine], int]) -> None:
        """Have the engine take a request up. Raises BackendError as `engine` does."""

        def begin(engine: Engine) -> None:
            self._jobs[add(engine)] = job

        with self._lock:
            self._raise_refusal()
            self._open.add(job)
            self._inbox.put(begin)

    def cancel(self, job: _Job) -> None:
        self._inbox.put(lambda engine: self._cancel(engine, job))

    def close(self) -> None:
        """Cancel what is open and end the thread. Idempotent; returns when it is done.

        The garbage collector may call it in any thread, this one included, wherever that stands.
        """

        def stop(engine: Engine) -> None:
            for job in list(self._jobs.values()):
                self._cancel(engine, job)
            self._closing = True

        with self._lock:
            if self._refusal is None:
                self._refusal = BackendError("the backend is closed", remedy="open it again")
                self._inbox.put(stop)
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _raise_refusal(self) -> None:
        if self._refusal is not None:  # a new one each time: a raised error collects tracebacks
            raise BackendError(str(self._refusal)) from self._refusal.__cause__

    def _run(self) -> None:
        assert self._engine is not None
        try:
            while not self._closing:
                self._serve(self._engine)
        except Exception as error:  # whatever it was, those who wait must hear of it
            self._fail(error)
        finally:
            self._engine = None  # frees the model

    def _serve(self, engine: Engine) -> None:
        """Take up what lies in the inbox, waiting for it if there is nothing else, then step."""
        if engine.idle:
            self._inbox.get()(engine)
        if not self._inbox.empty():
            self._flush()  # what begins may take long
        while not self._inbox.empty() and not self._closing:
            self._inbox.get()(engine)
        began = time.perf_counter()
        events = engine.step()
        now = time.perf_counter()
        for event in events:
            if self._jobs[event.request_id].take(event):
                assert isinstance(event, Event)
                engine.end(event.request_id, event.index)
        for number in {event.request_id for event in events}:
            if not engine.is_open(number):
                self._forget(number)
        if now - began > QUICK_STEP_S or now - self._flushed > TOGETHER_S:
            self._flush()

    def _flush(self) -> None:
        for job in self._jobs.values():
            job.stream.flush()
        self._flushed = time.perf_counter()

    def _cancel(self, engine: Engine, job: _Job) -> None:
        number = next((n for n, known in self._jobs.items() if known is job), None)
        if number is None:
            return  # it has ended
        for event in engine.cancel(number):
            job.take(event)
        job.cancelled()
        self._forget(number)

    def _forget(self, number: int) -> None:
        job = self._jobs.pop(number)
        with self._lock:
            self._open.discard(job)

    def _fail(self, error: Exception) -> None:
        refusal = error
        if not isinstance(refusal, BackendError):
            refusal = BackendError(
                "the engine has failed",
                got=f"{type(error).__name__}: {error}",
                remedy="open the backend again; if it is out of memory, use a smaller model",
            )
            refusal.__cause__ = error
        with self._lock:
            self._refusal = refusal
            broken = list(self._open)
            self._open.clear()
        for job in broken:
            job.stream.fail(refusal)
