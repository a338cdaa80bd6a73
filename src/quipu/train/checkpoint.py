"""Training state on disk (PyTorch DCP): written aside while training goes on, then renamed.

    RUN/checkpoints/step-00001000/     .metadata, *.distcp   tensors, shared out as they were
                                       state.json            step, mesh, data, what outliers were

A checkpoint has its name only once it is whole. Loading takes the newest that can be read, on any
mesh: DCP gives each process the parts it needs.
"""

import json
import shutil
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import async_save

from quipu.errors import TrainingError
from quipu.train.ranks import Ranks
from quipu.train.step import Learner, Outliers

# DCP warns of what is meant, also from its own threads: one process needs no group.
warnings.filterwarnings("ignore", message="torch.distributed is disabled")

FOLDER = "checkpoints"
STATE = "state.json"
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Saved:
    """A whole checkpoint."""

    path: Path
    step: int  # steps done
    facts: Mapping[str, Any]  # state.json


def saved(run: Path) -> list[Saved]:
    """Whole checkpoints of a run, oldest first; a folder that cannot be read is none."""
    found = []
    for path in sorted((run / FOLDER).glob("step-*")):
        try:
            facts = json.loads((path / STATE).read_text())
            sizes = {p.name: p.stat().st_size for p in path.iterdir() if p.name != STATE}
            if facts["format"] == FORMAT and facts["sizes"] == sizes:
                found.append(Saved(path=path, step=int(facts["step"]), facts=facts))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found


class Writer:
    """Writes checkpoints of one run, one at a time, beside the training."""

    def __init__(self, run: Path, ranks: Ranks, *, keep: int, milestones: frozenset[int]) -> None:
        """The newest `keep` stay, and those whose steps are `milestones`."""
        self._folder = run / FOLDER
        self._ranks = ranks
        self._keep, self._milestones = keep, milestones
        self._pending: tuple[Future[Any], Path, dict[str, Any]] | None = None
        if ranks.leads:
            self._folder.mkdir(parents=True, exist_ok=True)
            for left in self._folder.glob(".step-*"):
                shutil.rmtree(left, ignore_errors=True)
        ranks.barrier()

    def save(self, learner: Learner, step: int, facts: Mapping[str, Any]) -> None:
        """Copy the state after `step` steps, and write it while training goes on.

        Waits for the checkpoint before this one. Raises TrainingError if that one failed.
        """
        self.finish()
        aside = self._folder / f".step-{step:08}"
        told = {
            "format": FORMAT,
            "step": step,
            "mesh": asdict(self._ranks.shape),
            "outliers": learner.outliers.seen,
            **facts,
        }
        try:
            future = async_save(learner.state(), checkpoint_id=aside, no_dist=self._ranks.alone)
        except (OSError, RuntimeError) as error:
            raise _unwritten(aside, error) from error
        assert isinstance(future, Future)
        self._pending = (future, aside, told)

    def finish(self) -> None:
        """Wait for what is being written. Raises TrainingError if it cannot be."""
        if self._pending is None:
            return
        (future, aside, told), self._pending = self._pending, None
        try:
            future.result()
        except (Exception, CheckpointException) as error:  # DCP's own is no Exception
            if self._ranks.leads:
                shutil.rmtree(aside, ignore_errors=True)
            raise _unwritten(aside, error) from error
        self._ranks.barrier()
        if self._ranks.leads:
            try:
                told["sizes"] = {p.name: p.stat().st_size for p in aside.iterdir()}
                (aside / STATE).write_text(json.dumps(told, indent=1) + "\n")
                whole = aside.with_name(aside.name.removeprefix("."))
                shutil.rmtree(whole, ignore_errors=True)  # of a run that went back
                aside.rename(whole)
            except OSError as error:
                shutil.rmtree(aside, ignore_errors=True)
                raise _unwritten(aside, error) from error
            self._forget()
        self._ranks.barrier()

    def poll(self) -> None:
        """Give a checkpoint its name if it is written; all processes must call this together."""
        if self._pending is None:
            return
        written = torch.tensor([int(self._pending[0].done())], device=self._ranks.device)
        if int(self._ranks.everywhere(written)) == self._ranks.shape.world:
            self.finish()

    def _forget(self) -> None:
        passing = [one for one in saved(self._folder.parent) if one.step not in self._milestones]
        for old in passing[: -self._keep]:
            aside = old.path.with_name(f".{old.path.name}")  # what is killed here, the next removes
            with suppress(OSError):
                old.path.rename(aside)
            shutil.rmtree(aside, ignore_errors=True)


def resume(run: Path, learner: Learner) -> Saved | None:
    """Load the newest checkpoint that can be read; None if a run has none.

    Raises TrainingError if there are checkpoints and none of them fits.
    """
    learner.make_state()
    trouble: BaseException | None = None
    for found in reversed(saved(run)):
        state = learner.state()
        try:
            load(state, checkpoint_id=found.path, no_dist=learner.ranks.alone)
        except (Exception, CheckpointException) as error:  # DCP's own is no Exception
            trouble = error
            continue
        learner.outliers = Outliers(learner.outliers.sigmas, found.facts["outliers"])
        learner.weights.publish()
        return found
    if trouble is not None:
        raise TrainingError(
            f"resuming from {run / FOLDER}",
            got=_last_line(trouble),
            allowed="a checkpoint of the same recipe",
            remedy="give another --run folder or delete this one",
        ) from trouble
    return None


def weights_of(found: Saved) -> Iterator[tuple[str, Tensor]]:
    """Trained weights of a checkpoint, fp32 and whole, one in memory at a time."""
    metadata = FileSystemReader(found.path).read_metadata()
    for name, stored in metadata.state_dict_metadata.items():
        if name.startswith("model."):
            weight = {name: torch.empty(stored.size)}  # type: ignore[union-attr]
            load(weight, checkpoint_id=found.path, no_dist=True)
            yield name.removeprefix("model."), weight[name]


def _unwritten(aside: Path, error: BaseException) -> TrainingError:
    return TrainingError(
        f"writing checkpoint {aside.name.removeprefix('.')} to {aside.parent}",
        got=_last_line(error),
        remedy="earlier checkpoints are intact: free some space and start the command again",
    )


def _last_line(error: BaseException) -> str:
    """What DCP wraps stands at the end."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else repr(error)
