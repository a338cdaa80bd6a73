"""The cases of conformance/backend.py against every backend there is."""

import json
from dataclasses import replace

import pytest

import llama
from conformance import backend as suite
from conformance import openai_server, vocabulary
from quipu.backend.local import LocalBackend
from quipu.backend.open import open_backend
from quipu.backend.protocol import ModelInfo
from quipu.config import Abilities
from quipu.engine.engine import Engine
from quipu.engine.runners.torch import TorchRunner

CONTEXT = 4096
TEXTS = ("def add(a, b):", "class Point:", "import sys", "for line in open(name):")
KINDS = ("scripted", "torch", "native", "remote", "remote, text alone")


def torch_runner(config):
    weights = llama.our_weights(llama.oracle(config))
    return TorchRunner(config, lambda name: weights[name].numpy(), device="cpu", num_pages=600)


def tiny_model(make_runner=torch_runner):
    """A random Llama behind an engine."""
    config = replace(llama.SHAPES["34b"], vocab=vocabulary.VOCAB, context=CONTEXT)
    runner = make_runner(config)
    engine = Engine(runner, context=CONTEXT, vocab=config.vocab)
    info = ModelInfo(name="tiny", context=CONTEXT, abilities=Abilities(infill=True))
    return LocalBackend(engine, vocabulary.tokenizer(), info)


def scripted(folder):
    lines = [
        {"prompt_contains": text, "text": f"\n    é{number}🦙 {text} " * 40, "logprob": -0.5}
        for number, text in enumerate(TEXTS)
    ]
    script = folder / "answers.jsonl"
    script.write_text("\n".join(json.dumps(line) for line in lines))
    return script


@pytest.fixture(scope="module")
def tokenizer_file(tmp_path_factory):
    file = tmp_path_factory.mktemp("vocabulary") / "tokenizer.model"
    file.write_bytes(vocabulary.model_file())
    return file


def opened(kind, tokenizer_file, stack):
    """A backend of one kind; `stack` closes what is behind it."""
    if kind == "scripted":
        return open_backend(f"script:{scripted(tokenizer_file.parent)}", tokenizer=tokenizer_file)
    if kind == "native":
        return tiny_model(lambda config: llama.native_runner(config, "bf16", kv_tokens=9600))
    behind = tiny_model()
    if kind == "torch":
        return behind
    stack.append(behind.close)
    server = openai_server.serve(behind, token_ids=kind == "remote")
    address = server.__enter__()
    stack.append(lambda: server.__exit__(None, None, None))
    return open_backend(f"{address}#{openai_server.MODEL}", tokenizer=tokenizer_file)


@pytest.fixture
def fresh_bench(request, tokenizer_file):
    stack = []
    backend = opened(request.param, tokenizer_file, stack)
    yield bench_of(backend, request.param)
    backend.close()
    for close in reversed(stack):
        close()


@pytest.fixture(scope="module")
def bench(request, tokenizer_file):
    stack = []
    backend = opened(request.param, tokenizer_file, stack)
    yield bench_of(backend, request.param)
    backend.close()
    for close in reversed(stack):
        close()


def bench_of(backend, kind):
    prompts = tuple((1, *backend.tokenizer.encode(text)) for text in TEXTS)
    return suite.Bench(backend=backend, prompts=prompts, samples=kind != "scripted")


# What a server that gives text alone cannot keep: its ids are ours, made from pieces of text, and
# half characters, stop ids and token counts are lost with the ids.
NEEDS_IDS = (
    suite.the_text_is_that_of_the_tokens,
    suite.max_tokens_ends_an_answer_by_length,
    suite.one_token_may_be_all,
    suite.max_tokens_is_cut_to_what_fits,
    suite.a_longer_answer_begins_with_the_shorter,
    suite.a_stop_string_cuts_the_text_before_it,
    suite.a_stop_id_ends_the_answer_and_is_not_part_of_it,
    suite.a_stop_string_that_never_comes_changes_nothing,
)


@pytest.mark.parametrize("case", suite.CASES, ids=lambda case: case.__name__)
@pytest.mark.parametrize("bench", KINDS, indirect=True)
def test_every_backend(bench, case, request):
    if request.node.callspec.params["bench"] == KINDS[-1] and case in NEEDS_IDS:
        pytest.skip("the server gives no token ids")
    case(bench)


@pytest.mark.parametrize("case", suite.CLOSING, ids=lambda case: case.__name__)
@pytest.mark.parametrize("fresh_bench", KINDS[:4], indirect=True)
def test_every_backend_closes(fresh_bench, case):
    case(fresh_bench)
