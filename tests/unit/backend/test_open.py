"""Backends by address, and what is said about wrong ones."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import llama
from conformance import vocabulary
from quipu.backend.open import open_backend
from quipu.errors import BackendError, CheckpointError, TokenizerError, UsageError
from quipu.request import Request, Sampling

SOURCE = Path(__file__).resolve().parents[3] / "src"
EMBEDDED = SOURCE / "quipu" / "weights" / "quipu-6m"


def folder_of(path, rows=vocabulary.VOCAB):
    """A checkpoint as transformers writes it, with the small vocabulary beside it."""
    model = llama.oracle(replace(llama.SHAPES["34b"], vocab=rows))
    model.save_pretrained(path)
    (path / "tokenizer.model").write_bytes(vocabulary.model_file())
    return path


def test_a_checkpoint_opens_by_its_path(tmp_path):
    backend = open_backend(f"torch:{folder_of(tmp_path)}", device="cpu", context=100)
    pieces = list(backend.submit(Request(prompt=(1, 2, 3), sampling=Sampling(max_tokens=5))))
    assert sum(len(piece.token_ids) for piece in pieces) == 5
    assert backend.info.context == 100
    assert backend.info.abilities.infill
    backend.close()


def test_rows_beyond_the_tokenizer_are_never_chosen(tmp_path):
    backend = open_backend(f"torch:{folder_of(tmp_path, rows=1000)}", device="cpu")
    sampling = Sampling(max_tokens=60, temperature=3.0, seed=1)
    pieces = list(backend.submit(Request(prompt=(1,), sampling=sampling)))
    assert max(token for piece in pieces for token in piece.token_ids) < vocabulary.VOCAB
    backend.close()


@pytest.mark.parametrize("rows", [vocabulary.VOCAB - 1, 4000])
def test_a_tokenizer_that_does_not_fit_is_refused(tmp_path, rows):
    folder = folder_of(tmp_path, rows)
    with pytest.raises(TokenizerError, match=f"got {vocabulary.VOCAB} token ids; allowed: {rows}"):
        open_backend(f"torch:{folder}", device="cpu")


def test_a_path_without_a_model_is_refused(tmp_path):
    with pytest.raises(CheckpointError):
        open_backend(f"torch:{tmp_path / 'none'}")


@pytest.mark.parametrize("spec", ["", "torch", "torch:", "native:", "ftp://host", "model"])
def test_an_unknown_address_is_refused(spec):
    with pytest.raises(UsageError, match="allowed: native:PATH"):
        open_backend(spec)


@pytest.mark.parametrize(
    ("spec", "options"),
    [
        ("http://h/v1", {"device": "cpu"}),
        ("http://h/v1", {"speculate": False}),
        ("script:x", {"dtype": "float32"}),
        ("torch:x", {"api_key": "k"}),
        ("torch:x", {"threads": 2}),
        ("native:x", {"device": "cpu"}),
    ],
)
def test_an_option_that_means_nothing_is_refused(spec, options):
    with pytest.raises(UsageError, match="means nothing to backend"):
        open_backend(spec, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "tpu"}, "device; got tpu"),
        ({"device": "cpu", "dtype": "int3"}, "dtype; got int3; allowed: float32"),
        ({"context": 0}, "context; got 0"),
    ],
)
def test_a_wrong_option_is_refused(tmp_path, options, message):
    with pytest.raises(UsageError, match=message):
        open_backend(f"torch:{folder_of(tmp_path)}", **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "float16"}, "dtype of backend native; got float16; allowed: float32, bfloat16"),
        ({"threads": 0}, "threads; got 0"),
        ({"kv_dtype": "int4"}, "kv dtype; got int4; allowed: float32, bfloat16, int8"),
        ({"kv_tokens": 0}, "kv tokens; got 0"),
    ],
)
def test_a_wrong_option_of_native_is_refused(options, message):
    with pytest.raises(UsageError, match=message):
        open_backend(f"native:{EMBEDDED}", **options)


def test_too_many_tokens_for_the_memory_are_refused_with_the_number_that_fits():
    with pytest.raises(BackendError, match=r"up to [\d,]+ tokens; ask for fewer") as caught:
        open_backend(f"native:{EMBEDDED}", kv_tokens=10**9)
    fitting = int(str(caught.value).split("up to ")[1].split(" tokens")[0].replace(",", ""))
    assert 16 <= fitting < 10**9


def test_an_instruction_set_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setenv("QUIPU_ISA", "sse9")
    with pytest.raises(UsageError, match="QUIPU_ISA must be portable, avx2, avx512 or amx"):
        open_backend(f"native:{EMBEDDED}")


def test_a_shape_without_kernels_names_the_other_backend(tmp_path):
    folder_of(tmp_path)
    odd = replace(llama.SHAPES["34b"], ffn=340, vocab=vocabulary.VOCAB)
    llama.oracle(odd).save_pretrained(tmp_path)
    with pytest.raises(BackendError, match=r"got ffn 340; .*use --backend torch"):
        open_backend(f"native:{tmp_path}")


def test_a_server_needs_a_tokenizer():
    with pytest.raises(UsageError, match="needs the tokenizer"):
        open_backend("http://localhost:1/v1#m")


def test_without_pytorch_the_remedy_is_named(tmp_path):
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from quipu.backend.open import open_backend\n"
        "from quipu.errors import BackendError\n"
        f"try: open_backend('torch:{folder_of(tmp_path)}')\n"
        "except BackendError as error: print(error)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(SOURCE)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "pip install 'quipu-code[torch]'" in found.stdout


def test_opening_a_script_does_not_import_pytorch(tmp_path):
    (tmp_path / "tokenizer.model").write_bytes(vocabulary.model_file())
    (tmp_path / "s.jsonl").write_text('{"tokenizer": "tokenizer.model"}\n{"text": "x"}')
    code = (
        "import sys; from quipu.backend.open import open_backend\n"
        "open_backend('script:s.jsonl'); assert 'torch' not in sys.modules"
    )
    subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(SOURCE)}, cwd=tmp_path, check=True
    )


def test_memory_that_does_not_suffice_is_named():
    from quipu.engine.runners.torch import TorchRunner

    config = llama.SHAPES["34b"]
    weights = llama.our_weights(llama.oracle(config))
    with pytest.raises(BackendError, match="no memory for keys and values; got 100 bytes"):
        TorchRunner(config, lambda name: weights[name].numpy(), device="cpu", key_value_bytes=100)


def test_pages_that_cannot_be_had_are_an_error_of_the_user():
    from quipu.engine.runners.torch import TorchRunner

    config = llama.SHAPES["34b"]
    weights = llama.our_weights(llama.oracle(config))
    with pytest.raises(BackendError, match=r"do not fit the memory of cpu.*use a smaller model"):
        TorchRunner(config, lambda name: weights[name].numpy(), device="cpu", num_pages=10**9)
