"""What a run will take: exact where tensors are counted, close where autograd keeps them."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import small
from quipu.config import SIZES, ModelConfig
from quipu.data.loading.mixture import LoaderRecipe, Source
from quipu.errors import TrainingError, UsageError
from quipu.train import budget, start
from quipu.train.budget import Device
from quipu.train.loop import Machine, open_rows
from quipu.train.lora import adapt
from quipu.train.placing import place
from quipu.train.ranks import MeshShape, Ranks
from quipu.train.recipe import Lora, Optimisation
from quipu.train.step import Learner

ALONE = Ranks(MeshShape(), torch.device("cpu"))
H100 = Device(name="H100", memory=80e9, peak=989e12)
# What autograd keeps beside what is counted, and counted beside what it keeps: embedding's input,
# angles, the final norm's scale.
ACTIVATIONS = 0.1


def learner(recipe, recompute=False):
    lora = recipe.lora
    weights = place(
        recipe.model,
        ALONE,
        getattr(torch, recipe.dtype),
        compiled=False,
        recompute=recompute,
        adapt=(lambda model: adapt(model, lora)) if lora else None,
    )
    made = Learner(weights, recipe, ALONE, micro_tokens=512)
    made.make_state()
    return made


def nbytes(tensors):
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


shapes = st.builds(
    lambda heads, group, size, layers, ffn, vocab, tied: ModelConfig(
        dim=heads * group * size * 2, layers=layers, heads=heads * group, kv_heads=heads, ffn=ffn,
        vocab=vocab, context=64, rope_theta=1e4, tied=tied,
    ),
    st.integers(1, 2), st.integers(1, 2), st.sampled_from([4, 8]), st.integers(1, 3),
    st.integers(8, 40), st.integers(20, 90), st.booleans(),
)  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(
    shapes,
    st.sampled_from(["float32", "bfloat16"]),
    st.sampled_from(["muon", "adamw"]),
    st.sampled_from([None, Lora(rank=2)]),
)
def test_weights_and_optimiser_state_are_predicted_to_the_byte(model, dtype, matrices, lora):
    recipe = small.recipe(
        model=model, dtype=dtype, lora=lora, optimisation=Optimisation(matrices=matrices)
    )
    made = learner(recipe)
    computing = {id(p): p for p in made.weights.objective.parameters()}
    masters = {id(p): p for p in made.weights.masters.values()}
    found = budget.memory(recipe, Machine())
    assert found.weights == nbytes((computing | masters).values())
    state = [value for name, value in made.state().items() if name.startswith("optimiser.")]
    assert found.optimiser == nbytes(state)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("kv_heads", [4, 2])
def test_activations_are_what_autograd_keeps(tmp_path, dtype, kv_heads):
    model = replace(
        small.MODEL, dim=128, layers=4, heads=4, kv_heads=kv_heads, head_size=32, ffn=352,
        context=256,
    )  # fmt: skip
    data = LoaderRecipe(sources=(Source(group="python", weight=1.0),), row_tokens=256)
    recipe = small.recipe(2, model=model, dtype=dtype, data=data, batch_tokens=1024, tokens=1024)
    made = learner(recipe)
    start.fill(made.weights, recipe)
    made.weights.publish()
    rows = open_rows(recipe, small.corpus(tmp_path))
    tokens, positions, attend, _ = next(made._micros(rows.batch(0, 4)))
    weights = {p.untyped_storage().data_ptr() for p in made.weights.objective.parameters()}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        made.weights.objective.model.hidden(tokens, positions, attend)
    measured = made._crew.members * sum(size for size, _ in kept.values())
    predicted = budget.activation_bytes(recipe, Machine(micro_tokens=512))
    assert predicted == pytest.approx(measured, rel=ACTIVATIONS)


def large(size, row=4096, rows=256, **changed):
    data = LoaderRecipe(sources=(Source(group="python", weight=1.0),), row_tokens=row)
    return small.recipe(
        model=SIZES[size], dtype="bfloat16", data=data, batch_tokens=rows * row,
        tokens=2 * rows * row, optimisation=Optimisation(matrices="adamw"), **changed,
    )  # fmt: skip


def test_fully_shared_state_is_sixteen_bytes_a_parameter_over_the_processes():
    recipe = large("7b")
    machine = Machine(device="cuda", mesh=MeshShape(data=64), micro_tokens=16_384)
    found = budget.memory(recipe, machine)
    # 4 master, 4 gradient, 8 moments; one micro-batch a step, so no whole gradients.
    assert found.weights + found.gradients + found.optimiser == pytest.approx(
        16 * 6_738_546_688 / 64, rel=1e-3
    )


def test_gradients_of_several_micro_batches_are_whole_on_every_process():
    recipe = large("7b")
    one, many = (
        budget.memory(
            recipe, Machine(device="cuda", mesh=MeshShape(data=64), micro_tokens=tokens)
        ).gradients
        for tokens in (16_384, 4_096)
    )
    assert many - one == pytest.approx(4 * 6_738_546_688, rel=1e-6)


@given(st.sampled_from(["7b", "34b", "70b"]), st.booleans(), st.sampled_from([4096, 16384]))
@settings(max_examples=12, deadline=None)
def test_the_smallest_mesh_fits_and_no_smaller_one_does(size, recompute, row):
    recipe, machine = large(size, row), Machine(device="cuda", recompute=recompute)
    found = budget.smallest_mesh(recipe, machine, H100)
    smaller = [
        mesh
        for mesh in budget.meshes(recipe)
        if budget.fits(recipe, replace(machine, mesh=mesh), H100)
        and mesh.world < (found.world if found else 1e9)
    ]
    assert smaller == []
    if found is not None:
        assert found.tensor <= 8
        assert budget.fits(recipe, replace(machine, mesh=found), H100)


def test_what_cannot_fit_is_refused_with_a_mesh_that_does():
    recipe = large("70b")
    with pytest.raises(TrainingError, match=r"does not fit on data=1 of H100.*--mesh \S*=") as told:
        budget.refuse(recipe, Machine(device="cuda"), H100)
    mesh = str(told.value).split("--mesh ")[1].split()[0]
    shape = MeshShape.parse(mesh, 1)
    options = str(told.value).split("fits: ")[1].split(";")[0]
    machine = Machine(device="cuda", mesh=shape, recompute="--recompute" in options)
    budget.refuse(recipe, machine, H100)


def test_processes_on_one_processor_share_its_memory():
    recipe = small.recipe(dtype="float32")
    one = Machine(micro_tokens=recipe.data.row_tokens)  # for one thread
    need = budget.memory(recipe, one).peak
    machine = Device(name="here", memory=1.5 * need, cuda=False)
    budget.refuse(recipe, one, machine)
    with pytest.raises(TrainingError, match="this machine's memory"):
        budget.refuse(recipe, replace(one, mesh=MeshShape(data=4)), machine)


@pytest.mark.parametrize(
    ("mesh", "said"),
    [
        (MeshShape(data=3), "rows a step"),
        (MeshShape(context=3), "half a divisor"),
        (MeshShape(tensor=3), "multiple of 3"),
    ],
)
def test_a_mesh_that_shares_nothing_out_evenly_is_refused(mesh, said):
    with pytest.raises(UsageError, match=said):
        budget.check_mesh(large("7b"), mesh)


def test_time_is_flops_at_a_share_of_all_peaks():
    recipe = large("7b")
    machine = Machine(device="cuda", mesh=MeshShape(data=8))
    found = budget.seconds(recipe, machine, H100, 0.5)
    assert found == pytest.approx(budget.flops(recipe) / (8 * 989e12 * 0.5))
    assert budget.seconds(recipe, replace(machine, recompute=True), H100, 0.5) > found
