"""What the adapters share: the work they are given, random rows, waiting for a turn."""

import json
import sys
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch


def work() -> Any:
    """The work as an object with its fields."""
    found = SimpleNamespace(**json.loads(sys.argv[1]))
    torch.set_num_threads(found.threads)
    return found


def rows(of: Any, step: int) -> np.ndarray:
    """Token ids of a step: [rows, row_tokens + 1]."""
    random = np.random.default_rng(step)
    shape = (of.batch_tokens // of.row_tokens, of.row_tokens + 1)
    return random.integers(0, of.vocab, shape)


def wait() -> None:
    """Until it is this process' turn; ends the process when nobody asks any more."""
    if not sys.stdin.readline():
        sys.exit(0)


def told(began: float, device: str) -> None:
    """Say how long the step took, and the processor time of all steps so far."""
    if device == "cuda":
        torch.cuda.synchronize()
    print(f"SECONDS {time.perf_counter() - began} {time.process_time()}", flush=True)
