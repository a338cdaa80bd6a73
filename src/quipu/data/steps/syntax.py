"""Python documents as trees: each text is parsed once, however many steps want its tree."""

import ast
import gc
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from quipu.data.documents import Document
from quipu.data.steps.subject import is_python

LARGEST = 2_000_000  # characters; a tree takes some hundred times the memory of its text
_BLOCKS = ("body", "orelse", "handlers", "finalbody", "cases")

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, kw_only=True)
class Parsed:
    """The tree of a text, or why there is none."""

    tree: ast.Module | None
    trouble: str = ""


@lru_cache(maxsize=2)  # a text, and what it was before a map changed it
def parsed(text: str) -> Parsed:
    """The tree of a Python text. Never raises."""
    if len(text) > LARGEST:
        return Parsed(tree=None, trouble="too large")
    # A tree has no cycles; looking for some while it grows takes a third of the time.
    collecting = gc.isenabled()
    gc.disable()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in other people's strings
            return Parsed(tree=ast.parse(text))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return Parsed(tree=None, trouble=type(error).__name__)
    finally:
        if collecting:
            gc.enable()


def documented(node: ast.Module | ast.ClassDef | Function) -> bool:
    """Whether a docstring comes first."""
    first = node.body[0] if node.body else None
    return (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    )


def statements(tree: ast.AST) -> Iterator[ast.AST]:
    """Every statement below a node, handlers and cases too, in order; no expressions."""
    stack = [iter([tree])]
    while stack:
        node = next(stack[-1], None)
        if node is None:
            stack.pop()
            continue
        if node is not tree:
            yield node
        blocks = (getattr(node, name, None) for name in _BLOCKS)
        stack.append(
            iter([child for block in blocks if isinstance(block, list) for child in block])
        )


@lru_cache(maxsize=2)
def functions(text: str) -> tuple[Function, ...]:
    """Every function of a Python text, nested ones and methods too; none if it has no tree."""
    tree = parsed(text).tree
    if tree is None:
        return ()
    return tuple(node for node in statements(tree) if isinstance(node, Function))


@dataclass(frozen=True, kw_only=True)
class Parses:
    """Drops Python that Python cannot parse; other languages pass."""

    def __call__(self, document: Document) -> str | None:
        if not is_python(document):
            return None
        trouble = parsed(document.text).trouble
        return f"parses: {trouble}" if trouble else None
