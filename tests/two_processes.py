"""What the processes of a distributed test run; spawned ones must be able to import it."""

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor

import llama
from quipu.model.attend import single_document
from quipu.model.plan import tensor_parallel

CONFIG = llama.SHAPES["34b"]


def whole_and_tokens():
    """The model before it is split, and what to feed it."""
    torch.manual_seed(0)
    return llama.ours(CONFIG, llama.oracle(CONFIG)), torch.randint(0, CONFIG.vocab, (24,))


def split_model(rank, store, failures):
    """One of two processes: put the largest difference to the unsplit model into `failures`."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    model, tokens = whole_and_tokens()
    with torch.no_grad():
        expected = model(tokens, torch.arange(24), single_document(24))
        tensor_parallel(model, init_device_mesh("cpu", (2,)))
        share = model.layers[0].attention.wq.weight
        assert isinstance(share, DTensor)
        assert share.to_local().shape[0] == CONFIG.dim // 2
        split = model(tokens, torch.arange(24), single_document(24))
    failures.put((split - expected).abs().max().item())
    dist.barrier()
    dist.destroy_process_group()
