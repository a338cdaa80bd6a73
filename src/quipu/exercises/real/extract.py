"""Standalone functions: a documented function with what it needs of its own file."""

import ast
import builtins
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from quipu.exercises.worker import PURE

HELPERS = 5  # functions of the same file that come along
LONGEST = 60  # lines of a function
KNOWN = frozenset(dir(builtins)) - {"open", "exec", "eval", "compile", "input", "print", "id"}
IMPURE = frozenset(("sys", "time", "locale", "_strptime"))
VERB = re.compile(r"^[A-Z][a-z]+(s|es)?\b")
_NOT_VERBS = """
    The A An This That These If When For From Is Are It In On Of To With See Not No Note Same
    Helper Utility Internal Deprecated Like Class Function Method Wrapper Alias Todo
"""
NOT_VERBS = frozenset(_NOT_VERBS.split())
FIELDS = re.compile(r"^\s*(:\w+|@\w+|Args|Arguments|Parameters|Returns|Raises|Example|>>>)", re.M)


@dataclass(frozen=True, kw_only=True)
class Module:
    """What a file defines at its top."""

    text: str
    functions: dict[str, ast.FunctionDef]
    imports: dict[str, tuple[str, str]]  # name bound: (module, line that binds it alone)
    constants: dict[str, str]
    names: set[str]  # all that it binds, imports apart

    def source(self, node: ast.FunctionDef) -> str:
        """The lines of a function, decorators included."""
        first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        return "\n".join(self.text.splitlines()[first - 1 : node.end_lineno])


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A function that runs alone, with its docstring."""

    name: str
    node: ast.FunctionDef
    source: str  # of the function
    before: str  # imports, constants and helpers
    docstring: str
    helpers: tuple[str, ...]

    @property
    def code(self) -> str:
        """The whole module."""
        return f"{self.before}\n\n\n{self.source}\n" if self.before else f"{self.source}\n"


@dataclass
class _Needs:
    """What a function was found to need."""

    imports: set[str] = field(default_factory=set)
    constants: dict[str, str] = field(default_factory=dict)
    helpers: list[str] = field(default_factory=list)


def module(text: str) -> Module | None:
    """The top of a file; None where it does not parse."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None
    found = Module(text=text, functions={}, imports={}, constants={}, names=_bound(tree))
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            found.functions[node.name] = node
        elif isinstance(node, ast.Import):
            for alias in node.names:
                bound = alias.asname or alias.name.split(".")[0]
                line = f"import {alias.name}" + (f" as {alias.asname}" if alias.asname else "")
                found.imports[bound] = (alias.name, line)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                line = f"from {'.' * node.level}{node.module or ''} import {alias.name}"
                line += f" as {alias.asname}" if alias.asname else ""
                name = "." * node.level + (node.module or "")
                found.imports[alias.asname or alias.name] = (name, line)
        elif isinstance(node, ast.Assign) and len(node.targets) == 1:
            target = node.targets[0]
            source = ast.get_source_segment(text, node) or ""
            if isinstance(target, ast.Name) and len(source) < 600 and _literal(node.value):
                found.constants[target.id] = source
    return found


def _bound(tree: ast.Module) -> set[str]:
    """Names of functions, classes and variables at the top of a file."""
    names = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


def _literal(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
    return True


def candidates(found: Module) -> Iterator[Candidate | str]:
    """Functions of a file that suit, and reasons why documented others do not."""
    for name, node in found.functions.items():
        docstring = ast.get_docstring(node)
        if docstring is None or name.startswith("_"):
            continue
        reason = unfit(node, docstring)
        if reason is not None:
            yield reason
            continue
        needs = _Needs()
        reason = _collect(found, name, needs)
        yield reason if reason is not None else _candidate(found, name, docstring, needs)


def unfit(node: ast.FunctionDef, docstring: str, decorated: bool = False) -> str | None:
    """Why a documented function makes no exercise; None if it may."""
    arguments = node.args
    if arguments.vararg or arguments.kwarg or arguments.kwonlyargs or arguments.posonlyargs:
        return "function: open arguments"
    if not arguments.args or len(arguments.args) > 5:
        return "function: arguments"
    if node.decorator_list and not decorated:
        return "function: decorated"
    if (node.end_lineno or 0) - node.lineno > LONGEST:
        return "function: long"
    inner = list(ast.walk(node))
    if any(isinstance(n, ast.Yield | ast.YieldFrom | ast.Global | ast.Await) for n in inner):
        return "function: generator"
    if not any(isinstance(n, ast.Return) and n.value is not None for n in inner):
        return "function: returns nothing"
    return misaligned(docstring, [argument.arg for argument in arguments.args])


def misaligned(docstring: str, arguments: list[str]) -> str | None:
    """Why a docstring does not tell what the function does; None if it seems to."""
    first = " ".join(docstring.split("\n\n")[0].split())
    if not 20 <= len(first) <= 400 or len(docstring) > 1500 or not docstring.isascii():
        return "docstring: length"
    word = first.split()[0].strip(".,:")
    if not VERB.match(first) or word in NOT_VERBS:
        return "docstring: no verb first"
    mentioned = sum(bool(re.search(rf"\b{re.escape(name)}\b", docstring)) for name in arguments)
    needed = 1 if FIELDS.search(docstring) or len(arguments) > 1 else 0
    if len(arguments) == 1:
        kinds = r"\b(list|string|text|number|integer|value|sequence|word|name|path|dict|line|given)"
        return None if mentioned or re.search(kinds, docstring) else "docstring: no parameter"
    return None if mentioned >= needed else "docstring: no parameter"


def _collect(found: Module, name: str, needs: _Needs) -> str | None:
    """Gather what a function needs; the reason why it cannot stand alone."""
    for used in sorted(free_names(found.functions[name])):
        if used in found.functions:
            if used == name or used in needs.helpers:
                continue
            needs.helpers.append(used)
            if len(needs.helpers) > HELPERS:
                return "function: many helpers"
            reason = _collect(found, used, needs)
            if reason is not None:
                return reason
        elif used in found.imports:
            origin, line = found.imports[used]
            if origin.split(".")[0] not in PURE - IMPURE:
                return "function: imports"
            needs.imports.add(line)
        elif used in found.constants:
            needs.constants[used] = found.constants[used]
        elif used not in KNOWN:
            return "function: not standalone"
    return None


def free_names(node: ast.FunctionDef) -> set[str]:
    """Names that a function uses and does not bind anywhere in itself."""
    loaded: set[str] = set()
    bound: set[str] = set()
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name):
            (loaded if isinstance(inner.ctx, ast.Load) else bound).add(inner.id)
        elif isinstance(inner, ast.arg):
            bound.add(inner.arg)
        elif isinstance(inner, ast.ExceptHandler):
            bound |= {inner.name} if inner.name else set()
        elif isinstance(inner, ast.FunctionDef | ast.ClassDef) and inner is not node:
            bound.add(inner.name)
        elif isinstance(inner, ast.Import | ast.ImportFrom):
            loaded.add("import inside")
    return loaded - bound


def imports_of(lines: Iterable[str]) -> str:
    """Lines that import, sorted, with one line for each module that names come from."""
    plain = sorted({line for line in lines if line.startswith("import ")})
    names: dict[str, list[str]] = {}
    for line in sorted(set(lines) - set(plain)):
        head, _, name = line.partition(" import ")
        names.setdefault(head, []).append(name)
    rest = sorted(names, key=lambda head: (not head.startswith("from __future__"), head))
    together = [f"{head} import {', '.join(names[head])}" for head in rest]
    future = [line for line in together if line.startswith("from __future__")]
    return "\n".join([*future, *plain, *together[len(future) :]])


def _candidate(found: Module, name: str, docstring: str, needs: _Needs) -> Candidate:
    helpers = [found.source(found.functions[helper]) for helper in reversed(needs.helpers)]
    heads = [imports_of(needs.imports)] if needs.imports else []
    constants = ["\n".join(needs.constants[key] for key in sorted(needs.constants))]
    before = [*heads, *(constants if needs.constants else []), *helpers]
    node = found.functions[name]
    return Candidate(
        name=name,
        node=node,
        source=found.source(node),
        before="\n\n\n".join(before),
        docstring=docstring,
        helpers=tuple(needs.helpers),
    )
