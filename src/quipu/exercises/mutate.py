"""Small faults in programs, as people make them: a wrong comparison, one off, a missing not."""

import ast
import random
from collections.abc import Iterator

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.FloorDiv: ast.Mod,
    ast.Mod: ast.FloorDiv,
}
NAMES = {"max": "min", "min": "max", "any": "all", "all": "any", "append": "extend"}


def _change(node: ast.AST) -> Iterator[tuple[int, int, str, str]]:
    """Replacements in a node: line, column, old text of an operator, new text."""
    if isinstance(node, ast.Constant) and type(node.value) is int:
        for other in (node.value + 1, node.value - 1):
            if other >= 0:
                yield node.lineno, node.col_offset, str(node.value), str(other)
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield node.lineno, node.col_offset, str(node.value), str(not node.value)
    if isinstance(node, ast.Name) and node.id in NAMES:
        yield node.lineno, node.col_offset, node.id, NAMES[node.id]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node.lineno, node.col_offset, "not ", ""


def _operator(text: str, node: ast.AST) -> Iterator[tuple[int, int, str, str]]:
    """Replacements of an operator between two operands on one line."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        left, right, kind = node.left, node.comparators[0], type(node.ops[0])
        new = COMPARISONS.get(kind)
        pair = (_SIGNS[kind], _SIGNS[new]) if new else None
    elif isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        left, right = node.left, node.right
        pair = (_SIGNS[type(node.op)], _SIGNS[OPERATORS[type(node.op)]])
    elif isinstance(node, ast.AugAssign) and type(node.op) in OPERATORS:
        left, right = node.target, node.value
        pair = (_SIGNS[type(node.op)] + "=", _SIGNS[OPERATORS[type(node.op)]] + "=")
    else:
        return
    if pair is None or left.end_lineno != right.lineno:
        return
    line = text.splitlines()[right.lineno - 1]
    start, end = left.end_col_offset or 0, right.col_offset
    column = line.find(pair[0], start, end)
    if column >= 0:
        yield right.lineno, column, *pair


_SIGNS: dict[type[ast.AST], str] = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.In: "in",
    ast.NotIn: "not in",
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.FloorDiv: "//",
    ast.Mod: "%",
}


def faults(code: str, r: random.Random, count: int) -> list[str]:
    """Up to so many programs with one fault each; they parse, and differ from the code."""
    if not code.isascii():
        return []  # columns of the tree count bytes
    lines = code.splitlines(keepends=True)
    changes = [
        change
        for node in ast.walk(ast.parse(code))
        for change in (*_change(node), *_operator(code, node))
    ]
    found = []
    for line, column, old, new in r.sample(changes, min(count, len(changes))):
        text = lines[line - 1]
        if not text.startswith(old, column):
            continue
        changed = text[:column] + new + text[column + len(old) :]
        candidate = "".join([*lines[: line - 1], changed, *lines[line:]])
        try:
            ast.parse(candidate)
        except SyntaxError:
            continue
        found.append(candidate)
    return found
