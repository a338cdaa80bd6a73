import argparse
import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from quipu.checkpoint import open_checkpoint
from quipu.cli import convert, info
from quipu.errors import CheckpointError, UsageError
from unit.checkpoint.conftest import MakeHf
from unit.checkpoint.models import TINY, edit_config


def run(*arguments: object) -> int:
    parser = argparse.ArgumentParser(prog="quipu")
    verbs = parser.add_subparsers()
    convert.register(verbs)
    info.register(verbs)
    args = parser.parse_args([str(argument) for argument in arguments])
    code: int = args.run(args)
    return code


def test_convert_prints_the_target_and_nothing_else_on_stdout(
    make_hf: MakeHf, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "x.gguf"
    assert run("convert", make_hf(), target, "--to", "gguf", "--quantize", "q8_0") == 0
    assert capsys.readouterr().out == f"{target}\n"
    assert open_checkpoint(target).spec("output.weight").dtype == "q8_0"


@pytest.mark.parametrize(("asked", "dtype"), [("int8", "q8_0"), ("int4", "q4_0")])
def test_convert_writes_a_native_file(
    make_hf: MakeHf, tmp_path: Path, asked: str, dtype: str
) -> None:
    (tmp_path / "text").write_text("def function_1(x): return x * 1\n" * 500)
    calibrate = ("--calibrate", tmp_path / "text") if asked == "int4" else ()
    target = tmp_path / "x.quipu"
    run("convert", make_hf(), target, "--to", "native", "--quantize", asked, *calibrate)
    found = open_checkpoint(target)
    assert found.layout == "native"
    assert found.spec("layers.0.attention.wq.weight").dtype == dtype
    assert found.spec("output.weight").dtype == "q8_0"


def test_convert_fits_weights_unless_told_to_round(make_hf: MakeHf, tmp_path: Path) -> None:
    source, text = make_hf(), tmp_path / "text"
    text.write_text("def function_1(x): return x * 1\n" * 500)
    data = []
    for name, calibrate in (("a", text), ("b", "none")):
        target = tmp_path / f"{name}.quipu"
        options = ("--to", "native", "--quantize", "int4", "--calibrate", calibrate)
        run("convert", source, target, *options)
        data.append(open_checkpoint(target).read("layers.0.feed_forward.w2.weight").data)
    assert not np.array_equal(*data)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--to", "native", "--quantize", "int8"), "it goes with --to native --quantize int4"),
        (("--to", "gguf", "--quantize", "int4"), "it goes with --to native --quantize int4"),
        (("--to", "native", "--quantize", "int4"), "got absent; allowed: a file, a folder, or no"),
    ],
)
def test_convert_refuses_a_text_that_it_cannot_use(
    make_hf: MakeHf, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        run("convert", make_hf(), tmp_path / "x", *options, "--calibrate", "absent")


def test_convert_takes_theta_shards_and_force(make_hf: MakeHf, tmp_path: Path) -> None:
    source, target = make_hf(), tmp_path / "x"
    edit_config(source, rope_theta=None)
    options = ("--to", "meta", "--shards", 2, "--rope-theta", "5e5", "--dtype", "f16")
    run("convert", source, target, *options)
    with pytest.raises(CheckpointError, match="already exists"):
        run("convert", source, target, *options)
    run("convert", source, target, *options, "--force")
    assert open_checkpoint(target).config.rope_theta == 5e5
    assert len(list(target.glob("*.pth"))) == 2


def test_convert_leaves_nothing_when_it_is_terminated(
    make_hf: MakeHf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def terminate(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    source = make_hf()
    monkeypatch.setattr("quipu.checkpoint.conversion._digest", terminate)
    with pytest.raises(SystemExit) as stop:
        run("convert", source, tmp_path / "x", "--to", "hf")
    assert stop.value.code == 128 + signal.SIGTERM
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


@pytest.mark.parametrize(
    "options",
    [
        ("--to", "onnx"),
        ("--to", "native", "--quantize", "int2"),
        ("--to", "gguf", "--quantize", "q8_0", "--dtype", "f16"),
        (),
    ],
)
def test_convert_refuses_wrong_usage(
    make_hf: MakeHf, tmp_path: Path, options: tuple[str, ...]
) -> None:
    with pytest.raises(SystemExit) as stop:
        run("convert", make_hf(), tmp_path / "x", *options)
    assert stop.value.code == 2


def test_info_fits_a_terminal_and_names_what_matters(
    make_hf: MakeHf, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    run("info", make_hf(name="Tiny-Instruct"), "--users", 4, "--context", 1000)
    shown = capsys.readouterr().out
    assert all(len(line) <= 80 for line in shown.splitlines())
    for text in (
        "Tiny-Instruct",
        "Hugging Face (safetensors)",
        "f32",
        "theta 1,000,000",
        "316 (embedding padded to 320)",
        "yes, [INST] … [/INST]",
        "prefix 3, suffix 4, middle 5, end of infill 6",
        "4 users with 1,000 tokens",
    ):
        assert text in shown


def test_info_gives_one_json_object(make_hf: MakeHf, capsys: pytest.CaptureFixture[str]) -> None:
    run("info", make_hf(), "--json", "--users", 2)
    found = json.loads(capsys.readouterr().out)
    assert found["layout"] == "hf"
    assert found["config"]["rope_theta"] == TINY.rope_theta
    assert found["abilities"] == {"infill": True, "chat": None}
    assert found["tokenizer"]["infill"] == [3, 4, 5, 6]
    assert found["footprint"]["users"] == 2
    assert found["footprint"]["total_bytes"] > found["footprint"]["weight_bytes"]


def test_info_says_when_there_is_no_tokenizer_or_one_that_does_not_fit(
    make_hf: MakeHf, capsys: pytest.CaptureFixture[str]
) -> None:
    run("info", make_hf(name="bare", tokenizer=False))
    assert "none that can be read" in capsys.readouterr().out
    source = make_hf(name="misfit")
    (source / "added_tokens.json").write_text('{"<pad>": 320}')
    run("info", source)
    assert "321: DOES NOT FIT the 320 rows" in capsys.readouterr().out
