"""The training loop: one recipe, any mesh, resumable at any saved step."""

import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import FrameType

import torch

from quipu.data.loading import dialogues
from quipu.data.loading.dialogues import DialogueLoader
from quipu.data.loading.mixed import Rows
from quipu.data.loading.mixture import DialogueRecipe
from quipu.data.loading.row import Row
from quipu.data.loading.rows import Loader
from quipu.data.tokens.manifest import tokenizer_files
from quipu.data.tokens.reading import TokenShards
from quipu.errors import TrainingError
from quipu.text.tokenizer import Tokenizer
from quipu.train import checkpoint, start
from quipu.train.folder import claimed
from quipu.train.lora import adapt
from quipu.train.metrics import Log, Progress
from quipu.train.placing import Weights, place
from quipu.train.ranks import MeshShape, Ranks, joined
from quipu.train.recipe import TrainRecipe
from quipu.train.speed import peak_flops, training_flops
from quipu.train.step import Learner, StepMetrics


@dataclass(frozen=True, kw_only=True)
class Machine:
    """How a run uses the machine: changes speed and memory, not what is computed (but rounding)."""

    device: str = "cpu"
    mesh: MeshShape = MeshShape()
    micro_tokens: int = 8_192  # per forward and backward, at least a row
    compiled: bool = True
    recompute: bool = False  # activations: less memory, a third more arithmetic
    save_every_s: float = 60.0
    keep: int = 2  # checkpoints besides milestones
    tensorboard: bool = True


class StoppedError(TrainingError):
    """A run that was asked to stop (SIGTERM, Ctrl-C), and has saved its state."""


def open_rows(recipe: TrainRecipe, corpus: Path) -> Rows:
    """What a recipe trains on. `corpus` is the folder of a corpus or of its token shards."""
    folder = tokens_folder(corpus)
    shards = TokenShards.open(folder) if recipe.data.sources else None
    tokenizer = Tokenizer.load(folder)
    if isinstance(recipe.data, DialogueRecipe):
        return DialogueLoader(dialogues.folder_of(corpus), tokenizer, recipe.data, shards)
    assert shards is not None
    return Loader(shards, tokenizer, recipe.data)


def tokens_folder(corpus: Path) -> Path:
    """The folder of token shards."""
    return corpus / "tokens" if (corpus / "tokens").is_dir() else corpus


def train(
    recipe: TrainRecipe,
    run: Path,
    corpus: Path,
    machine: Machine = Machine(),
    *,
    until: int = 0,
) -> Iterator[Progress]:
    """Run a recipe in the folder `run`, going on where it stopped; yields after every step.

    `until` stops early after that many steps in all (0: at the end). Raises TrainingError if the
    folder belongs to another recipe, the data changed, a loss is no number or a checkpoint cannot
    be written, and StoppedError when asked to stop; the last checkpoint is intact then.
    """
    with joined(machine.mesh, machine.device) as ranks:
        tokenizer = tokenizer_files(tokens_folder(corpus))
        with claimed(run, recipe, tokenizer) if ranks.leads else nullcontext():
            ranks.barrier()
            with stop_signals() as stop:
                yield from _Run(recipe, run, corpus, machine, ranks, stop).steps(until)


class _Run:
    """One process' part of a run."""

    def __init__(
        self,
        recipe: TrainRecipe,
        run: Path,
        corpus: Path,
        machine: Machine,
        ranks: Ranks,
        stop: threading.Event,
    ) -> None:
        self.recipe, self.run, self.machine, self.ranks, self.stop = (
            recipe, run, machine, ranks, stop,
        )  # fmt: skip
        self.rows = open_rows(recipe, corpus)
        self._check_rows()
        dtype = getattr(torch, recipe.dtype)
        self.learner = Learner(
            self._weights(dtype), recipe, ranks, micro_tokens=machine.micro_tokens
        )
        # Checkpoints keep what is trained: what is frozen comes from the start each time.
        if recipe.lora is not None or not checkpoint.saved(run):
            start.fill(self.learner.weights, recipe)
            self.learner.weights.publish()
        found = checkpoint.resume(run, self.learner)
        if found is not None:
            self.rows.check(found.facts["data"])
        self.done = found.step if found else 0
        self.writer = checkpoint.Writer(
            run, ranks, keep=machine.keep, milestones=recipe.milestone_steps
        )
        self._flops = training_flops(recipe.model, recipe.data.row_tokens) * recipe.batch_tokens
        peak = peak_flops(ranks.device, dtype, fixed=recipe.products == "fixed")
        alone = ranks.device.type == "cuda"  # a processor's peak is that of all processes on it
        self._peak = peak * (ranks.shape.world if alone else 1) if peak else None
        self._saved_at = time.monotonic()

    def _weights(self, dtype: torch.dtype) -> Weights:
        lora = self.recipe.lora
        return place(
            self.recipe.model,
            self.ranks,
            dtype,
            compiled=self.machine.compiled,
            recompute=self.machine.recompute,
            fixed=self.recipe.products == "fixed",
            adapt=partial(adapt, how=lora) if lora else None,
        )

    def _check_rows(self) -> None:
        if self.rows.tokenizer.vocab > self.recipe.model.vocab:
            raise TrainingError(
                f"{self.recipe.name} and the corpus do not go together",
                got=f"shards of {self.rows.tokenizer.vocab:,} pieces",
                allowed=f"up to model.vocab, {self.recipe.model.vocab:,}",
                remedy="build the corpus with vocab= the model's, or set model.vocab",
            )
        wanted = self.recipe.steps * self.recipe.batch_rows
        if self.rows.rows_total is not None and self.rows.rows_total < wanted:
            raise TrainingError(
                f"{self.recipe.name} needs {wanted:,} rows",
                got=f"{self.rows.rows_total:,} until a source is used up",
                remedy="lower tokens, give the sources more epochs, or use a larger corpus",
            )

    def steps(self, until: int) -> Iterator[Progress]:
        """Train to the end, or until so many steps are done."""
        last = min(until or self.recipe.steps, self.recipe.steps)
        board = self.machine.tensorboard
        log = Log(self.run, self.done, tensorboard=board) if self.ranks.leads else None
        held_s = 0.0
        with ThreadPoolExecutor(1) as ahead:  # rows of the next step are made during this one
            coming = ahead.submit(self._batch, self.done)
            try:
                for number in range(self.done, last):
                    began = time.monotonic()
                    batch = coming.result()
                    data_s = time.monotonic() - began
                    if number + 1 < last:
                        coming = ahead.submit(self._batch, number + 1)
                    metrics = self.learner.step(batch, number)
                    step_s = time.monotonic() - began
                    progress = self._progress(number, metrics, step_s, data_s, held_s)
                    self.done = number + 1
                    if log is not None:
                        log.write(progress)
                    held_s = self._save(last)
                    yield progress
            except TrainingError:  # which all processes meet alike
                self.writer.finish()
                raise
            finally:
                if log is not None:
                    log.close()
        self.writer.finish()

    def _batch(self, number: int) -> Row:
        shape = self.ranks.shape
        return self.rows.batch(number, self.recipe.batch_rows, self.ranks.data_rank, shape.data)

    def _save(self, last: int) -> float:
        """Save when it is time, and stop when asked to; seconds that took."""
        began = time.monotonic()
        due = began - self._saved_at > self.machine.save_every_s
        # All processes must decide alike: the first one's clock, anybody's signal.
        asked = torch.tensor(
            [int(self.stop.is_set()), int(due and self.ranks.leads)], device=self.ranks.device
        )
        stop, due = (bool(value) for value in self.ranks.everywhere(asked).tolist())
        ended = self.done == last or stop
        if due or ended or self.done in self.recipe.milestone_steps:
            self.writer.save(self.learner, self.done, {"data": self.rows.identity})
            self._saved_at = time.monotonic()
        else:
            self.writer.poll()
        if ended:
            self.writer.finish()
        if stop and self.done < last:
            raise StoppedError(
                f"stopped after step {self.done} of {self.recipe.steps}",
                remedy="its state is saved: the same command goes on",
            )
        return time.monotonic() - began

    def _progress(
        self, number: int, metrics: StepMetrics, step_s: float, data_s: float, held_s: float
    ) -> Progress:
        peak_lr = self.recipe.optimisation.matrix_lr
        return Progress(
            step=number + 1,
            steps=self.recipe.steps,
            tokens=(number + 1) * self.recipe.batch_tokens,
            loss=metrics.loss,
            gradient_norm=metrics.gradient_norm,
            learning_rate=peak_lr * metrics.learning_rate_factor,
            skipped=metrics.skipped,
            tokens_per_s=self.recipe.batch_tokens / step_s,
            mfu=self._flops / step_s / self._peak if self._peak else None,
            step_s=step_s,
            data_s=data_s,
            checkpoint_s=held_s,
        )


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """An event that SIGTERM and the first Ctrl-C set; a second Ctrl-C interrupts at once."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def asked(number: int, frame: FrameType | None) -> None:
        del frame
        if stop.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.set()

    before = {which: signal.signal(which, asked) for which in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)


def of_machine(machine: Machine, recipe: TrainRecipe) -> Machine:
    """The machine with as many tokens at once as make whole rows."""
    row = recipe.data.row_tokens
    return replace(machine, micro_tokens=max(row, machine.micro_tokens // row * row))
