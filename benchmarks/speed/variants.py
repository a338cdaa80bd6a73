"""Every engine in every format it is measured in: its file, how that is made, how it is run."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from speed.environment import Environments, python_of
from speed.models import write_model

ADAPTERS = Path(__file__).resolve().parents[1] / "peers"
OURS = "quipu"

Command = list[str | Path]


@dataclass(frozen=True, kw_only=True)
class Variant:
    """An engine in one format. `models`: those it is measured on, if not on all."""

    peer: str
    format: str
    file: str
    adapter: str | None = None  # None: quipu bench
    group: str | None = None  # of packages that must be installed
    models: tuple[str, ...] = ("nano", "1.1b", "7b")

    @property
    def name(self) -> str:
        """As tables and `--peers` have it."""
        return f"{self.peer} {self.format}"


VARIANTS = (
    Variant(peer=OURS, format="int4", file="int4.quipu"),
    Variant(peer=OURS, format="int8", file="int8.quipu", models=("nano", "1.1b")),
    *(
        Variant(
            peer="llama.cpp",
            format=kind,
            file=f"{kind}.gguf",
            adapter="run_llama.py",
            group="llama.cpp",
            models=("nano", "1.1b") if kind == "q8_0" else ("nano", "1.1b", "7b"),
        )
        for kind in ("q8_0", "q4_0", "q4_k_m")
    ),
    Variant(
        peer="OpenVINO",
        format="int8",
        file="ov-int8",
        adapter="run_openvino.py",
        group="openvino",
        models=("nano", "1.1b"),
    ),
    Variant(
        peer="OpenVINO",
        format="int4",
        file="ov-int4",
        adapter="run_openvino.py",
        group="openvino",
    ),
    # The rest not at 7B: 8 and 16 bits are no match for 4 there, and the converters of CTranslate2
    # and ONNX Runtime take more than 20 GB of memory.
    Variant(
        peer="CTranslate2",
        format="int8",
        file="ct2-int8",
        adapter="run_ctranslate2.py",
        group="ctranslate2",
        models=("nano", "1.1b"),
    ),
    Variant(
        peer="ONNX Runtime",
        format="int4",
        file="onnx-int4",
        adapter="run_onnx.py",
        group="onnxruntime",
        models=("nano", "1.1b"),
    ),
    Variant(
        peer="transformers",
        format="bf16",
        file="hf",
        adapter="run_transformers.py",
        group="transformers",
        models=("nano", "1.1b"),
    ),
)


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """Where files are made, and with what."""

    work: Path
    environments: Environments
    say: Callable[[str], None]

    def file(self, model: str, variant: Variant) -> Path:
        """What the variant opens."""
        return self.work / model / variant.file

    def make(self, model: str, variant: Variant) -> str | None:
        """Make the file unless it is there; the reason if it cannot be."""
        target = self.file(model, variant)
        if target.exists():
            return None
        self.say(f"making {model} {variant.file}")
        aside = target.with_name("part-" + target.name)
        try:
            self._make(model, variant, aside)
            aside.rename(target)
        except subprocess.CalledProcessError as error:
            lines = (error.stderr or "").strip().splitlines()
            return lines[-1] if lines else f"exit {error.returncode}"
        finally:
            shutil.rmtree(aside, ignore_errors=True)
            aside.unlink(missing_ok=True)
        return None

    def _make(self, model: str, variant: Variant, aside: Path) -> None:
        hf = self._hf(model)
        runs, exports = (
            python_of(self.environments.runs),
            python_of(self.environments.exports),
        )
        if variant.peer == OURS:
            # Rounded, not fitted to text: the weights are random, and the file is as fast.
            rounded = ["--calibrate", "none"] if variant.format == "int4" else []
            _quipu("convert", hf, aside, "--to", "native", "--quantize", variant.format, *rounded)
        elif variant.format == "q8_0":
            _quipu("convert", hf, aside, "--to", "gguf", "--quantize", "q8_0")
        elif variant.peer == "llama.cpp":
            self._requantise(model, hf, aside, variant.format)
        elif variant.peer == "OpenVINO":
            _run([exports, ADAPTERS / "make_openvino.py", hf, aside, variant.format])
        elif variant.peer == "CTranslate2":
            converter: Command = [runs, "-m", "ctranslate2.converters.transformers"]
            options: Command = ["--model", hf, "--output_dir", aside, "--low_cpu_mem_usage"]
            _run([*converter, *options, "--quantization", "int8_float32"])
        elif variant.peer == "ONNX Runtime":
            builder: Command = [runs, "-m", "onnxruntime_genai.models.builder"]
            folders: Command = ["-i", hf, "-o", aside, "-c", self.work / "onnx-cache"]
            # Level 4 computes with 8-bit activations: the fastest.
            extra: Command = ["int4_accuracy_level=4", "int4_block_size=32"]
            kind: Command = ["-p", variant.format, "-e", "cpu"]
            _run([*builder, *folders, *kind, "--extra_options", *extra])
        else:
            raise AssertionError(variant)

    def _hf(self, model: str) -> Path:
        folder = self.work / model / "hf"
        if not folder.exists():
            self.say(f"writing {model}, random weights")
            write_model(model, folder)
        return folder

    def _requantise(self, model: str, hf: Path, aside: Path, kind: str) -> None:
        """From q8_0, by llama.cpp's own quantiser: it mixes formats as its users get them."""
        source = self.work / model / "q8_0.gguf"
        borrowed = source.exists()
        if not borrowed:
            _quipu("convert", hf, source, "--to", "gguf", "--quantize", "q8_0")
        try:
            python = python_of(self.environments.runs)
            _run([python, ADAPTERS / "make_gguf.py", source, aside, kind])
        finally:
            if not borrowed:
                source.unlink(missing_ok=True)


def quipu_command(*arguments: str | Path) -> Command:
    """The command line of the Quipu that runs this script."""
    return [sys.executable, "-m", "quipu.cli.main", *arguments]


def _quipu(*arguments: str | Path) -> None:
    _run(quipu_command(*arguments))


def _run(command: Sequence[str | Path]) -> None:
    subprocess.run(
        command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
