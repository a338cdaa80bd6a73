"""A composition as code: chained statements, nested expressions or functions of its own."""

import ast
import builtins
import random
import re
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass

from quipu.exercises.compose import Composition, Link
from quipu.exercises.steps import GRAMMAR, SLOT, is_expression, returns

POOLS: dict[str, tuple[str, ...]] = {
    "i": ("i", "i", "index", "idx", "position"),
    "j": ("j", "k", "other"),
    "total": ("total", "total", "result", "acc", "running"),
    "count": ("count", "count", "found", "tally"),
    "best": ("best", "best", "longest", "top"),
    "out": ("result", "result", "output", "answer", "found"),
    "length": ("length", "current", "streak"),
    "seen": ("seen", "seen", "visited", "known"),
    "key": ("key", "label", "group"),
    "groups": ("groups", "grouped", "by_key"),
    "counts": ("counts", "tally", "frequency"),
    "table": ("table", "lookup", "mapping"),
    "stack": ("stack", "stack", "pending"),
    "left": ("left", "low", "lo"),
    "right": ("right", "high", "hi"),
    "found": ("found", "seen_one"),
    "record": ("best_score", "record", "top_score"),
    "score": ("score", "rank", "weight_of_it"),
    "current": ("current", "current", "cur"),
    "previous": ("previous", "prev", "last"),
    "row": ("row", "row", "line"),
    "queue": ("queue", "queue", "pending"),
    "rest": ("rest", "remaining", "n_left"),
    "digit": ("digit", "d", "digit"),
}
ITEMS = {
    "ints": "number value n x num",
    "words": "word item text name s",
    "text": "char c ch letter",
    "grid": "row",
    "groups": "group part",
    "pairs": "pair entry",
    "intervals": "interval span",
}
MODULES = re.compile(
    r"\b(bisect|collections|datetime|functools|heapq|itertools|math|operator|re|statistics|string)\."
    r"([A-Za-z_]\w*)"
)
LONGEST = 92
BUILTINS = frozenset(dir(builtins))
KEYWORDS = {"in", "is", "if", "for", "not", "and", "or", "len", "sum", "min", "max", "list"}


@dataclass(frozen=True, kw_only=True)
class Code:
    """A program: imports, functions it needs, and the one that is asked for (without docstring)."""

    imports: tuple[str, ...]
    before: tuple[str, ...]
    signature: str
    body: str

    def text(self, docstring: str = "") -> str:
        """The whole module."""
        inner = textwrap.indent(docstring + self.body, "    ")
        main = f"{self.signature}\n{inner}\n"
        blocks = [block.rstrip() + "\n" for block in (*self.before, main)]
        head = "".join(f"{line}\n" for line in self.imports)
        return (head + "\n\n" if head else "") + "\n\n".join(blocks)


@dataclass(frozen=True, kw_only=True)
class Style:
    """How to write: hints or none, one name for each step or nested, which steps apart."""

    hints: str = "new"  # none, new, typing
    nested: bool = True
    helpers: bool = False
    comments: bool = False
    short_imports: bool = False

    @staticmethod
    def draw(r: random.Random) -> "Style":
        """A style by chance."""
        return Style(
            hints=r.choices(("none", "new", "typing"), (45, 42, 13))[0],
            nested=r.random() < 0.45,
            helpers=r.random() < 0.18,
            comments=r.random() < 0.15,
            short_imports=r.random() < 0.5,
        )


def fill(template: str, names: dict[str, str]) -> str:
    """Put names into a template; all of them must be there."""
    return SLOT.sub(lambda match: names[match[1]], template)


class _Scope:
    """Names in use while a function is written."""

    def __init__(self, taken: Iterable[str], r: random.Random) -> None:
        self.taken = set(taken) | KEYWORDS
        self.r = r

    def name(self, pool: Iterable[str], keep: bool = False) -> str:
        """A free name from a pool; `keep` reserves it for the rest of the function."""
        known = list(pool)
        free = [name for name in known if name not in self.taken]
        chosen = self.r.choice(free) if free else self._numbered(known[0])
        if keep:
            self.taken.add(chosen)
        return chosen

    def _numbered(self, name: str) -> str:
        return next(f"{name}{i}" for i in range(2, 99) if f"{name}{i}" not in self.taken)


class Renderer:
    """Writes one composition; `choices` of ways are drawn unless given."""

    def __init__(self, composition: Composition, name: str, style: Style, r: random.Random) -> None:
        self.composition, self.name, self.style, self.r = composition, name, style, r
        self.before: list[str] = []
        arguments = [bound.argument for bound in composition.arguments]
        self.parameters = [composition.noun.whole, *arguments]
        self.scope = _Scope([name, composition.noun.whole, *arguments], r)
        self.helper_names: set[str] = {name}

    def render(self, ways: tuple[int, ...] | None = None, notes: tuple[str, ...] = ()) -> Code:
        """Code; `ways` says which way each step is written."""
        body: list[str] = []
        x = self.composition.noun.whole
        last = len(self.composition.links) - 1
        for number, link in enumerate(self.composition.links):
            known = link.step.ways
            way = known[ways[number]] if ways else self.r.choice(known)
            if self.style.comments and notes:
                body.append(f"# {notes[number]}")
            x = self._step(body, link, way, x, number, final=number == last)
        if x:
            body.append(f"return {_bare(x)}")
        return self._code("\n".join(body))

    def _code(self, body: str) -> Code:
        text, blocks, imports = body, self.before, set()
        every = "\n".join([body, *blocks])
        for module, attribute in sorted(set(MODULES.findall(every))):
            short = self.style.short_imports and module in ("collections", "itertools", "functools")
            if short:
                text = text.replace(f"{module}.{attribute}", attribute)
                blocks = [b.replace(f"{module}.{attribute}", attribute) for b in blocks]
            imports.add(
                (f"from {module} import ", attribute) if short else (f"import {module}", "")
            )
        lines: dict[str, list[str]] = {}
        for head, attribute in sorted(imports):
            lines.setdefault(head, []).append(attribute)
        signature = self._signature()
        if self.style.hints == "typing":
            signature, needed = old_hints(signature)
            if needed:
                lines["from typing import "] = needed
        return Code(
            imports=tuple(head + ", ".join(names) for head, names in lines.items()),
            before=tuple(blocks),
            signature=signature,
            body=text,
        )

    def _signature(self) -> str:
        hints = [self.composition.domain.hint, *map(hint_of, self.composition.arguments)]
        given = self.composition.gives.hint
        return signature(self.name, self.parameters, hints, given, self.style.hints != "none")

    def _step(self, body: list[str], link: Link, way: str, x: str, number: int, final: bool) -> str:
        """Write a step into the body; the expression of its result, or "" if it has returned."""
        alone = final and number == 0
        ends = returns(way)
        recursive = "$self" in way
        if recursive and not alone:
            return self._helper(link, way, x)
        if (ends and not final) or (self.style.helpers and not alone and self.r.random() < 0.7):
            return self._helper(link, way, x)
        names = self._names(link, x, number)
        if is_expression(way):
            quoted = 'f"' in way or "f'" in way  # whose braces hold no quotes before Python 3.12
            simple = names["x"].isidentifier() or (way.count("$x") == 1 and not quoted)
            if not simple:
                names["x"] = self._assign(body, x, number)
            code = fill(way, names)
            short = len(code) < (LONGEST - 12 if final else 52)
            if final and (short or self.style.nested):
                return code
            if self.style.nested and short and not final and "lambda" not in code:
                return code
            return self._assign(body, code, number + 1, link)
        if not x.isidentifier():
            names["x"] = self._assign(body, x, number)
        code = self._statements(way, names, final)
        body.append(code)
        return "" if ends else names["out"]

    def _statements(self, way: str, names: dict[str, str], final: bool) -> str:
        """Filled statements; `$out = name` at the end disappears into that name."""
        match = re.search(r"\n\$out = (\$?)(\w+)$", way)
        if match and match[2] != "x" and not match[2].isdigit():
            way = way[: match.start()]
            names["out"] = names[match[2]] if match[1] else match[2]
        elif final and (match := re.search(r"(^|\n)\$out = (.+)$", way)) and way.count("$out") == 1:
            names["out"] = fill(match[2], names)
            return fill(way[: match.start()], names)
        self.scope.taken.add(names["out"])
        return fill(way, names)

    def _assign(self, body: list[str], code: str, number: int, link: Link | None = None) -> str:
        """Give an expression a name."""
        if link is None:
            link = self.composition.links[number - 1]
        name = self.scope.name(_outs(link, self.name), keep=True)
        body.append(f"{name} = {_bare(code)}")
        return name

    def _names(self, link: Link, x: str, number: int) -> dict[str, str]:
        """Names for every slot of a step's ways."""
        names = {"x": _tight(x), "self": self.name}
        names |= {bound.parameter.slot: bound.code for bound in link.bound}
        names["more"] = "".join(f", {b.argument}" for b in link.bound if b.argument)
        item = self._item(link, number)
        names["item"] = self.scope.name(item)
        wanted = {slot for way in link.step.ways for slot in SLOT.findall(way)} | {"out"}
        local: set[str] = {names["item"]}
        for slot in sorted(wanted - set(names)):
            pool = _outs(link, self.name) if slot == "out" else POOLS.get(slot, (slot,))
            free = [name for name in pool if name not in local]
            names[slot] = self.scope.name(free or [f"{slot}_value"])
            local.add(names[slot])
        return names

    def _item(self, link: Link, number: int) -> tuple[str, ...]:
        noun = self.composition.noun
        if number == 0 and noun.one != "value":
            return (noun.one, noun.one, *ITEMS.get(link.step.takes, "item").split())
        if number and self.composition.links[number - 1].step.one:
            one = re.sub(r"\W+", "_", self.composition.links[number - 1].step.one.lower())
            if one.isidentifier() and len(one) < 16:
                return (one, *ITEMS.get(link.step.takes, "item").split())
        return tuple(
            ITEMS.get(
                "ints" if "naturals" in link.step.takes else link.step.takes, "value item x"
            ).split()
        )

    def _helper(self, link: Link, way: str, x: str) -> str:
        """Write a step as a function of its own; the call."""
        domain = GRAMMAR.domains[link.step.takes]
        noun = self.r.choice(domain.nouns)
        name = slug(link.step.name.replace("$n", noun.many).replace("$1", noun.one))
        name = name if name not in self.helper_names | self.scope.taken else f"{name}_step"
        self.helper_names.add(name)
        self.scope.taken.add(name)
        outer, self.scope = (
            self.scope,
            _Scope({noun.whole, name, *(bound.argument for bound in link.bound)}, self.r),
        )
        names = self._names(link, noun.whole, 0)
        names["self"] = name
        names["item"] = noun.one if noun.one != "value" else names["item"]
        if names["item"] == noun.whole:
            names["item"] = "item"
        clash = {k: v for k, v in names.items() if v == names["item"] and k != "item"}
        names |= {slot: f"{slot}_value" for slot in clash}
        if is_expression(way):
            body = f"return {_bare(fill(way, names))}"
        else:
            body = self._statements(way, names, final=True)
            if not returns(way):
                body += f"\nreturn {names['out']}"
        self.scope = outer
        parameters = [noun.whole, *(b.argument for b in link.bound if b.argument)]
        hints = [domain.hint, *(hint_of(b) for b in link.bound if b.argument)]
        gives = GRAMMAR.domains[link.step.gives].hint
        head = signature(name, parameters, hints, gives, self.style.hints == "new")
        self.before.append(f"{head}\n{textwrap.indent(body.strip(), '    ')}\n")
        arguments = "".join(f", {b.argument}" for b in link.bound if b.argument)
        return f"{name}({_bare(x)}{arguments})"


def hint_of(bound: object) -> str:
    """The Python type of an argument."""
    parameter = bound.parameter  # type: ignore[attr-defined]
    return GRAMMAR.domains[parameter.domain].hint if parameter.domain else parameter.hint


def signature(name: str, parameters: list[str], hints: list[str], gives: str, typed: bool) -> str:
    """The line that opens a function."""
    if not typed:
        return f"def {name}({', '.join(parameters)}):"
    pairs = ", ".join(f"{p}: {h}" for p, h in zip(parameters, hints, strict=True))
    arrow = "" if gives == "object" else f" -> {gives}"
    return f"def {name}({pairs}){arrow}:"


def old_hints(line: str) -> tuple[str, list[str]]:
    """Type hints as before Python 3.9, and the names to import for them."""
    needed = []
    for new, old in (("list", "List"), ("dict", "Dict"), ("tuple", "Tuple"), ("set", "Set")):
        line, changed = re.subn(rf"\b{new}\[", f"{old}[", line)
        if changed:
            needed.append(old)
    return line, sorted(needed)


def slug(text: str) -> str:
    """A text as a name, without doubled or hanging underscores."""
    return re.sub(r"_+", "_", re.sub(r"\W+", "_", text.lower())).strip("_")


def _outs(link: Link, function: str) -> tuple[str, ...]:
    """Names for the result of a step."""
    name = slug(link.step.object.replace("$n", "").replace("$1", ""))
    if 3 <= len(name) <= 16 and name != function and name.isidentifier() and name not in BUILTINS:
        return (name, name, *POOLS["out"])
    return POOLS["out"]


def _tight(code: str) -> str:
    """An expression with brackets around it where it needs them."""
    node = ast.parse(code, mode="eval").body
    safe = ast.Name | ast.Call | ast.Subscript | ast.List | ast.ListComp | ast.Attribute | ast.Dict
    return code if isinstance(node, safe | ast.DictComp | ast.SetComp) else f"({_bare(code)})"


def _bare(code: str) -> str:
    """An expression without brackets around all of it."""
    if not (code.startswith("(") and code.endswith(")")):
        return code
    inside = code[1:-1]
    try:
        before, after = (ast.dump(ast.parse(text, mode="eval")) for text in (code, inside))
    except SyntaxError:
        return code
    return inside if before == after and "\n" not in inside else code
