"""The order of a package's files in which each comes after those that it imports."""

import ast
import heapq
import re
import warnings
from collections.abc import Mapping, Sequence

# Statements at the margin: those further in are often there to break a circle.
_STATEMENT = re.compile(
    r"^(?:import[ \t]+[\w., \t]+|from[ \t]+[\w.]+[ \t]+import[ \t]*(?:\([^()]*\)|[^\n(]*))",
    re.MULTILINE,
)


def imports_of(text: str) -> list[str]:
    """Names in the import statements at the margin, sorted: `a.b` for `import a.b`.

    `from a import b` gives `a` and `a.b`, since b may be a module; relative ones keep their dots.
    """
    found: set[str] = set()
    for statement in _STATEMENT.findall(text):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                (node,) = ast.parse(statement).body
        except (SyntaxError, ValueError):
            continue  # prose in a docstring, or Python 2
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = "." * node.level + (node.module or "")
            found.add(start)
            glue = "" if start.endswith(".") else "."
            found.update(f"{start}{glue}{alias.name}" for alias in node.names)
    return sorted(found)


def import_order(files: Mapping[str, Sequence[str]]) -> list[str]:
    """Paths such that a file comes after what it imports; else by path.

    `files`: path -> names as `imports_of` gives them. In a circle the file goes first that waits
    for the fewest others, then by path.
    """
    modules = _modules(files)
    needs = {path: _needed(path, names, modules) for path, names in files.items()}
    needed_by: dict[str, list[str]] = {path: [] for path in files}
    for path, targets in needs.items():
        for target in targets:
            needed_by[target].append(path)
    waits = {path: len(targets) for path, targets in needs.items()}
    heap = [(count, path) for path, count in waits.items()]
    heapq.heapify(heap)
    order: list[str] = []
    placed: set[str] = set()
    while heap:
        count, path = heapq.heappop(heap)
        if path in placed or count != waits[path]:
            continue  # an older entry of the same file
        placed.add(path)
        order.append(path)
        for other in needed_by[path]:
            if other not in placed:
                waits[other] -= 1
                heapq.heappush(heap, (waits[other], other))
    return order


def _modules(files: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Dotted name -> path. A file is known by every end of its folders: where the package's root
    lies inside an archive is not known. Of two files with one name the shorter path has it."""
    found: dict[str, str] = {}
    for path in sorted(files, key=lambda p: (p.count("/"), p)):
        names = path.removesuffix(".py").split("/")
        if names[-1] == "__init__":
            names.pop()
        for start in range(len(names)):
            found.setdefault(".".join(names[start:]), path)
    return found


def _needed(path: str, names: Sequence[str], modules: Mapping[str, str]) -> set[str]:
    folder = path.split("/")[:-1]
    found: set[str] = set()
    for name in names:
        level = len(name) - len(name.lstrip("."))
        if level:
            above = folder[: len(folder) - level + 1]
            target = modules.get(".".join([*above, *filter(None, [name[level:]])]))
        else:
            target = modules.get(name)
        if target is not None and target != path:
            found.add(target)
    return found
