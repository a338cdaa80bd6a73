"""The peers' own virtual environments: one that runs them, one that exports to OpenVINO.

Two, because the exporter wants an older transformers. A peer that cannot be installed is left out
with the reason; the others go on. Packages come by name from whatever index pip is set to.
"""

import json
import os
import subprocess
import sys
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

TORCH = "torch==2.13.0"

# Without AMX: with it this release crashes on machines that have it (segmentation fault).
LLAMA_CMAKE = (
    "-DGGML_NATIVE=ON -DGGML_AMX_TILE=OFF -DGGML_AMX_INT8=OFF -DGGML_AMX_BF16=OFF -DLLAVA_BUILD=OFF"
)
BUILD_JOBS = "2"

PACKAGES: dict[str, tuple[str, ...]] = {
    "transformers": (TORCH, "transformers", "safetensors", "sentencepiece"),
    "llama.cpp": ("--no-binary=llama-cpp-python", "llama-cpp-python"),
    "openvino": ("openvino", "openvino-genai", "openvino-tokenizers"),
    "ctranslate2": ("ctranslate2",),
    "onnxruntime": ("onnxruntime", "onnxruntime-genai", "onnx", "onnx-ir", "requests"),
    "plot": ("matplotlib",),
}
EXPORTER: dict[str, tuple[str, ...]] = {
    "exporter": (
        TORCH,
        "transformers<5.6",
        "optimum",
        "nncf",
        "openvino",
        "openvino-tokenizers",
        "sentencepiece",
        "safetensors",
        "onnx",
        "requests",
        "huggingface-hub<1.22",
    ),
    # Alone: it asks for a torchvision that it does not need here.
    "optimum-intel": ("--no-deps", "optimum-intel"),
}
VERSIONS = (
    "llama-cpp-python",
    "openvino",
    "openvino-genai",
    "ctranslate2",
    "onnxruntime",
    "onnxruntime-genai",
    "transformers",
    "torch",
    "optimum-intel",
    "nncf",
)


@dataclass(frozen=True, kw_only=True)
class Environments:
    """Folders of the two environments."""

    runs: Path
    exports: Path

    @staticmethod
    def at(folder: Path) -> "Environments":
        """The second stands beside the first."""
        return Environments(runs=folder, exports=folder.with_name(folder.name + "-export"))


def python_of(folder: Path) -> Path:
    """The interpreter of an environment."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def install(environments: Environments, say: Callable[[str], None]) -> dict[str, str]:
    """Install what is missing; reasons why a group of packages could not be, by its name."""
    failed: dict[str, str] = {}
    for folder, groups in ((environments.runs, PACKAGES), (environments.exports, EXPORTER)):
        if not python_of(folder).exists():
            say(f"making {folder}")
            venv.create(folder, with_pip=True)
        for name, packages in groups.items():
            mark = folder / f".installed-{name}"
            if not mark.exists():
                say(f"installing {name}")
                reason = _install(folder, packages)
                if reason:
                    failed[name] = reason
                else:
                    mark.touch()
    return failed


def _install(folder: Path, packages: tuple[str, ...]) -> str | None:
    settings = {"CMAKE_ARGS": LLAMA_CMAKE, "CMAKE_BUILD_PARALLEL_LEVEL": BUILD_JOBS}
    done = subprocess.run(
        [python_of(folder), "-m", "pip", "install", "-q", *packages],
        env=os.environ | settings,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
    return (lines or ["pip failed"])[-1] if done.returncode else None


def versions(environments: Environments) -> dict[str, str]:
    """What is installed, by name."""
    code = (
        "import importlib.metadata as m, json, sys; print(json.dumps("
        "{d.metadata['Name']: d.version for d in m.distributions()}))"
    )
    found: dict[str, str] = {"python": sys.version.split()[0]}
    for folder in (environments.exports, environments.runs):
        done = subprocess.run(
            [python_of(folder), "-c", code], capture_output=True, text=True, check=True
        )
        found |= {
            name: version
            for found_name, version in json.loads(done.stdout).items()
            if (name := found_name.lower().replace("_", "-")) in VERSIONS
        }
    return found
