"""The tensor-parallel plan, on two processes, gives the logits of one."""

import pytest
import torch.multiprocessing as mp

from quipu.errors import UsageError
from quipu.model.plan import check_divides
from two_processes import CONFIG, split_model

TOLERANCE = 1e-4  # the sum over two devices runs in another order


def test_two_processes_compute_what_one_does(tmp_path):
    failures = mp.get_context("spawn").SimpleQueue()
    mp.spawn(split_model, (str(tmp_path / "store"), failures), nprocs=2)
    assert max(failures.get() for _ in range(2)) < TOLERANCE


def test_a_degree_that_does_not_divide_the_heads_is_refused():
    with pytest.raises(UsageError, match="kv_heads=2"):
        check_divides(CONFIG, 4)
