"""Backends by address: `native:PATH`, `torch:PATH`, `http://HOST/v1#MODEL`, `script:FILE`."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from quipu.backend.protocol import Backend, ModelInfo
from quipu.errors import BackendError, TokenizerError, UsageError
from quipu.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from quipu.checkpoint import Checkpoint
    from quipu.checkpoint.packing import Format
    from quipu.engine.runner import Runner

SCHEMES = "native:PATH, torch:PATH, http://HOST:PORT/v1#MODEL, script:FILE"
PADDING = 1024  # rows that an embedding may have beyond its tokenizer; known models stay below it
CPU_STEP_TOKENS = 512
CUDA_STEP_TOKENS = 2048


# Options that mean something to one kind of backend only.
OPTIONS = {
    "native": {"dtype", "threads", "kv_dtype", "kv_tokens", "speculate"},
    "torch": {"device", "dtype", "speculate"},
    "http": {"api_key"},
    "script": set[str](),
}
NATIVE_DTYPES: dict[str, "Format"] = {
    "float32": "fp32",
    "bfloat16": "bf16",
    "int8": "int8",
    "int4": "int4",
}


def open_backend(
    spec: str,
    *,
    tokenizer: Path | None = None,
    context: int | None = None,
    device: str | None = None,
    dtype: str | None = None,
    threads: int | None = None,
    kv_dtype: str | None = None,
    kv_tokens: int | None = None,
    speculate: bool | None = None,
    api_key: str | None = None,
) -> Backend:
    """Open what `spec` names.

    `native:PATH` and `torch:PATH` load a checkpoint of any layout. Native runs on the CPU, in the
    format of the file or in `dtype` (float32, bfloat16, int8, int4), on so many `threads` (None:
    all it may use), with keys and values in `kv_dtype` (float32, bfloat16, int8; None: as fits the
    weights) and memory for `kv_tokens` of them (None: as memory allows). Torch runs on `device` in
    `dtype` (None: CUDA in bfloat16 if there is a GPU, else the CPU in float32). `http://…` needs
    `tokenizer`, the file or folder of the served model's tokenizer, and perhaps `api_key`; the
    others find their own without it. `context` overrules the model's context in tokens. `speculate`
    False keeps an engine from verifying drafted tokens; None lets it where that cannot change an
    answer.

    Raises UsageError, CheckpointError, TokenizerError or BackendError.
    """
    if context is not None and context < 1:
        raise UsageError("context", got=context, allowed="1 or more tokens")
    scheme, _, rest = spec.partition(":")
    kind = "http" if scheme == "https" else scheme
    if kind not in OPTIONS or not rest:
        raise UsageError("backend", got=spec, allowed=SCHEMES)
    given = {
        "device": device,
        "dtype": dtype,
        "threads": threads,
        "kv_dtype": kv_dtype,
        "kv_tokens": kv_tokens,
        "speculate": speculate,
        "api_key": api_key,
    }
    for name, value in given.items():
        if value is not None and name not in OPTIONS[kind]:
            raise UsageError(f"{name} means nothing to backend {spec}", remedy=f"leave {name} out")
    if kind == "http":
        return _open_remote(spec, tokenizer, context, api_key)
    if kind == "script":
        return _open_script(Path(rest), tokenizer, context)
    if kind == "torch":
        load = partial(_torch_runner, device=device, dtype=dtype)
    else:
        load = partial(
            _native_runner, dtype=dtype, threads=threads, kv_dtype=kv_dtype, kv_tokens=kv_tokens
        )
    return _open_local(Path(rest), tokenizer, context, speculate, load)


def _open_local(
    path: Path,
    tokenizer: Path | None,
    context: int | None,
    speculate: bool | None,
    load: Callable[["Checkpoint", Tokenizer], tuple["Runner", int]],
) -> Backend:
    # Imported here: a remote backend needs none of them.
    from quipu.backend.local import LocalBackend
    from quipu.checkpoint import open_checkpoint
    from quipu.engine.engine import Engine

    with closing(open_checkpoint(path)) as checkpoint:
        words = _tokenizer(checkpoint, tokenizer)
        runner, tokens_per_step = load(checkpoint, words)
    context = context or checkpoint.config.context
    engine = Engine(
        runner,
        context=context,
        vocab=words.vocab,
        tokens_per_step=tokens_per_step,
        speculate=speculate,
    )
    info = ModelInfo(name=checkpoint.name, context=context, abilities=checkpoint.abilities)
    return LocalBackend(engine, words, info)


def _torch_runner(
    checkpoint: "Checkpoint", _: Tokenizer, *, device: str | None, dtype: str | None
) -> tuple["Runner", int]:
    """The runner, and tokens per step that suit it."""
    from quipu.checkpoint import as_float32

    try:
        from quipu.engine.runners.torch import TorchRunner
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise BackendError(
            "backend torch needs PyTorch, which is not installed",
            remedy="pip install 'quipu-code[torch]', or use --backend native",
        ) from error

    runner = TorchRunner(
        checkpoint.config,
        lambda name: as_float32(checkpoint.read(name)),
        device=device,
        dtype=dtype,
    )
    return runner, CUDA_STEP_TOKENS if runner.device.type == "cuda" else CPU_STEP_TOKENS


def _native_runner(
    checkpoint: "Checkpoint",
    words: Tokenizer,
    *,
    dtype: str | None,
    threads: int | None,
    kv_dtype: str | None,
    kv_tokens: int | None,
) -> tuple["Runner", int]:
    """The runner, and tokens per step that suit it."""
    from quipu.checkpoint import as_float32
    from quipu.checkpoint.packing import read_packed
    from quipu.engine.runners.native import NativeRunner, check_shape

    if dtype is not None and dtype not in NATIVE_DTYPES:
        raise UsageError("dtype of backend native", got=dtype, allowed=", ".join(NATIVE_DTYPES))
    check_shape(checkpoint.config)
    format = None if dtype is None else NATIVE_DTYPES[dtype]
    runner = NativeRunner(
        checkpoint.config,
        lambda name: read_packed(checkpoint, name, format),
        lambda name: as_float32(checkpoint.read(name)),
        choices=words.vocab,
        threads=threads,
        kv_dtype=kv_dtype,
        kv_tokens=kv_tokens,
    )
    return runner, CPU_STEP_TOKENS


def _tokenizer(checkpoint: "Checkpoint", path: Path | None) -> Tokenizer:
    """The tokenizer at `path`, or the checkpoint's own. TokenizerError if it does not fit."""
    from quipu.checkpoint import check_tokenizer

    rows = checkpoint.config.vocab
    files = checkpoint.tokenizer_files
    tokenizer = Tokenizer.from_files(files()) if path is None else Tokenizer.load(path)
    check_tokenizer(rows, tokenizer.vocab)
    if tokenizer.vocab + PADDING < rows:
        raise TokenizerError(
            "tokenizer does not fit the vocabulary of the weights",
            got=f"{tokenizer.vocab} token ids",
            allowed=f"{rows} (rows of the embedding), or a little fewer",
            remedy="use the tokenizer that belongs to this model",
        )
    return tokenizer


def _open_remote(
    spec: str, tokenizer: Path | None, context: int | None, api_key: str | None
) -> Backend:
    from quipu.backend.connection import parse_server
    from quipu.backend.remote import RemoteBackend, find_model

    address, _, model = spec.partition("#")
    server = parse_server(address, api_key)
    if tokenizer is None:
        raise UsageError(
            f"backend {spec} needs the tokenizer of the served model",
            remedy="name its tokenizer.model, tokenizer.json or folder (--tokenizer PATH)",
        )
    words = Tokenizer.load(tokenizer)
    return RemoteBackend(server, find_model(server, model or None), words, context)


def _open_script(path: Path, tokenizer: Path | None, context: int | None) -> Backend:
    from quipu.backend.script import read_script
    from quipu.backend.scripted import ScriptedBackend

    script = read_script(path)
    found = tokenizer or script.tokenizer
    if found is None:
        raise UsageError(
            f"script {path} needs a tokenizer",
            remedy='begin it with {"tokenizer": "PATH"}, or give --tokenizer PATH',
        )
    script = replace(script, context=context or script.context)
    return ScriptedBackend(script, Tokenizer.load(found))
