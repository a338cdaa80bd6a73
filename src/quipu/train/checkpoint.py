"""Training state on disk: master weights, optimisers, step. Written apart, then renamed."""

import os
from pathlib import Path
from pickle import UnpicklingError

import torch

from quipu.errors import TrainingError
from quipu.train.step import Learner


def save(folder: Path, learner: Learner, step: int) -> None:
    """Write the state after `step` steps; an older state stays whole until the new one is."""
    state = {
        "step": step,
        "model": learner.master.state_dict(),
        "optimisers": [optimiser.state_dict() for optimiser in learner.optimisers],
    }
    temporary = folder / "state.pt.tmp"
    try:
        torch.save(state, temporary)
        os.replace(temporary, folder / "state.pt")
    except (OSError, RuntimeError) as error:
        temporary.unlink(missing_ok=True)
        raise TrainingError(
            f"writing the state of step {step} to {folder}",
            got=error,
            remedy="the previous state is intact: free some space and start the command again",
        ) from error


def resume(folder: Path, learner: Learner) -> int:
    """Load the newest state into the learner; the steps it has done, 0 if there is none."""
    path = folder / "state.pt"
    if not path.exists():
        return 0
    try:
        state = torch.load(path, weights_only=True)
        learner.master.load_state_dict(state["model"])
        for optimiser, saved in zip(learner.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
    except (OSError, RuntimeError, KeyError, ValueError, UnpicklingError) as error:
        raise TrainingError(
            f"resuming from {path}",
            got=str(error).splitlines()[0],
            allowed="a state of the same recipe",
            remedy="give another --run folder or delete this one",
        ) from error
    learner.publish()
    return int(state["step"])
