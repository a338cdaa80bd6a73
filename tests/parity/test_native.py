"""The C++ runtime equals the PyTorch model, on every instruction set that this machine has."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

import llama
import quipu
from quipu.checkpoint.conversion import convert
from quipu.checkpoint.packing import pack, unpack
from quipu.checkpoint.tensors import StoredTensor, as_float32
from quipu.config import ModelConfig, RopeScaling
from quipu.engine.batch import Batch
from quipu.llm import TRAINED, model_path
from quipu.model.attend import single_document
from quipu.model.rope import frequencies as torch_frequencies
from quipu.native import _runtime
from quipu.native.rotary import frequencies

SETS = ("portable", "avx2", "avx512", "amx")
HERE = SETS[: SETS.index(_runtime.detected_isa()) + 1]
# fp32 sums in another order; asked of us: 1e-3.
FP32_TOLERANCE = 1e-3
# Root mean square of the error over that of the logits, for activations rounded to 8 bits of bf16
# or 7 bits of int8 before each product. Random weights with their wild attention forgive little.
RELATIVE = {"bf16": 0.03, "int8": 0.08, "int4": 0.08}

TOP1_AGREEMENT = 0.99  # asked of us
INT8_PERPLEXITY = 1.001  # asked of us, activations quantised too
FILES = 72  # for it: the change reads 1.0006, within 0.00012; of 24 files within 0.0002

SHAPES = {
    **llama.SHAPES,
    "tied": replace(llama.SHAPES["7b"], tied=True),
    "wide heads": replace(llama.SHAPES["7b"], head_size=48, heads=2, kv_heads=2),
}


@pytest.fixture(params=HERE)
def isa(request, monkeypatch):
    monkeypatch.setenv("QUIPU_ISA", request.param)
    return request.param


@cache
def oracle(config: ModelConfig, format: str = "fp32"):
    """The PyTorch model, its matrices rounded to `format`."""
    model = llama.ours(config, llama.oracle(config))
    if format != "fp32":
        for weight in model.parameters():
            if weight.ndim == 2:
                stored = StoredTensor(
                    dtype="f32", shape=tuple(weight.shape), data=weight.detach().numpy()
                )
                rounded = as_float32(unpack(pack(stored, format)))
                weight.data = torch.from_numpy(rounded)
    return model


def batch_of(spans, pages, select=None):
    """`spans`: (tokens of the sequence, first, last) each; pages: of each sequence."""
    sizes = [last - first for _, first, last in spans]
    width = max(map(len, pages))
    rows = [list(own) + [-1] * (width - len(own)) for own in pages]
    return Batch(
        tokens_T=np.concatenate([tokens[a:b] for tokens, a, b in spans]).astype(np.int32),
        positions_T=np.concatenate([np.arange(a, b) for _, a, b in spans]).astype(np.int32),
        starts_S1=np.cumsum([0, *sizes]).astype(np.int32),
        contexts_S=np.array([b for _, _, b in spans], dtype=np.int32),
        pages_SP=np.array(rows, dtype=np.int32),
        select_N=np.arange(sum(sizes), dtype=np.int32)
        if select is None
        else np.array(select, dtype=np.int32),
    )


def tokens_of(config, count, seed=0):
    return np.random.default_rng(seed).integers(0, config.vocab, count).astype(np.int32)


def expected(config, tokens, format="fp32"):
    positions = torch.arange(len(tokens))
    with torch.no_grad():
        logits = oracle(config, format)(
            torch.from_numpy(tokens), positions, single_document(len(tokens))
        ).numpy()
    assert np.abs(logits).max() > 0.5, "an oracle that says nothing proves nothing"
    return logits


def whole(runner, tokens):
    pages = [range(-(-len(tokens) // runner.page_size))]
    return runner.step(batch_of([(tokens, 0, len(tokens))], pages))


def rms(values):
    return float(np.sqrt(np.square(values, dtype=np.float64).mean()))


@pytest.mark.parametrize("shape", SHAPES)
def test_fp32_logits_equal_the_pytorch_model(isa, shape):
    config = SHAPES[shape]
    tokens = tokens_of(config, 160)
    runner = llama.native_runner(config)
    assert runner.isa == isa
    found = whole(runner, tokens)
    assert np.abs(found.logits_NV - expected(config, tokens)).max() < FP32_TOLERANCE
    assert (found.best_N == found.logits_NV.argmax(axis=1)).all()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("format", RELATIVE)
def test_rounded_weights_are_those_of_the_pytorch_model(isa, shape, format):
    config = SHAPES[shape]
    tokens = tokens_of(config, 160)
    wanted = expected(config, tokens, format)
    found = whole(llama.native_runner(config, format, kv_dtype="float32"), tokens).logits_NV
    if isa == "portable":  # keeps activations in fp32
        assert np.abs(found - wanted).max() < FP32_TOLERANCE
    else:
        assert rms(found - wanted) < RELATIVE[format] * rms(wanted)


@pytest.mark.parametrize(
    "scaling",
    [
        RopeScaling(kind="linear", factor=4.0),
        RopeScaling(kind="yarn", factor=4.0, original_context=1024),
    ],
    ids=["linear", "yarn"],
)
def test_scaled_rotary_positions_equal_the_pytorch_model(scaling):
    config = replace(SHAPES["34b"], rope_scaling=scaling)
    tokens = tokens_of(config, 400)
    found = whole(llama.native_runner(config), tokens)
    assert np.abs(found.logits_NV - expected(config, tokens)).max() < FP32_TOLERANCE


@pytest.mark.parametrize("size", [48, 64, 128])
@pytest.mark.parametrize("theta", [1e4, 1e6])
def test_rotary_frequencies_equal_those_of_the_pytorch_model(size, theta):
    config = replace(SHAPES["7b"], rope_theta=theta, head_size=size)
    mine, factor = frequencies(config)
    theirs, their_factor = torch_frequencies(config)
    np.testing.assert_array_max_ulp(mine, theirs.numpy(), maxulp=2)
    assert factor == their_factor


def test_a_context_of_20000_tokens_equals_the_pytorch_model():
    config = replace(SHAPES["34b"], layers=1)
    tokens = tokens_of(config, 20_001)
    runner = llama.native_runner(config, kv_tokens=20_001)
    pages = [range(runner.num_pages)]
    for first in range(0, len(tokens), 512):
        last = min(first + 512, len(tokens))
        select = [last - first - 1]
        found = runner.step(batch_of([(tokens, first, last)], pages, select)).logits_NV
    with torch.no_grad():
        wanted = oracle(config)(
            torch.from_numpy(tokens),
            torch.arange(len(tokens)),
            single_document(len(tokens)),
            torch.tensor([20_000]),
        ).numpy()
    assert np.abs(found - wanted).max() < FP32_TOLERANCE


@pytest.mark.parametrize("format", ["fp32", "bf16", "int8", "int4"])
@pytest.mark.parametrize("kv_dtype", ["float32", "bfloat16", "int8"])
@pytest.mark.usefixtures("isa")
def test_rows_do_not_depend_on_what_runs_beside_them(format, kv_dtype):
    config = SHAPES["34b"]
    texts = [tokens_of(config, size, seed=size) for size in (37, 64, 5, 90)]
    alone = [
        whole(llama.native_runner(config, format, kv_dtype=kv_dtype, threads=1), text).logits_NV
        for text in texts
    ]
    runner = llama.native_runner(config, format, kv_dtype=kv_dtype, threads=3)
    pages = [range(8 * i, 8 * i + 8) for i in range(4)]
    done = [0, 0, 0, 0]
    rng = np.random.default_rng(7)
    while any(done[i] < len(texts[i]) for i in range(4)):
        chosen = [i for i in range(4) if done[i] < len(texts[i]) and rng.random() < 0.7]
        if not chosen:
            continue
        sizes = {i: int(rng.choice([1, 2, 7, 33])) for i in chosen}
        spans = [(texts[i], done[i], min(done[i] + sizes[i], len(texts[i]))) for i in chosen]
        found = runner.step(batch_of(spans, [pages[i] for i in chosen])).logits_NV
        row = 0
        for i, (_, first, last) in zip(chosen, spans, strict=True):
            part = found[row : row + last - first]
            assert (part == alone[i][first:last]).all(), f"text {i}, rows {first} to {last}"
            row, done[i] = row + last - first, last


def test_selected_rows_are_rows_of_the_whole():
    config = SHAPES["70b-instruct"]
    tokens = tokens_of(config, 70)
    every = whole(llama.native_runner(config, "bf16"), tokens).logits_NV.copy()
    pages = [range(5)]
    runner = llama.native_runner(config, "bf16")
    some = runner.step(batch_of([(tokens, 0, 70)], pages, [0, 3, 69])).logits_NV
    assert (some == every[[0, 3, 69]]).all()
    none = runner.step(batch_of([(tokens, 0, 70)], pages, []))
    assert none.logits_NV.shape == (0, config.vocab)


def test_ids_that_may_not_be_chosen_are_never_best():
    config = SHAPES["7b"]
    tokens = tokens_of(config, 100)
    runner = llama.native_runner(config)
    runner._choices = 20
    found = whole(runner, tokens)
    assert (found.best_N == found.logits_NV[:, :20].argmax(axis=1)).all()


def test_logits_that_are_not_finite_have_no_best():
    config = SHAPES["7b"]
    runner = llama.native_runner(config)
    runner._weights["norm.weight"][3] = np.inf
    assert (whole(runner, tokens_of(config, 4)).best_N == -1).all()


def own_code(llm, files):
    """Real code that the embedded model was not trained on: this project's own largest files."""
    source = Path(quipu.__file__).parent
    paths = sorted(source.rglob("*.py"), key=lambda path: -path.stat().st_size)[:files]
    return [[llm.tokenizer.bos_id, *llm.tokenizer.encode(p.read_text())][:1000] for p in paths]


def test_bf16_chooses_the_tokens_of_fp32_on_the_embedded_model():
    chosen = {}
    for backend, dtype in (("torch", "float32"), ("native", "bfloat16")):
        with quipu.load(TRAINED, backend, dtype=dtype) as llm:
            logits = [llm.logits(ids).argmax(axis=1) for ids in own_code(llm, 4)]
            chosen[backend] = np.concatenate(logits)
    assert (chosen["torch"] == chosen["native"]).mean() >= TOP1_AGREEMENT


def test_int8_costs_less_than_a_thousandth_of_perplexity_on_the_embedded_model():
    nats = {}
    for dtype in ("bfloat16", "int8"):
        with quipu.load(TRAINED, dtype=dtype) as llm:
            nats[dtype] = np.concatenate([-llm.score(ids) for ids in own_code(llm, FILES)])
    assert np.exp((nats["int8"] - nats["bfloat16"]).mean()) <= INT8_PERPLEXITY


@pytest.mark.parametrize(("stored", "packed"), [("q8_0", "int8"), ("q4_0", "int4")])
def test_a_gguf_file_runs_as_it_is(tmp_path, stored, packed):
    source, gguf, native = model_path(TRAINED), tmp_path / "model.gguf", tmp_path / "model.quipu"
    convert(source, gguf, to="gguf", dtype=stored)
    convert(gguf, native, to="native")
    found = {}
    for path in (gguf, native):
        with quipu.load(path) as llm:
            formats = {weight.format for weight in _matrices(llm)}
            assert formats == {packed}
            found[path] = llm.logits([1, 5, 9, 200, 3000])
    assert (found[gguf] == found[native]).all()


def _matrices(llm):
    weights = llm.backend._worker.engine().runner._weights.values()
    return [weight for weight in weights if not isinstance(weight, np.ndarray)]
