"""What a run will take, before it is started: bytes on each device, FLOPs, time; and what fits.

Weights, gradients and optimiser state are counted tensor by tensor, as `placing` shares them out
and `step` makes them. Activations are what autograd keeps in eager mode, so an upper bound where
blocks are compiled. Pure arithmetic: no device is asked, no corpus is opened.
"""

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

from quipu.config import ModelConfig
from quipu.counts import weight_shapes
from quipu.errors import TrainingError, UsageError
from quipu.model.plan import BLOCK_PLAN, check_divides
from quipu.train.crew import members
from quipu.train.loop import Machine
from quipu.train.loss import LOSS_TOKENS
from quipu.train.placing import KEPT
from quipu.train.ranks import MeshShape
from quipu.train.recipe import TrainRecipe
from quipu.train.speed import training_flops

MFU = 0.4  # of the peak; what torchtitan publishes for Llama 3 8B on H100s is 0.33 to 0.39
USABLE = 0.92  # of a device's memory: the rest is for its driver, kernels' scratch, fragments
MOST_DEVICES = 4_096  # of meshes that are proposed
MOST_TENSOR = 8  # beyond a machine's own links splitting matrices is too slow
SINGLE = 4  # bytes of fp32


@dataclass(frozen=True, kw_only=True)
class Device:
    """What a run is planned for."""

    name: str
    memory: float | None  # bytes; None: unknown
    peak: float | None = None  # FLOP/s; None: unknown
    cuda: bool = True  # else a processor, whose memory all processes share


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes on one device, by what they hold; the largest share where shares differ."""

    weights: int  # fp32 masters, and the copies that compute where one process has all
    gradients: int
    optimiser: int
    gathered: int  # of other processes' weights and gradients, while a block computes
    activations: int
    loss: int  # a chunk of logits, and the gradients that are made beside it
    update: int  # Muon's work on its largest group of matrices, when activations are gone
    saving: int  # the copy that a checkpoint is written from, where that is the same memory

    @property
    def peak(self) -> int:
        """At the worst moment of a step."""
        kept = self.weights + self.gradients + self.optimiser + self.saving
        return kept + max(self.gathered + self.activations + self.loss, self.update)

    def parts(self) -> dict[str, int]:
        """By name, in order."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True, kw_only=True)
class Weight:
    """One weight on one device."""

    held: int  # values of it that the device keeps
    gathered: int  # values while it computes
    shape: tuple[int, ...]  # of what is kept
    in_block: bool
    trained: bool
    matrix: bool  # follows the optimiser of matrices


def memory(recipe: TrainRecipe, machine: Machine) -> Memory:
    """Bytes that a stage takes on each device of the machine's mesh."""
    weights = list(shares(recipe, machine.mesh))
    trained = [weight for weight in weights if weight.trained]
    muon = recipe.optimisation.matrices == "muon" and recipe.lora is None
    kept = sum(weight.held for weight in weights)
    learned = sum(weight.held for weight in trained)
    state = optimiser_bytes(trained, muon=muon)
    alone, size = machine.mesh.world == 1, _size(recipe)
    alone_bytes = size * kept + SINGLE * learned if size < SINGLE else SINGLE * kept
    on_processor = not machine.device.startswith("cuda")
    return Memory(
        weights=alone_bytes if alone else SINGLE * kept,
        gradients=_gradients(recipe, machine, trained),
        optimiser=state,
        gathered=0 if alone else _gathered(recipe, weights, size),
        activations=activation_bytes(recipe, machine),
        loss=_loss(recipe, machine),
        update=_update(trained, size, alone=alone) if muon else 0,
        saving=SINGLE * learned + state if on_processor else 0,
    )


def shares(recipe: TrainRecipe, mesh: MeshShape) -> Iterator[Weight]:
    """Every weight as one device of a mesh holds it, adapters among them."""
    for name, shape in weight_shapes(recipe.model):
        in_block = name.startswith("layers.")
        stem = name.split(".", 2)[-1].removesuffix(".weight") if in_block else ""
        matrix = in_block and len(shape) == 2
        yield _share(shape, stem, mesh, matrix, in_block, trained=recipe.lora is None)
        if recipe.lora is not None and stem in BLOCK_PLAN:
            for low in ((recipe.lora.rank, shape[1]), (shape[0], recipe.lora.rank)):
                yield _share(low, "", mesh, matrix, in_block, trained=True)


def _share(
    shape: tuple[int, ...],
    stem: str,
    mesh: MeshShape,
    matrix: bool,
    in_block: bool,
    *,
    trained: bool,
) -> Weight:
    split = list(shape)
    if stem in BLOCK_PLAN:
        split[0 if BLOCK_PLAN[stem] == "columns" else 1] //= mesh.tensor
    held = [-(-split[0] // (mesh.data * mesh.context)), *split[1:]]
    return Weight(
        held=math.prod(held),
        gathered=math.prod(split),
        shape=tuple(held),
        in_block=in_block,
        trained=trained,
        matrix=matrix,
    )


def optimiser_bytes(trained: list[Weight], *, muon: bool) -> int:
    """One moment for a matrix under Muon; else AdamW's two, and its count of steps."""
    return sum(
        SINGLE * weight.held if muon and weight.matrix else 2 * SINGLE * weight.held + SINGLE
        for weight in trained
    )


def micro_rows(recipe: TrainRecipe, machine: Machine) -> tuple[int, int]:
    """Rows of a micro-batch of one process, and micro-batches of a step."""
    rows = max(1, recipe.batch_rows // machine.mesh.data)
    at_once = min(rows, max(1, machine.micro_tokens // recipe.data.row_tokens))
    return at_once, -(-rows // at_once)


def _size(recipe: TrainRecipe) -> int:
    return 2 if recipe.dtype == "bfloat16" else SINGLE


def _gradients(recipe: TrainRecipe, machine: Machine, trained: list[Weight]) -> int:
    held = sum(weight.held for weight in trained)
    if machine.mesh.world == 1:  # and what one backward leaves, before it is added
        rows, micros = micro_rows(recipe, machine)
        if machine.device.startswith("cuda"):
            left = _size(recipe) if micros > 1 or _size(recipe) < SINGLE else 0
            return (SINGLE + left) * held
        return members(held, rows) * (SINGLE + _size(recipe)) * held
    # FSDP adds up whole gradients until the last micro-batch of a step.
    whole = sum(weight.gathered for weight in trained) if micro_rows(recipe, machine)[1] > 1 else 0
    return SINGLE * (held + whole)


def _gathered(recipe: TrainRecipe, weights: list[Weight], size: int) -> int:
    """Two blocks (the next one comes while one computes), a block's gradients twice, the rest.

    Of a small model all blocks.
    """
    block = sum(weight.gathered for weight in weights if weight.in_block) // recipe.model.layers
    if sum(weight.held for weight in shares(recipe, MeshShape())) <= KEPT:
        return size * sum(weight.gathered for weight in weights) + (size + SINGLE) * block
    rest = sum(weight.gathered for weight in weights if not weight.in_block)
    return (3 * size + SINGLE) * block + 2 * size * rest


def activation_bytes(recipe: TrainRecipe, machine: Machine) -> int:
    """What autograd keeps of a micro-batch, or of blocks' inputs and one block when recomputing."""
    model, size = recipe.model, _size(recipe)
    rows, _ = micro_rows(recipe, machine)
    tokens = rows * recipe.data.row_tokens // machine.mesh.context
    block = tokens * _block_bytes(model, size, machine.mesh.tensor)
    cuda = machine.device.startswith("cuda")
    kernel = machine.mesh.context == 1 and (size < SINGLE or not cuda)
    mask = 0 if kernel else tokens * recipe.data.row_tokens
    # Attention turns a mask of truths into numbers, in each layer anew, and keeps them.
    block += size * mask
    if machine.mesh.context > 1:  # keys and values of whole rows
        others = rows * recipe.data.row_tokens - tokens
        block += 2 * size * others * model.kv_heads * model.head_size // machine.mesh.tensor
    stream = tokens * size * model.dim
    layers = model.layers * stream + block if machine.recompute else model.layers * block
    return layers + mask + tokens * _norm_bytes(model, size)


def _norm_bytes(model: ModelConfig, size: int) -> int:
    """Of a token: the wide input (where it is another tensor), scaled and weighted output."""
    return (SINGLE + 2 * size if size < SINGLE else 3 * size) * model.dim


def _block_bytes(model: ModelConfig, size: int, tensor: int) -> int:
    """Of a token in a block: norms; q, k, v and what heads saw; gate, value, their product."""
    query, key = model.heads * model.head_size, model.kv_heads * model.head_size
    heads = 3 * size * query + 2 * size * key + SINGLE * model.heads
    feed = 4 * size * model.ffn
    return 2 * _norm_bytes(model, size) + (heads + feed) // tensor


def _loss(recipe: TrainRecipe, machine: Machine) -> int:
    model, size = recipe.model, _size(recipe)
    rows, _ = micro_rows(recipe, machine)
    tokens = rows * recipe.data.row_tokens // machine.mesh.context
    logits = min(tokens, LOSS_TOKENS) * model.vocab * (3 * SINGLE + size)
    by_head = model.vocab * model.dim * (SINGLE + size) if recipe.lora is None else 0  # frozen
    return logits + by_head + tokens * model.dim * size


def _update(trained: list[Weight], size: int, *, alone: bool) -> int:
    """Updates, stacked and narrowed; shared out they also travel to their owners and back."""
    groups: dict[tuple[int, ...], int] = defaultdict(int)
    for weight in trained:
        if weight.matrix:
            groups[weight.shape] += weight.held
    wide = 2 * SINGLE if alone else 6 * SINGLE
    return (wide + 3 * size) * max(groups.values(), default=0)


def flops(recipe: TrainRecipe) -> float:
    """Model FLOPs of a whole stage."""
    row = recipe.data.row_tokens
    return training_flops(recipe.model, row) * recipe.steps * recipe.batch_tokens


def seconds(
    recipe: TrainRecipe, machine: Machine, device: Device, mfu: float = MFU
) -> float | None:
    """Time of a stage at a share of the device's peak; None where that is unknown."""
    if device.peak is None:
        return None
    again = 4 / 3 if machine.recompute else 1.0  # one more forward pass
    devices = machine.mesh.world if device.cuda else 1
    return flops(recipe) * again / (devices * device.peak * mfu)


def fits(recipe: TrainRecipe, machine: Machine, device: Device) -> bool:
    """Whether a stage fits; what is unknown does."""
    if device.memory is None:
        return True
    together = 1 if device.cuda else machine.mesh.world
    return memory(recipe, machine).peak * together <= USABLE * device.memory


def check_mesh(recipe: TrainRecipe, mesh: MeshShape) -> None:
    """Raises UsageError for a mesh that cannot share out the stage's rows, tokens or matrices."""
    if recipe.batch_rows % mesh.data:
        raise UsageError(
            f"{recipe.name}: mesh data={mesh.data}",
            got=f"{recipe.batch_rows} rows a step",
            allowed="a divisor of them",
        )
    if mesh.context > 1 and recipe.data.row_tokens % (2 * mesh.context):
        raise UsageError(
            f"{recipe.name}: mesh context={mesh.context}",
            got=f"rows of {recipe.data.row_tokens} tokens",
            allowed="half a divisor of them",
        )
    check_divides(recipe.model, mesh.tensor)


def meshes(recipe: TrainRecipe) -> Iterator[MeshShape]:
    """Meshes that a stage can run on, the smallest first; of one size, those that talk least."""
    powers = [2**n for n in range(MOST_DEVICES.bit_length())]
    found = [
        MeshShape(data=data, context=context, tensor=tensor)
        for data in powers
        for context in powers
        for tensor in powers
        if data * context * tensor <= MOST_DEVICES and tensor <= MOST_TENSOR
    ]
    for mesh in sorted(found, key=lambda m: (m.world, m.tensor * m.context, m.tensor)):
        try:
            check_mesh(recipe, mesh)
        except UsageError:
            continue
        yield mesh


def smallest_mesh(recipe: TrainRecipe, machine: Machine, device: Device) -> MeshShape | None:
    """The smallest mesh on which a stage fits; None if there is none."""
    wanted = (m for m in meshes(recipe) if fits(recipe, replace(machine, mesh=m), device))
    return next(wanted, None)


def refuse(recipe: TrainRecipe, machine: Machine, device: Device) -> None:
    """Raises TrainingError for a stage that does not fit, with what would."""
    if fits(recipe, machine, device):
        return
    assert device.memory is not None
    need = memory(recipe, machine).peak
    usable = USABLE * device.memory
    if device.cuda:
        raise TrainingError(
            f"{recipe.name} does not fit on {described(machine.mesh)} of {device.name}",
            got=f"{need / 1e9:,.1f} GB a device",
            allowed=f"{usable / 1e9:,.1f} of its {device.memory / 1e9:,.1f} GB",
            remedy=_remedy(recipe, machine, device),
        )
    need *= machine.mesh.world
    raise TrainingError(
        f"{recipe.name} does not fit into this machine's memory",
        got=f"{need / 1e9:,.1f} GB",
        allowed=f"{usable / 1e9:,.1f} of the {device.memory / 1e9:,.1f} GB that are free",
        remedy=_remedy(recipe, machine, device),
    )


def described(mesh: MeshShape) -> str:
    """A mesh as `--mesh` takes it."""
    axes = {"data": mesh.data, "context": mesh.context, "tensor": mesh.tensor}
    named = ",".join(f"{name}={size}" for name, size in axes.items() if size > 1)
    return named or "data=1"


def _remedy(recipe: TrainRecipe, machine: Machine, device: Device) -> str:
    """The smallest mesh that fits, as asked, and with less memory for activations."""
    row = recipe.data.row_tokens
    tried = {"": machine, "--recompute": replace(machine, recompute=True)}
    tried[f"--recompute --micro-tokens {row}"] = replace(machine, recompute=True, micro_tokens=row)
    found: list[str] = []
    least = MOST_DEVICES + 1
    for options, how in tried.items():
        if device.cuda:
            mesh = smallest_mesh(recipe, how, device)
        else:  # more processes would share the same memory
            mesh = machine.mesh if fits(recipe, how, device) else None
        if mesh is not None and mesh.world < least:
            least = mesh.world
            on = f"--mesh {described(mesh)} ({_devices(mesh)})" if device.cuda else ""
            found.append(f"{on} {'with ' if on and options else ''}{options}".strip())
    if found:
        return "fits: " + "; ".join(found)
    if device.cuda:
        return f"no mesh of up to {MOST_DEVICES} devices fits: shorten rows, or use larger devices"
    return "plan it for other devices, as with --dry-run --on H100, and train it there"


def _devices(mesh: MeshShape) -> str:
    return "1 device" if mesh.world == 1 else f"{mesh.world} devices"
