"""Backends by address: `torch:PATH`, `http://HOST/v1#MODEL`, `script:FILE`."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from quipu.backend.protocol import Backend, ModelInfo
from quipu.errors import BackendError, TokenizerError, UsageError
from quipu.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from quipu.checkpoint import Checkpoint

SCHEMES = "torch:PATH, http://HOST:PORT/v1#MODEL, script:FILE"
PADDING = 1024  # rows that an embedding may have beyond its tokenizer; known models stay below it
CPU_STEP_TOKENS = 512
CUDA_STEP_TOKENS = 2048


def open_backend(
    spec: str,
    *,
    tokenizer: Path | None = None,
    device: str | None = None,
    dtype: str | None = None,
    context: int | None = None,
    api_key: str | None = None,
) -> Backend:
    """Open what `spec` names.

    `torch:PATH` loads a checkpoint of any layout; `device` and `dtype` are for it alone (None: CUDA
    in bfloat16 if there is a GPU, else the CPU in float32). `http://…` needs `tokenizer`, the file
    or folder of the served model's tokenizer; the other two find their own without it. `context`
    overrules the model's context in tokens. `api_key` is for `http` alone.

    Raises UsageError, CheckpointError, TokenizerError or BackendError.
    """
    if context is not None and context < 1:
        raise UsageError("context", got=context, allowed="1 or more tokens")
    scheme, _, rest = spec.partition(":")
    given = {"device": device, "dtype": dtype, "api_key": api_key}
    if scheme == "torch" and rest:
        _refuse(given, "api_key", spec)
        return _open_torch(Path(rest), tokenizer, device, dtype, context)
    if scheme in ("http", "https"):
        _refuse(given, "device", spec)
        _refuse(given, "dtype", spec)
        return _open_remote(spec, tokenizer, context, api_key)
    if scheme == "script" and rest:
        for name in given:
            _refuse(given, name, spec)
        return _open_script(Path(rest), tokenizer, context)
    raise UsageError("backend", got=spec, allowed=SCHEMES)


def _refuse(given: dict[str, str | None], name: str, spec: str) -> None:
    if given[name] is not None:
        raise UsageError(f"{name} means nothing to backend {spec}", remedy=f"leave {name} out")


def _open_torch(
    path: Path, tokenizer: Path | None, device: str | None, dtype: str | None, context: int | None
) -> Backend:
    # Imported here: of all backends only this one needs them, and torch takes seconds.
    from quipu.backend.local import LocalBackend
    from quipu.checkpoint import as_float32, open_checkpoint
    from quipu.engine.engine import Engine

    try:
        from quipu.engine.runners.torch import TorchRunner
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise BackendError(
            "backend torch needs PyTorch, which is not installed",
            remedy="pip install 'quipu-code[torch]'",
        ) from error

    checkpoint = open_checkpoint(path)
    try:
        words = _tokenizer(checkpoint, tokenizer)
        runner = TorchRunner(
            checkpoint.config,
            lambda name: as_float32(checkpoint.read(name)),
            device=device,
            dtype=dtype,
        )
    finally:
        checkpoint.close()
    context = context or checkpoint.config.context
    engine = Engine(
        runner,
        context=context,
        vocab=words.vocab,
        tokens_per_step=CUDA_STEP_TOKENS if runner.device.type == "cuda" else CPU_STEP_TOKENS,
    )
    info = ModelInfo(name=checkpoint.name, context=context, abilities=checkpoint.abilities)
    return LocalBackend(engine, words, info)


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
