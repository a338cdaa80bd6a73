"""The processes of a run: who they are, how they share rows and weights, what they tell each other.

A mesh has three axes. `data` shares out rows; `context` shares out the tokens of each row; both
together share out weights, gradients and optimiser state (FSDP2). `tensor` splits the matrices of
each block. Processes come from torchrun; without it there is one.
"""

import atexit
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import DeviceMesh

from quipu.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class MeshShape:
    """How many processes along each axis."""

    data: int = 1
    context: int = 1
    tensor: int = 1

    @property
    def world(self) -> int:
        """All processes."""
        return self.data * self.context * self.tensor

    @staticmethod
    def parse(text: str, world: int) -> "MeshShape":
        """`data=4,tensor=2`; data takes what the other axes leave of `world` processes."""
        sizes: dict[str, int] = {}
        for setting in filter(None, text.split(",")):
            name, _, value = setting.partition("=")
            if name not in ("data", "context", "tensor") or not value.isdecimal() or value == "0":
                raise UsageError(
                    "mesh", got=setting, allowed="data=N, context=N, tensor=N, comma between them"
                )
            sizes[name] = int(value)
        others = sizes.get("context", 1) * sizes.get("tensor", 1)
        sizes.setdefault("data", max(1, world // others))
        return MeshShape(**sizes)


@dataclass(frozen=True)
class Ranks:
    """This process among all."""

    shape: MeshShape
    device: torch.device
    rank: int = 0
    weights: DeviceMesh | None = None  # axes "shard" (data x context) and "tensor"
    context_group: dist.ProcessGroup | None = None

    @property
    def alone(self) -> bool:
        """Whether there is one process only."""
        return self.weights is None

    @property
    def leads(self) -> bool:
        """Whether this process writes what is written once."""
        return self.rank == 0

    @property
    def data_rank(self) -> int:
        """Place along the data axis: whose rows these are."""
        return self.rank // (self.shape.context * self.shape.tensor)

    @property
    def context_rank(self) -> int:
        """Place along the context axis: which tokens of each row these are."""
        return self.rank // self.shape.tensor % self.shape.context

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """Sum over processes that hold different tokens; in place, and returned."""
        if self.weights is not None:
            dist.all_reduce(values, group=self.weights.get_group("shard"))
        return values

    def everywhere(self, values: torch.Tensor) -> torch.Tensor:
        """Sum over all processes; in place, and returned."""
        if not self.alone:
            dist.all_reduce(values)
        return values

    def barrier(self) -> None:
        """Wait for all processes."""
        if not self.alone:
            dist.barrier()


def launched_world() -> int:
    """Processes that torchrun has started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


@contextmanager
def joined(shape: MeshShape, device: str) -> Iterator[Ranks]:
    """Meet the other processes, which stay together until they end.

    Raises UsageError unless the mesh has as many places as there are processes.
    """
    world = launched_world()
    if shape.world != world:
        raise UsageError(
            "mesh",
            got=f"data={shape.data}, context={shape.context}, tensor={shape.tensor}: "
            f"{shape.world} places for {world} processes",
            allowed="as many places as processes",
            remedy=f"start it with torchrun --nproc-per-node {shape.world} -m quipu train ...",
        )
    if world == 1:
        yield Ranks(shape, torch.device(device))
        return
    rank = int(os.environ["RANK"])
    local = torch.device(device)
    if local.type == "cuda":
        local = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(local)
    if not dist.is_initialized():
        # gloo beside nccl: checkpoints are written by processors. The group outlives this run: the
        # next stage of a chain goes on with it, for meeting a second time on one port is a race.
        dist.init_process_group("gloo" if local.type == "cpu" else "cpu:gloo,cuda:nccl")
        atexit.register(dist.destroy_process_group)
    yield _meshed(shape, local, rank)


def _meshed(shape: MeshShape, device: torch.device, rank: int) -> Ranks:
    places = torch.arange(shape.world).view(shape.data, shape.context, shape.tensor)
    weights = DeviceMesh(device.type, places.flatten(0, 1), mesh_dim_names=("shard", "tensor"))
    group = None
    if shape.context > 1:
        for data in range(shape.data):
            for tensor in range(shape.tensor):
                ranks = places[data, :, tensor].tolist()
                made = dist.new_group(ranks)  # every process must make every group
                group = made if rank in ranks else group
    return Ranks(shape, device, rank, weights, group)
