"""Arguments for other people's functions, from types, defaults and names of parameters."""

import ast
import random
from collections.abc import Callable

from quipu.exercises.domains import DRAWS

Draw = Callable[[random.Random], object]
CALLS = 24
_INTS = """
    n m k i j x y z a b num number count size length width height index limit start stop end
    step base year month day hour minute seconds digits places level depth offset total low
    high lo hi position pos bits value integer val amount indent
"""
INTS = frozenset(_INTS.split())
_FLOATS = """
    ratio rate alpha beta angle radius lat lon weight fraction percent
"""
FLOATS = frozenset(_FLOATS.split())
_TEXTS = """
    s string text word name line str title prefix suffix char sep separator delimiter pattern
    key label sentence phrase content message path filename url value_str txt source src msg
"""
TEXTS = frozenset(_TEXTS.split())
_LISTS = """
    items values seq sequence xs ys list lst data numbers nums array arr iterable elements
    points l it vector vec words lines strings names list1 list2 a_list iterable1 collection
"""
LISTS = frozenset(_LISTS.split())
BY_TYPE: dict[str, str] = {
    "int": "natural",
    "float": "number",
    "str": "text",
    "bool": "flag",
    "list": "ints",
    "list[int]": "ints",
    "list[str]": "words",
    "list[float]": "floats",
    "dict": "counts",
    "set": "set",
    "bytes": "bytes",
    "Sequence": "ints",
    "Iterable": "ints",
}


def draws(node: ast.FunctionDef) -> list[list[Draw]]:
    """For every parameter, the domains that its values may come from."""
    arguments = node.args.args
    defaults = [None] * (len(arguments) - len(node.args.defaults)) + list(node.args.defaults)
    return [_draws(a, default) for a, default in zip(arguments, defaults, strict=True)]


def _draws(argument: ast.arg, default: ast.expr | None) -> list[Draw]:
    known: list[str] = []
    if argument.annotation is not None:
        hint = ast.unparse(argument.annotation).replace("List", "list").replace("Optional", "")
        hint = hint.strip("[]") if hint not in BY_TYPE else hint
        known += [BY_TYPE[hint]] if hint in BY_TYPE else []
        head = hint.split("[")[0].split(" |")[0].split(".")[-1]
        known += [BY_TYPE[head]] if not known and head in BY_TYPE else []
    if isinstance(default, ast.Constant) and default.value is not None and not known:
        name = type(default.value).__name__
        constant = default.value
        found: list[Draw] = [lambda _: constant]
        return found + ([DRAWS[BY_TYPE[name]]] if name in BY_TYPE and name != "bytes" else [])
    if not known:
        known = _by_name(argument.arg.lower())
    return [DRAWS[name] if name != "bytes" else _bytes for name in known]


def _by_name(name: str) -> list[str]:
    if name.startswith(("is_", "has_", "use_", "with_", "allow")):
        return ["flag"]
    for known, kinds in (
        (FLOATS, ["number"]),
        (TEXTS, ["text", "snake", "sentence"]),
        (LISTS, ["ints", "words"]),
        (INTS, ["small", "natural"]),
    ):
        if name in known or name.rstrip("s123_") in known or name.rsplit("_", 1)[-1] in known:
            return kinds
    return ["text", "small", "ints", "words"]


def _bytes(r: random.Random) -> object:
    return str(DRAWS["text"](r)).encode()


def calls(node: ast.FunctionDef, r: random.Random) -> list[tuple[str, ...]]:
    """Different arguments, as code."""
    kinds = draws(node)
    required = len(node.args.args) - len(node.args.defaults)
    found: dict[tuple[str, ...], None] = {}
    for _ in range(CALLS * 2):
        count = r.randint(required, len(kinds)) if required else r.randint(1, len(kinds))
        arguments = tuple(repr(r.choice(kind)(r)) for kind in kinds[:count])
        if sum(map(len, arguments)) < 70:
            found.setdefault(arguments)
        if len(found) == CALLS:
            break
    return list(found)
