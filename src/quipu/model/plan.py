"""Tensor parallelism as data: how each weight is split over devices, for training and inference.

Applied from outside, so the model never knows. The seven entries are the split that Meta's own
checkpoints use, except the embedding, which they split by columns.
"""

from typing import Literal

from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import Replicate
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    ParallelStyle,
    RowwiseParallel,
    parallelize_module,
)

from quipu.config import ModelConfig
from quipu.errors import UsageError
from quipu.model.transformer import Transformer

Split = Literal["columns", "rows"]  # of the output features, of the input features

BLOCK_PLAN: dict[str, Split] = {
    "attention.wq": "columns",
    "attention.wk": "columns",
    "attention.wv": "columns",
    "attention.wo": "rows",
    "feed_forward.w1": "columns",
    "feed_forward.w3": "columns",
    "feed_forward.w2": "rows",
}


def check_divides(config: ModelConfig, devices: int) -> None:
    """Raise UsageError unless heads, key/value heads and feed-forward split evenly."""
    for name in ("heads", "kv_heads", "ffn"):
        if getattr(config, name) % devices:
            raise UsageError(
                f"tensor parallelism over {devices} devices",
                got=f"{name}={getattr(config, name)}",
                allowed=f"a multiple of {devices}",
                remedy="choose a degree that divides heads, kv_heads and ffn",
            )


def tensor_parallel(model: Transformer, mesh: DeviceMesh, *, head: bool = True) -> None:
    """Split the blocks over a one-dimensional mesh, in place; outputs stay replicated.

    Training leaves the head whole: its loss needs all logits of a token.
    """
    check_divides(model.config, mesh.size())
    styles: dict[Split, ParallelStyle] = {"columns": ColwiseParallel(), "rows": RowwiseParallel()}
    for block in model.layers:
        assert isinstance(block, nn.Module)
        parallelize_module(block, mesh, {name: styles[how] for name, how in BLOCK_PLAN.items()})
    if head and model.output is not None:
        whole = ColwiseParallel(input_layouts=Replicate(), output_layouts=Replicate())
        parallelize_module(model, mesh, {"output": whole})
