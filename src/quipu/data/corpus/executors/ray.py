"""Jobs on a Ray cluster whose machines share the file system that the corpus lies on."""

import os
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any

from quipu.data.corpus.jobs import Done, Failed, Job, finished, perform, stop_if_fatal
from quipu.errors import DataError

_AHEAD = 2  # jobs handed over per processor, so that none waits for this process


class RayExecutor:
    """Connects to `address`, or starts Ray on this machine; `with` ends what was started."""

    def __init__(self, address: str | None = None, processes: int | None = None) -> None:
        # Nothing leaves the machine unasked; Ray reads this when it is imported.
        os.environ["RAY_usage_stats_enabled"] = "0"  # noqa: SIM112  Ray spells it so
        try:
            import ray
        except ModuleNotFoundError as error:
            raise DataError(
                f"--executor ray needs {error.name}", remedy="pip install 'quipu-code[ray]'"
            ) from error
        self.ray: Any = ray
        self.started = not ray.is_initialized()
        if self.started:
            local = {} if address else {"num_cpus": processes, "include_dashboard": False}
            try:
                ray.init(address=address, log_to_driver=False, logging_level="error", **local)
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise DataError(
                    f"no Ray cluster at {address or 'this machine'}",
                    got=error,
                    remedy="start one with `ray start --head`, or leave out --ray-address",
                ) from error
        self.remote: Any = ray.remote(num_cpus=1, max_retries=0)(perform)

    def run(self, jobs: Iterable[Job]) -> Iterator[Done | Failed]:
        """Outcomes as jobs end; a killed worker fails its job alone."""
        running: dict[Any, Job] = {}
        try:
            for job in jobs:
                done = finished(job)
                if done is not None:
                    yield done
                    continue
                running[self.remote.remote(job)] = job
                if len(running) >= self._most():
                    yield self._next(running)
            while running:
                yield self._next(running)
        finally:
            for reference in running:
                self.ray.cancel(reference, force=True)

    def _most(self) -> int:
        return max(1, _AHEAD * int(self.ray.cluster_resources().get("CPU", 1)))

    def _next(self, running: dict[Any, Job]) -> Done | Failed:
        (reference,), _ = self.ray.wait(list(running), num_returns=1)
        job = running.pop(reference)
        outcome: Done | Failed
        try:
            outcome = self.ray.get(reference)
        except self.ray.exceptions.RayError as error:
            said = str(error).strip().splitlines() or [""]
            outcome = Failed(job=job, reason=f"{type(error).__name__}: {said[0]}")
        if isinstance(outcome, Failed):
            stop_if_fatal(outcome)
        return outcome

    def __enter__(self) -> "RayExecutor":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.started:
            self.ray.shutdown()
