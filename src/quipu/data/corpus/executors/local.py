"""Jobs in processes of this machine.

Each worker has a pipe of its own and one job at a time, so when one is killed it is known which job
did it. Workers leave when the process that started them does, however it ended.
"""

import contextlib
import itertools
import multiprocessing
import os
import pickle
import resource
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any

from quipu.data.corpus.jobs import Done, Failed, Job, finished, perform, stop_if_fatal
from quipu.errors import DataError

LEAVE_S = 5.0  # how long a worker may take to end before it is killed
FIT_BYTES = 400_000_000  # a worker that ever held more is replaced after its job


class LocalExecutor:
    """So many worker processes; with none, jobs are done in this process, one after another."""

    def __init__(self, processes: int) -> None:
        assert processes >= 0
        self.processes = processes
        self._idle: list[_Worker] = []  # between two runs; they leave when their pipes close

    def run(self, jobs: Iterable[Job]) -> Iterator[Done | Failed]:
        """Outcomes as jobs end; a killed worker fails its job alone."""
        waiting: list[Job] = []
        for job in jobs:
            done = finished(job)
            if done is not None:
                yield done
            else:
                waiting.append(job)
        outcomes = self._in_workers(waiting) if self.processes else map(perform, waiting)
        for outcome in outcomes:
            if isinstance(outcome, Failed):
                stop_if_fatal(outcome)
            yield outcome

    def _in_workers(self, jobs: list[Job]) -> Iterator[Done | Failed]:
        queue = iter(jobs)
        busy: list[_Worker] = []
        try:
            for job in itertools.islice(queue, self.processes):
                self._start(job, busy)
            while busy:
                for pipe in wait([worker.pipe for worker in busy]):
                    worker = next(one for one in busy if one.pipe is pipe)
                    busy.remove(worker)
                    outcome, fit = worker.outcome()
                    if fit:
                        self._idle.append(worker)
                    else:
                        worker.stop()
                    for job in itertools.islice(queue, 1):
                        self._start(job, busy)
                    yield outcome
        finally:
            for worker in busy:
                worker.stop(now=True)

    def _start(self, job: Job, busy: "list[_Worker]") -> None:
        worker = self._idle.pop() if self._idle else _Worker()
        busy.append(worker)
        worker.give(job)

    def close(self) -> None:
        """End the workers."""
        while self._idle:
            self._idle.pop().stop()

    def __enter__(self) -> "LocalExecutor":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Worker:
    """A process that does one job at a time."""

    def __init__(self) -> None:
        # Not fork: threads of this process (numpy, pyarrow) would be copied half alive.
        context = multiprocessing.get_context("forkserver")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()
        self.job: Job | None = None

    def give(self, job: Job) -> None:
        """Start a job. DataError if it cannot be sent to another process."""
        self.job = job
        try:
            self.pipe.send(job)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise DataError(
                f"{job.name}: cannot be sent to another process",
                got=error,
                allowed="steps made of classes and functions at the top of a module",
            ) from error
        except BrokenPipeError:
            pass  # it has just died; reading from it will tell

    def outcome(self) -> tuple[Done | Failed, bool]:
        """How the job ended, and whether the worker is fit for another."""
        assert self.job is not None
        try:
            found, fatal, fit = self.pipe.recv()
        except (EOFError, ConnectionResetError):
            self.process.join()
            return Failed(job=self.job, reason=_how_it_ended(self.process.exitcode)), False
        if fatal is None:
            return Done(job=self.job, facts=found), fit
        return Failed(job=self.job, reason=found, fatal=fatal), fit

    def stop(self, *, now: bool = False) -> None:
        """End the process: after its job, or at once."""
        if now:
            self.process.kill()
        self.pipe.close()
        self.process.join(LEAVE_S)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
        self.process.close()


def _how_it_ended(code: int | None) -> str:
    if code == -signal.SIGKILL:
        return "its process was killed, probably for want of memory"
    if code is not None and code < 0:
        return f"its process was ended by {signal.Signals(-code).name}"
    return f"its process left with code {code}"


def serve(pipe: "Connection") -> None:
    """What a worker does: jobs from a pipe, until it is closed."""
    # Ctrl-C reaches the whole group; the process that started this one decides what to do.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    while True:
        try:
            job = pipe.recv()
        except (EOFError, ConnectionError):
            return  # nobody is there to give jobs or to hear of them
        except Exception as error:
            pipe.send((f"cannot be received: {type(error).__name__}: {error}", False, True))
            continue
        outcome = perform(job)
        # Without the job itself: its arguments may be large, and the other side has it.
        told: tuple[Any, bool | None, bool]
        if isinstance(outcome, Done):
            told = (outcome.facts, None, _is_fit())
        else:
            told = (outcome.reason, outcome.fatal, _is_fit())
        with contextlib.suppress(ConnectionError):
            pipe.send(told)


def _is_fit() -> bool:
    """Whether this process is small. Python hands little memory back to the system, so after a
    large package a fresh process is cheaper than an old one."""
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale < FIT_BYTES


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
