"""Python functions as shapes: what is left when names, constants and documentation are changed.

Two functions have one shape when a consistent renaming of their parameters and variables and
other constants make one of the other. What they call and which attributes they use still counts.
"""

import ast
import hashlib
from collections.abc import Iterator, Sequence

from quipu.data.steps.syntax import Function, documented

LEAST_SIZE = 30  # parts of a shape; smaller functions are everybody's
_SKIPPED = frozenset(
    (
        *("name", "decorator_list", "returns", "annotation", "type_comment", "type_params"),
        *("type_ignores", "ctx", "kind", "simple"),
    )
)


def frame(function: Function) -> int:
    """Number of parameters and kinds of the outer statements: equal for equal shapes, and cheap."""
    outer = ",".join(type(node).__name__ for node in _body(function))
    return _hash(f"frame {parameters(function)} {outer}")


def shape(function: Function) -> tuple[int, int]:
    """Hash and size of a function's shape."""
    local = _local_names(function)
    parts = list(_parts(function, local))
    return _hash(" ".join(parts)), len(parts)


def signature(function: Function) -> int:
    """Hash of a function's name and number of parameters."""
    return _hash(f"signature {function.name} {parameters(function)}")


def parameters(function: Function) -> int:
    """How many parameters a function has, `self` not counted."""
    every = function.args.posonlyargs + function.args.args
    own = every[1:] if every and every[0].arg in ("self", "cls") else every
    return len(own) + len(function.args.kwonlyargs)


def _hash(text: str) -> int:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _body(function: Function) -> Sequence[ast.stmt]:
    return function.body[1:] if documented(function) else function.body


def _local_names(function: Function) -> dict[str, str]:
    """A number for every name that the function itself binds, in order of appearance."""
    bound: dict[str, str] = {}
    for node in ast.walk(function):
        name = None
        if isinstance(node, ast.arg):
            name = node.arg
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            name = node.id
        elif isinstance(node, Function | ast.ExceptHandler):
            name = node.name
        if name is not None:
            bound.setdefault(name, f"v{len(bound)}")
    return bound


def _parts(root: Function, local: dict[str, str]) -> Iterator[str]:
    """The shape as a sequence, parents before children; a stack, since trees can be deep."""
    stack: list[object] = [*reversed(_body(root)), root.args]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Constant):
            yield f"c{type(node.value).__name__}"
        elif isinstance(node, ast.Name):
            yield local.get(node.id, node.id)
        elif isinstance(node, ast.arg):
            yield local[node.arg]
        elif isinstance(node, ast.AST):
            yield type(node).__name__
            stack += reversed(list(_children(node)))
        elif isinstance(node, str):
            yield node


def _children(node: ast.AST) -> Iterator[object]:
    for name, value in ast.iter_fields(node):
        if name in _SKIPPED and not (name == "name" and isinstance(node, ast.alias)):
            continue
        if name == "body" and isinstance(node, Function | ast.ClassDef):
            yield from node.body[1:] if documented(node) else node.body
        elif isinstance(value, list):
            yield from value
            yield "end"
        elif isinstance(value, ast.AST | str):
            yield value
