"""Whether a Python program is so plain that it may run in one process with its tests.

A list of what is allowed: the usual builtins, functions of a few modules, classes without operators
of their own. Such a program has no way to frames, to files, to text that is run, to the class of
classes, and cannot change what a name of the tests means; it makes no object that lies about being
equal. Whatever does more may be as honest, and runs apart from its tests (`apart`), which costs
more.
"""

import ast
import builtins
import importlib
import re
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from types import ModuleType
from typing import Any, ClassVar, NamedTuple

# fmt: off
_NAMES = frozenset((
    "abs", "all", "any", "ascii", "bin", "bool", "bytearray", "bytes", "callable", "chr",
    "classmethod", "complex", "dict", "divmod", "enumerate", "filter", "float", "format",
    "frozenset", "hasattr", "hash", "hex", "id", "int", "isinstance", "issubclass", "iter", "len",
    "list", "map", "max", "min", "next", "object", "oct", "ord", "pow", "print", "property",
    "range", "repr", "reversed", "round", "set", "slice", "sorted", "staticmethod", "str", "sum",
    "super", "tuple", "zip", "NotImplemented", "__name__",
))
# fmt: on
_EXCEPTIONS = frozenset(
    name
    for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, Exception)
)
_BUILTINS = frozenset(vars(builtins))
_ALL = "*"  # every function of the module
_MODULES = {
    "bisect": _ALL,
    "cmath": _ALL,
    "collections": "Counter OrderedDict defaultdict deque namedtuple",
    "copy": "copy deepcopy",
    "datetime": "date datetime time timedelta timezone",
    "decimal": "Decimal ROUND_CEILING ROUND_DOWN ROUND_FLOOR ROUND_HALF_DOWN ROUND_HALF_EVEN"
    " ROUND_HALF_UP ROUND_UP",
    "fractions": "Fraction",
    "functools": "cache cmp_to_key lru_cache partial reduce",
    "hashlib": "md5 sha1 sha256 sha512",
    "heapq": _ALL,
    "itertools": _ALL,
    "math": _ALL,
    "operator": "add and_ concat eq floordiv ge gt itemgetter le lt mod mul ne neg not_ or_ pow sub"
    " truediv xor",
    "random": "Random choice choices randint random randrange sample seed shuffle uniform",
    "re": "A ASCII DOTALL I IGNORECASE M MULTILINE S VERBOSE X compile escape findall finditer"
    " fullmatch match search split sub subn",
    "statistics": "mean median mode pstdev pvariance stdev variance",
    "string": "ascii_letters ascii_lowercase ascii_uppercase digits hexdigits octdigits printable"
    " punctuation whitespace",
    "sys": "maxsize setrecursionlimit",
    "typing": "Any Callable Counter DefaultDict Deque Dict FrozenSet Generator Iterable Iterator"
    " List Mapping Optional Sequence Set Tuple Union",
}
_LONGEST = 50_000  # characters
_METHODS = frozenset(("__init__", "__repr__", "__str__"))
_FRAMES = ("gi_", "cr_", "ag_", "tb_", "f_", "co_")  # attributes that lead to frames and code
_LOOKS_UP = re.compile(
    r"\{[^{}:]*[.\[]"
)  # a field of str.format that names an attribute or an item
_INNER = frozenset((
    ast.FunctionDef, ast.Lambda, ast.ClassDef,
    ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp,
))  # fmt: skip
# Those with `finally` too: the compiler copies such blocks, one within the other without bound.
_REFUSED = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith, ast.Match)

_LEAVES = (ast.expr_context, ast.operator, ast.unaryop, ast.cmpop, ast.boolop, ast.Constant)
# Fields that can hold more than leaves, names and numbers, of all nodes but leaves.
_FIELDS = {
    kind: tuple(name for name in kind._fields if name not in ("ctx", "op", "ops", "id", "attr"))
    for kind in vars(ast).values()
    if isinstance(kind, type) and issubclass(kind, ast.AST) and not issubclass(kind, _LEAVES)
}


class Plain(NamedTuple):
    """A plain program as it was read."""

    tree: ast.Module
    modules: frozenset[str]  # that it imports


def plain(program: str, rest: str = "") -> Plain | None:
    """What was read, if the program may run in one process with its tests; nothing of it runs.

    Of the two together with the `rest` of its file, which is read by itself: what the program
    leaves open could swallow a part of it.
    """
    if len(program) + len(rest) > _LONGEST:
        return None
    try:
        tree = ast.parse(program)
        if rest:
            _need((program.endswith("\n") or rest.startswith("\n")) and "\r" not in program)
            tree.body += ast.parse("\n" * program.count("\n") + rest).body
        return Plain(tree, _Reading(tree, imports="import" in program or "import" in rest).imported)
    except (_NotPlainError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None


@lru_cache
def offered(module: str) -> frozenset[str]:
    """Names that a plain program can have of one of those modules."""
    if _MODULES[module] != _ALL:
        return frozenset(_MODULES[module].split())
    found = vars(importlib.import_module(module)).items()
    return frozenset(n for n, value in found if n[0] != "_" and not isinstance(value, ModuleType))


class _NotPlainError(Exception):
    """Something else than what is allowed."""


def _need(holds: object) -> None:
    if not holds:
        raise _NotPlainError


class _Reading:
    """One program, read from its first statement to its last. Raises _NotPlainError."""

    def __init__(self, tree: ast.Module, *, imports: bool) -> None:
        self._modules: dict[str, str] = {}  # modules by the names that they have here
        self._names: set[str] = set()  # of what came out of modules
        self._used: set[str] = set()  # modules
        self._defined: set[str] = set()  # functions and classes of the module
        self._bound: list[str] = []  # names that the module binds, as often as it does
        self._compared: set[int] = set()  # nodes `type` that stand in a comparison
        for node in _statements(tree) if imports else ():
            if isinstance(node, ast.Import):
                self._import(node)
            elif isinstance(node, ast.ImportFrom):
                self._import_from(node)
        self._read(tree, inner=False)
        # A second meaning of a function may be meant for the tests.
        again = [name for name in self._bound if name in self._defined]
        _need(len(again) == len(set(again)))
        _need(not self._modules.keys() & set(self._bound))
        self.imported = frozenset(self._used)

    def _read(self, node: ast.AST, *, inner: bool) -> None:
        kind = type(node)
        check = self._CHECKS.get(kind)
        if check is not None:
            check(self, node, inner)
        if isinstance(node, ast.Attribute) and self._module_of(node):
            return
        below = inner or kind in _INNER
        for name in _FIELDS[kind]:
            value: Any = getattr(node, name, None)
            for child in value if type(value) is list else (value,):
                if type(child) in _FIELDS:
                    self._read(child, inner=below)

    def _bind(self, name: str, inner: bool = False) -> None:
        if not inner:
            _need(name not in _BUILTINS and name not in sys.stdlib_module_names)
            self._bound.append(name)

    def _refuse(self, _node: ast.AST, _inner: bool) -> None:
        raise _NotPlainError

    def _name(self, node: ast.Name, inner: bool) -> None:
        name = node.id
        _need(name not in self._modules)  # it may stand before a dot only
        _need(name == "__name__" or not name.startswith("__"))
        if not isinstance(node.ctx, ast.Load):
            self._bind(name, inner)
        elif name in _BUILTINS:
            _need(name in _NAMES or name in _EXCEPTIONS or id(node) in self._compared)

    def _definition(self, node: ast.FunctionDef | ast.ClassDef, inner: bool) -> None:
        _need(node.name in _METHODS or not node.name.startswith("__"))
        self._bind(node.name, inner)
        if not inner:
            self._defined.add(node.name)
        if isinstance(node, ast.ClassDef):
            _need(not node.keywords and not node.decorator_list)
            _need(all(isinstance(base, ast.Name) for base in node.bases))

    def _argument(self, node: ast.arg, _inner: bool) -> None:
        _need(node.arg not in self._modules and not node.arg.startswith("__"))

    def _attribute(self, node: ast.Attribute, _inner: bool) -> None:
        name = node.attr
        module = self._module_of(node)
        if module:
            _need(isinstance(node.ctx, ast.Load) and name in offered(module))
            return
        _need(name == "__init__" or not name.startswith("_"))
        _need(not name.startswith(_FRAMES) and name != "format_map")
        if name == "format":  # text that is made up could name any attribute
            text = node.value.value if isinstance(node.value, ast.Constant) else None
            _need(isinstance(text, str) and not _LOOKS_UP.search(text))
        if not isinstance(node.ctx, ast.Load):
            _need(_root(node) not in self._names and _root(node) not in self._modules)
        # Classes of modules keep what is registered with them.
        _need(name != "register" or not self._used)

    def _compare(self, node: ast.Compare, _inner: bool) -> None:
        """`type(x)` may be compared: called, what it gives makes classes."""
        for side in (node.left, *node.comparators):
            match side:
                case ast.Call(func=ast.Name(id="type"), args=[_], keywords=[]):
                    self._compared.add(id(side.func))

    def _global(self, node: ast.Global, _inner: bool) -> None:
        for name in node.names:
            self._bind(name)

    def _named(self, node: ast.NamedExpr, _inner: bool) -> None:
        self._bind(node.target.id)

    def _handler(self, node: ast.ExceptHandler, inner: bool) -> None:
        if node.name:
            _need(node.name not in self._modules)
            self._bind(node.name, inner)

    def _try(self, node: ast.Try | ast.TryStar, _inner: bool) -> None:
        _need(not node.finalbody)

    def _module_of(self, node: ast.Attribute) -> str:
        """The module that an attribute is one of; empty if it is of something else."""
        return self._modules.get(node.value.id, "") if isinstance(node.value, ast.Name) else ""

    def _import(self, node: ast.Import) -> None:
        for alias in node.names:
            name = alias.asname or alias.name
            _need(alias.name in _MODULES)
            self._used.add(alias.name)
            _need(self._modules.setdefault(name, alias.name) == alias.name)
            _need(name == alias.name or name not in _BUILTINS | sys.stdlib_module_names)

    def _import_from(self, node: ast.ImportFrom) -> None:
        module = str(node.module)
        _need(node.level == 0 and module in _MODULES)
        self._used.add(module)
        for alias in node.names:
            if alias.name == "*":
                _need(_MODULES[module] == _ALL or module in ("typing", "collections"))
                continue
            name = alias.asname or alias.name
            _need(alias.name in offered(module))
            _need(name == alias.name or name not in _BUILTINS | sys.stdlib_module_names)
            self._names.add(name)

    _CHECKS: ClassVar[dict[type[ast.AST], Callable[["_Reading", Any, bool], None]]] = {
        ast.Name: _name,
        ast.Attribute: _attribute,
        ast.FunctionDef: _definition,
        ast.ClassDef: _definition,
        ast.arg: _argument,
        ast.Compare: _compare,
        ast.Global: _global,
        ast.NamedExpr: _named,
        ast.ExceptHandler: _handler,
        ast.Try: _try,
        ast.TryStar: _try,
        **dict.fromkeys(_REFUSED, _refuse),
    }


def _statements(tree: ast.Module) -> Iterator[ast.AST]:
    """All statements of a program."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        for name in ("body", "handlers", "orelse"):  # `finally` and `match` are refused
            below = getattr(node, name, ())
            if type(below) is list:  # a conditional expression has no lists
                yield from below
                waiting += below


def _root(node: ast.expr) -> str:
    """The name that a chain of attributes and items begins with."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""
