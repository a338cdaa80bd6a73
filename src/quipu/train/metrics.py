"""What a run writes down: one line a step in metrics.jsonl, and TensorBoard's files.

metrics.jsonl is the truth: steps that were lost with a killed process are taken out when the run
goes on, so every step stands there once.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from quipu import jsonl

METRICS = "metrics.jsonl"


@dataclass(frozen=True, kw_only=True)
class Progress:
    """One line of metrics.jsonl."""

    step: int  # done, so the first is 1
    steps: int
    tokens: int  # seen so far, padding included
    loss: float  # nats per trained token
    gradient_norm: float  # before clipping
    learning_rate: float  # of the matrices
    skipped: bool  # an outlier: weights as before
    tokens_per_s: float  # all processes together, of this step
    mfu: float | None  # model FLOPs by the device's peak; None where that is unknown
    step_s: float
    data_s: float  # of it, waiting for rows
    checkpoint_s: float  # held up by checkpoints since the last step, beside step_s


class Log:
    """Writes progress; only one process of a run has it."""

    def __init__(self, run: Path, done: int, *, tensorboard: bool) -> None:
        """`done` steps stand in the checkpoint that the run goes on from."""
        self._path = run / METRICS
        jsonl.mend(self._path)
        jsonl.keep(self._path, lambda line: cast(int, line["step"]) <= done)
        self._board = _board(run, done) if tensorboard else None

    def write(self, progress: Progress) -> None:
        """Add a step."""
        values = asdict(progress)
        jsonl.append(self._path, values)
        if self._board is not None:
            for name in ("loss", "gradient_norm", "learning_rate", "tokens_per_s", "mfu"):
                if values[name] is not None:
                    self._board.add_scalar(f"train/{name}", values[name], progress.step)

    def close(self) -> None:
        """Finish TensorBoard's file."""
        if self._board is not None:
            self._board.close()


def _board(run: Path, done: int) -> Any | None:
    """TensorBoard's writer, None where it is not installed (the extra `train` brings it)."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(run / "tensorboard"), purge_step=done + 1)
