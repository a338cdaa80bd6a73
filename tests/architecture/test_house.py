"""The house rules of docs/design.md that a machine can hold."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src"
FILES = sorted(SOURCE.rglob("*.py"))

GROUND = {"errors", "config", "request", "jsonl", "log", "counts", "wire", "sentencepiece_proto"}
# What a part of the package may import besides the ground floor and itself.
MAY_IMPORT: dict[str, set[str]] = {
    **{name: set() for name in GROUND},
    "text": set(),
    "checkpoint": set(),
    "sandbox": set(),
    "pages": set(),
    "native": set(),
    "quantise": {"text", "checkpoint", "native"},
    "model": {"native"},
    "data": {"text", "pages"},
    "exercises": {"data", "text"},
    "train": {"model", "data", "checkpoint", "text", "pages"},
    "engine": {"model", "native"},  # runners/torch and runners/native alone, see below
    "backend": {"text", "checkpoint", "engine"},
    "answers": {"backend"},
    "llm": {"text", "backend", "answers"},
    "evals": {"pages", "text", "sandbox", "backend", "llm", "answers"},
    "cli": {
        "text",
        "checkpoint",
        "quantise",
        "data",
        "exercises",
        "evals",
        "sandbox",
        "train",
        "backend",
        "answers",
        "llm",
        "quipu",
    },
    "__main__": {"cli"},
    "quipu": {"llm"},  # the package's own __init__: the public face
}
FORBIDDEN = {"utils", "util", "common", "helpers", "helper", "misc", "base", "manager"}
FILE_LINES, FUNCTION_LINES = 500, 60
# Longer functions, each with its reason.
LONG_FUNCTIONS: dict[str, str] = {}
TORCH_ONLY_IN = ("model/", "train/", "engine/runners/torch")


def _part(module: str) -> str:
    """The part of the package a module belongs to: `text` for `quipu.text.chat`."""
    names = module.split(".")
    return names[1] if len(names) > 1 else names[0]


def _module(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


def _imports(path: Path) -> Iterator[tuple[str, ast.AST]]:
    """Absolute names of every module imported: at the top, lazily, or for types only."""
    known = {_module(file) for file in FILES}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield (full if full in known else str(node.module)), node


@pytest.mark.parametrize("path", FILES, ids=_module)
def test_imports_only_go_down(path):
    module = _module(path)
    if module.startswith("quipu_recipes"):
        return
    part = _part(module)
    allowed = MAY_IMPORT[part] | GROUND | {part}
    for name, node in _imports(path):
        if name.split(".")[0] != "quipu":
            continue
        assert _part(name) in allowed, f"{module} line {node.lineno} imports {name}"
        runner = {"model": "torch", "native": "native"}.get(_part(name))
        if part == "engine" and runner:
            assert module == f"quipu.engine.runners.{runner}"


@pytest.mark.parametrize("path", FILES, ids=_module)
def test_torch_is_imported_only_where_it_may_be(path):
    place = path.relative_to(SOURCE).as_posix()
    if place.startswith("quipu_recipes/") or place.removeprefix("quipu/").startswith(TORCH_ONLY_IN):
        return
    tree = ast.parse(path.read_text())
    lazy = {
        getattr(inner, "lineno", None)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(node)
    }
    for name, node in _imports(path):
        assert name.split(".")[0] != "torch" or node.lineno in lazy, f"{path}: torch at import time"


def test_the_ground_floor_needs_nothing_but_python():
    for path in FILES:
        if _part(_module(path)) in GROUND:
            for name, _ in _imports(path):
                assert name.split(".")[0] in {*sys.stdlib_module_names, "quipu"}, path


def test_no_module_imports_itself_in_a_circle():
    # `quipu/__init__` is every module's parent and imports the face lazily: not a circle.
    graph = {
        _module(path): {name for name, _ in _imports(path) if name.startswith("quipu.")}
        for path in FILES
        if _module(path) != "quipu"
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_no_forbidden_names():
    for path in FILES:
        assert not FORBIDDEN & {*path.relative_to(SOURCE).with_suffix("").parts}, path


@pytest.mark.parametrize("path", FILES, ids=_module)
def test_files_and_functions_stay_small(path):
    text = path.read_text()
    assert len(text.splitlines()) <= FILE_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            name = f"{_module(path)}:{node.name}"
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= FUNCTION_LINES or name in LONG_FUNCTIONS, f"{name}: {length} lines"


def test_public_names_have_docstrings():
    for path in FILES:
        tree = ast.parse(path.read_text())
        assert ast.get_docstring(tree) or not tree.body, f"{path}: module docstring"
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{path}: {node.name}"


def test_classes_have_at_most_one_ancestor_of_ours():
    ours = {
        node.name: node
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    }
    for name, node in ours.items():
        if name.endswith(("Error", "Long")):
            continue  # the exception tree is a tree
        parents = [ours[b.id] for b in node.bases if isinstance(b, ast.Name) and b.id in ours]
        assert not any(
            isinstance(b, ast.Name) and b.id in ours for parent in parents for b in parent.bases
        ), name


def test_importing_the_package_and_asking_for_help_needs_no_torch():
    code = (
        "import sys, quipu; from quipu.cli.main import parser; parser().format_help();"
        "bad = {'torch', 'transformers'} & set(sys.modules); sys.exit(str(bad) if bad else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(SOURCE)})
