"""What benchmarks/cpu.py rests on: order, crashes, resumption, the models, the arithmetic."""

import json
import sys

import pytest
import tokenizers
from peers import asked
from speed import cells, models, report, summary
from speed.variants import OURS, VARIANTS

import small
from quipu.checkpoint import open_checkpoint
from quipu.config import ModelConfig
from quipu.text.tokenizer import Tokenizer

TINY = ModelConfig(
    dim=32, layers=2, heads=2, kv_heads=1, ffn=64, vocab=4352, context=64, rope_theta=1e4
)


def python(code):
    return [sys.executable, "-c", code]


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A written model of a tiny shape."""
    monkeypatch.setitem(models.SHAPES, "tiny", TINY)
    models.write_model("tiny", tmp_path / "tiny")
    return tmp_path / "tiny"


def test_engines_take_turns():
    found = [cell.variant for cell in cells.cells(["nano"], VARIANTS, ["one"], 2)]
    assert found[: len(VARIANTS)] == [variant.name for variant in VARIANTS]
    assert found[len(VARIANTS) :] == found[: len(VARIANTS)]


def test_every_model_is_measured_with_ours_and_with_peers():
    for model in models.SHAPES:
        peers = {variant.peer for variant in VARIANTS if model in variant.models}
        assert OURS in peers
        assert len(peers) > 2


def test_a_crash_is_a_result_with_the_signals_name():
    code = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    assert cells.run(python(code), 1) == {"failed": "ended by SIGSEGV"}


def test_a_failure_keeps_its_last_line():
    found = cells.run(python("raise SystemExit('no such model')"), 1)
    assert found == {"failed": "exit 1: no such model"}


def test_the_last_line_is_the_result():
    code = "import os; print('loading'); print('{\"threads\": %s}' % os.environ['OMP_NUM_THREADS'])"
    assert cells.run(python(code), 3) == {"threads": 3}


def test_what_a_measured_process_does_is_not_charged_to_others():
    code = "import time; end = time.time() + 1\nwhile time.time() < end: pass\nprint('{}')"
    before = cells.Others()
    found = cells.run_watched(python(code), 1)
    assert 0 <= found["others_cores"] <= before.cores() + 0.5


def test_a_journal_goes_on_where_it_stopped_but_not_from_another_run(tmp_path):
    path = tmp_path / "work" / "journal.jsonl"
    cells.Journal(path, "a").get("cell", lambda: {"n": 1})
    assert cells.Journal(path, "a").get("cell", lambda: {"n": 2}) == {"n": 1}
    assert cells.Journal(path, "b").get("cell", lambda: {"n": 2}) == {"n": 2}


def test_a_written_model_is_whole_and_its_weights_are_as_wide_as_they_should_be(tiny):
    checkpoint = open_checkpoint(tiny)
    assert checkpoint.config.vocab == TINY.vocab
    name = "layers.1.feed_forward.w1.weight"
    values = (checkpoint.read(name).data.astype("uint32") << 16).view("float32")
    assert values.std() == pytest.approx(models.STD, rel=0.1)
    assert abs(values[0] - values[1]).max() > 0


def test_both_tokenizer_files_split_alike_and_fill_the_vocabulary(tiny):
    text = "def add(a, b):\n    return a + b  # naïve\n"
    ours = Tokenizer.load(tiny / "tokenizer.model")
    theirs = tokenizers.Tokenizer.from_file(str(tiny / "tokenizer.json"))
    assert ours.vocab == theirs.get_vocab_size() == TINY.vocab
    assert ours.encode(text) == theirs.encode(text, add_special_tokens=False).ids


def test_a_token_reads_all_weights_but_the_embedding(tiny):
    whole = open_checkpoint(tiny).weight_bytes()
    assert summary.bytes_per_token(tiny) == whole - 2 * TINY.vocab * TINY.dim


def line(variant, decode, load="one"):
    figures = {"decode_tokens_per_s": list(decode), "prefill_tokens_per_s": [100.0]}
    return summary.Line(
        model="nano",
        variant=variant,
        load=load,
        engine=variant,
        figures={name: summary.spread(values) for name, values in figures.items()},
        failed=None,
    )


LINES = [
    line("quipu int4", (200.0, 300.0, 250.0)),
    line("quipu int8", (180.0,)),
    line("llama.cpp q4_0", (100.0,)),
    line("OpenVINO int8", (50.0,)),
    line("quipu int4", (1000.0,), "eight"),
    line("OpenVINO int8", (400.0,), "eight"),
]


def test_the_best_of_ours_stands_against_the_best_peer():
    found = {ratio.figure: ratio.ratio for ratio in summary.ratios(LINES, ["nano"])}
    assert found["decode, nano, one sequence"] == 2.5
    assert found["decode, nano, eight sequences"] == 2.5
    assert found["decode, nano, eight sequences over one"] == 10


def test_bandwidth_is_that_of_the_smallest_buffer_that_holds_the_weights(tiny):
    lines = [line("quipu int4", (1e6,))]
    size = summary.bytes_per_token(tiny)
    read = {str(size // 2): 900.0, str(2 * size): 100.0, str(4 * size): 10.0}
    files = {("nano", "quipu int4"): tiny}
    decode, prefill = summary.limits(lines, files, read, {"bf16": 1.0, "int8": 4.0})
    assert decode.ratio == pytest.approx(size * 1e6 / 1e9 / 100)
    assert "int8" in prefill.other


def test_a_decode_is_held_against_the_bandwidth_read_just_before_it(tiny):
    size = summary.bytes_per_token(tiny)
    rounds = [
        cells.Cell(model="nano", variant="quipu int4", load="one", round=number)
        for number in range(3)
    ]
    rates, decodes = (100.0, 50.0, 80.0), (50e9, 40e9, 8e9)
    results = [
        (cell, {"decode_tokens_per_s": decode / size})
        for cell, decode in zip(rounds, decodes, strict=True)
    ]
    reads = {cell: {str(size): rate} for cell, rate in zip(rounds, rates, strict=True)}
    (found,) = summary.paired_limits(results, {("nano", "quipu int4"): tiny}, reads)
    assert found.ratio == pytest.approx(0.5)


def test_a_report_shows_figures_and_failures():
    broken = summary.lines_of(
        [
            (
                cells.Cell(model="nano", variant="ONNX Runtime int4", load="one", round=0),
                {"failed": "ended by SIGSEGV"},
            )
        ]
    )
    facts = {"processor": "p", "family_model": "1/2", "cores": 2, "memory_bytes": 2**30}
    found = report.markdown(
        report.Report(
            date="2026-01-01",
            command="python benchmarks/cpu.py",
            revision="abc",
            threads=2,
            machine={**facts, "instructions": [], "system": "s", "load_average": 0.1},
            read={"1048576": 50.0},
            matrix={"failed": "no torch"},
            versions={"torch": "2"},
            lines=LINES + broken,
            ratios=summary.ratios(LINES, ["nano"]),
            limits=[],
            cold={"quipu": summary.spread([0.2]), "transformers": "exit 1"},
            missing={"ctranslate2": "pip failed"},
            others_cores=0.5,
            plot=None,
        )
    )
    assert "| quipu int4 | 100 (100 to 100) | 250 (200 to 300) |" in found
    assert "ended by SIGSEGV" in found
    assert "not measured: no torch" in found
    assert "pip failed" in found


class Steady:
    """An engine that takes a second for prompts and half a second for the rest."""

    name = "steady"

    def __init__(self, asked_for):
        self.asked, self.prompts = asked_for, []

    def generate(self, prompts, new_tokens):
        assert new_tokens == self.asked.new_tokens
        self.prompts.append(prompts)
        return asked.Took(prefill_s=1.0, decode_s=0.5)


def test_an_adapter_answers_with_the_keys_of_quipu_bench(monkeypatch, capsys, tmp_path):
    asked_for = {"prompt-tokens": 16, "new-tokens": 6, "batch": 2, "threads": 1, "rounds": 2}
    asked_for |= {"model": tmp_path, "vocab": small.VOCAB}
    options = [f"--{name}={value}" for name, value in asked_for.items()]
    monkeypatch.setattr(sys, "argv", ["run_steady.py", *options])
    engines = []
    asked.answer(lambda load: engines.append(Steady(load)) or engines[0])
    found = json.loads(capsys.readouterr().out)
    assert found["prefill_tokens_per_s"] == 2 * 16 / 1.0
    assert found["decode_tokens_per_s"] == 2 * 5 / 0.5
    assert set(summary.FIGURES) <= set(found)
    assert len({str(prompts) for prompts in engines[0].prompts}) == 3  # one warms up
