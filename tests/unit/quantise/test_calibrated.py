"""Fitting a whole model, with the PyTorch forward and with the native one."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from quipu.checkpoint import Checkpoint, as_float32, convert, open_checkpoint
from quipu.checkpoint.tensors import StoredTensor, cast
from quipu.config import ModelConfig
from quipu.errors import TokenizerError, UsageError
from quipu.llm import TRAINED, model_path
from quipu.quantise import Calibrated, calibrated_on
from quipu.quantise.forward import Floats, Forward, NativeForward
from unit.checkpoint.conftest import make_hf, tokenizer_model  # noqa: F401  (fixtures)
from unit.checkpoint.models import TINY
from unit.quantise.torch_forward import TorchForward

MakeHf = Callable[..., Path]
Make = Callable[[ModelConfig, int], Forward]
NATIVE: Make = partial(NativeForward, threads=1)
FORWARDS = pytest.mark.parametrize("forward", [TorchForward, NATIVE], ids=["torch", "native"])
TOKENS = np.random.default_rng(0).integers(0, 320, (8, 96)).astype(np.int32)


def layer_weights(checkpoint: Checkpoint, layer: int) -> dict[str, StoredTensor]:
    """Weights of a layer as a forward wants them."""
    prefix = f"layers.{layer}."
    names = [name for name in checkpoint.names() if name.startswith(prefix)]
    return {name.split(".")[-2]: checkpoint.read(name) for name in names}


def run_all(checkpoint: Checkpoint, tokens: np.ndarray) -> Floats:
    """Activations behind the last layer, of each sequence."""
    forward = TorchForward(checkpoint.config, tokens.shape[1])
    x_STD = as_float32(checkpoint.read("tok_embeddings.weight"))[tokens]
    for layer in range(checkpoint.config.layers):
        forward.load(layer_weights(checkpoint, layer))
        for x_TD in x_STD:
            forward.run(x_TD)
    return x_STD


@FORWARDS
def test_a_fitted_model_computes_more_like_its_source_than_a_rounded_one(
    tmp_path: Path, forward: Make
) -> None:
    """The embedded model, on tokens it was not fitted to."""
    source = open_checkpoint(model_path(TRAINED))
    random = np.random.default_rng(1)
    tokens = random.integers(0, source.config.vocab, (6, 64)).astype(np.int32)
    fitted, rounded = tmp_path / "fitted.quipu", tmp_path / "rounded.quipu"
    rounding = Calibrated(tokens[:4], forward)
    convert(source.path, fitted, to="native", dtype="q4_0", rounding=rounding)
    convert(source.path, rounded, to="native", dtype="q4_0")
    expected = run_all(source, tokens[4:])
    lost = [
        np.square(run_all(open_checkpoint(path), tokens[4:]) - expected).mean()
        for path in (fitted, rounded)
    ]
    assert lost[0] < 0.9 * lost[1]


@FORWARDS
def test_only_matrices_of_layers_are_fitted(
    make_hf: MakeHf,  # noqa: F811
    tmp_path: Path,
    forward: Make,
) -> None:
    source = open_checkpoint(make_hf(dtype="bf16"))
    convert(
        source.path,
        tmp_path / "x.quipu",
        to="native",
        dtype="q4_0",
        rounding=Calibrated(TOKENS, forward),
    )
    found = open_checkpoint(tmp_path / "x.quipu")
    differ = 0
    for name in found.names():
        tensor = found.read(name)
        plain = cast(source.read(name), tensor.dtype)
        if tensor.dtype == "q4_0":
            assert name.startswith("layers.")
            differ += not np.array_equal(tensor.data, plain.data)
            wide, narrow = as_float32(source.read(name)), as_float32(tensor)
            assert np.abs(wide - narrow).max() < np.abs(wide).max()
        else:
            assert np.array_equal(tensor.data, plain.data), name
    assert differ == 14


def test_what_has_four_bits_already_stays_as_it_is(
    make_hf: MakeHf,  # noqa: F811
    tmp_path: Path,
) -> None:
    convert(make_hf(), tmp_path / "x.gguf", to="gguf", dtype="q4_0")

    def never(*_: object) -> Forward:
        raise AssertionError("there is nothing to fit")

    rounding = Calibrated(TOKENS, never)
    target = tmp_path / "x.quipu"
    convert(tmp_path / "x.gguf", target, to="native", dtype="q4_0", rounding=rounding)
    first, second = open_checkpoint(tmp_path / "x.gguf"), open_checkpoint(target)
    for name in first.names():
        assert np.array_equal(first.read(name).data, second.read(name).data)


@pytest.mark.parametrize("config", [TINY, replace(TINY, heads=2, kv_heads=1, head_size=48)])
def test_both_forwards_feed_matrices_alike(
    make_hf: MakeHf,  # noqa: F811
    config: ModelConfig,
) -> None:
    source = open_checkpoint(make_hf(config, head_dim=config.head_size))
    x = as_float32(source.read("tok_embeddings.weight"))[TOKENS[0]]
    results = []
    for make in (TorchForward, NATIVE):
        forward = make(config, len(x))
        forward.load(layer_weights(source, 1))
        after = x.copy()
        results.append((*forward.run(after), after))
    for ours, theirs in zip(*results, strict=True):
        assert ours.shape == theirs.shape
        # bf16 weights, keys and values in the native one
        assert np.abs(ours - theirs).max() < 0.05 * np.abs(ours).max()


def test_a_model_is_fitted_to_the_text_of_a_file(
    make_hf: MakeHf,  # noqa: F811
    tmp_path: Path,
) -> None:
    source = open_checkpoint(make_hf())
    (tmp_path / "text").write_text("def function_1(x): return x * 1\n" * 500)
    assert isinstance(calibrated_on(source, tmp_path / "text"), Calibrated)
    (tmp_path / "text").write_text("def")
    with pytest.raises(UsageError, match="512 tokens or more"):
        calibrated_on(source, tmp_path / "text")


def test_a_model_without_tokenizer_is_refused(make_hf: MakeHf) -> None:  # noqa: F811
    with pytest.raises(TokenizerError, match=r"no tokenizer.*take --calibrate none"):
        calibrated_on(open_checkpoint(make_hf(tokenizer=False)), None)


def test_heads_without_kernels_are_refused() -> None:
    with pytest.raises(UsageError, match=r"got 8; .*; take --calibrate none"):
        NativeForward(replace(TINY, head_size=8), 16)
