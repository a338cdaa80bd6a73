"""The words of the grammar: domains of values, parameters, and steps from one domain to another.

Code and wording of a step are templates with `$names`: `$x` is what the step works on, `$out` the
name of its result, `$item`, `$total` and the like are local names drawn from pools, any other is a
parameter. A way to write a step is an expression, or statements that end in `$out = …` or `return`,
or (where it calls `$self`) the body of a function of its own.
"""

import ast
import functools
import random
import re
import textwrap
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Draw = Callable[[random.Random], object]
SLOT = re.compile(r"\$(\w+)")


@dataclass(frozen=True, kw_only=True)
class Noun:
    """Names of a value and of what is in it: the parameter, one element, several elements."""

    whole: str
    one: str
    many: str


@dataclass(frozen=True, kw_only=True)
class Domain:
    """A kind of value: its Python type, what to call it, and how to draw examples of it."""

    name: str
    hint: str
    nouns: tuple[Noun, ...]
    about: str
    draw: Draw
    ups: tuple[str, ...] = ()  # wider domains that hold it
    noun: str = "value"  # "the list", "the string"
    pronoun: str = "the result"

    def fits(self, wanted: str) -> bool:
        """Whether a step that takes `wanted` may take a value of this domain."""
        return wanted == self.name or wanted in self.ups


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """What a step needs besides its value; `$slot` in its templates.

    A `domain` is drawn from as such; numbers lie in `low..high`, other values in `choices`.
    """

    slot: str
    names: tuple[str, ...]
    low: int = 1
    high: int = 9
    choices: tuple[str, ...] = ()
    domain: str = ""
    about: str = ""

    @property
    def hint(self) -> str:
        """Its Python type, where no domain says it."""
        return "str" if self.choices else "int"


@dataclass(frozen=True, kw_only=True)
class Step:
    """A function from one domain to another, in several ways and several wordings.

    `phrase` is a noun phrase ("the sum of $x"), for truth values a clause ("all of $x are even").
    `name` is the function's name with `$n` for what it works on; `object` what a next step would
    call its result. `parts` are the primitives it is made of.
    """

    key: str
    takes: str
    gives: str
    phrase: tuple[str, ...]
    ways: tuple[str, ...]
    parameters: tuple[Parameter, ...] = ()
    name: str = ""
    object: str = ""
    do: str = ""
    kind: str = "algorithm"
    parts: tuple[str, ...] = ()
    first: bool = False  # wording fits the start of a chain alone
    many: str = ""  # plural noun of the elements of the result
    one: str = ""


@dataclass(frozen=True, kw_only=True)
class Element:
    """Something said of one element: a condition (`verb` "are even") or a value (`one` "square").

    `code` has `$e` for the element. `adjective` or `many` are used where wording allows.
    """

    key: str
    takes: str  # integer, text or letter
    gives: str  # bool, integer, text, letter
    code: tuple[str, ...]
    verb: str = ""
    adjective: str = ""
    one: str = ""
    many: str = ""
    do: str = ""
    changes: bool = False  # gives a changed element, not something by which to sort or group
    parameters: tuple[Parameter, ...] = ()


@dataclass
class Grammar:
    """All words, by name; filled when the modules of primitives are imported."""

    domains: dict[str, Domain] = field(default_factory=dict)
    steps: dict[str, Step] = field(default_factory=dict)
    elements: dict[str, Element] = field(default_factory=dict)


GRAMMAR = Grammar()


def domains(path: Path, draws: dict[str, Draw]) -> None:
    """Add the domains of a file; nouns as "numbers/number" or "nums/num/numbers"."""
    for row in tomllib.loads(path.read_text(encoding="utf-8"))["domain"]:
        nouns = []
        for text in row.pop("nouns"):
            whole, one, many = [*text.split("/"), "", ""][:3]
            nouns.append(Noun(whole=whole, one=one or "value", many=many or whole))
        ups = tuple(row.pop("ups", ()))
        name = row["name"]
        GRAMMAR.domains[name] = Domain(nouns=tuple(nouns), ups=ups, draw=draws[name], **row)


def step(key: str, types: str, phrase: str, *ways: str, **more: object) -> None:
    """Add a step: types as "ints -> integer", phrases separated by " | "."""
    takes, gives = types.split(" -> ")
    assert key not in GRAMMAR.steps, key
    defaults: dict[str, object] = {"name": key, "object": key, "parts": (key,)}
    GRAMMAR.steps[key] = Step(
        key=key,
        takes=takes,
        gives=gives,
        phrase=tuple(phrase.split(" | ")),
        ways=tuple(map(_way, ways)),
        **{**defaults, **more},  # type: ignore[arg-type]
    )


def _way(text: str) -> str:
    """A way without margins; an expression that calls itself is what its function returns."""
    text = textwrap.dedent(text).strip()
    alone = "$self" in text and "\n" not in text and not text.startswith("return ")
    return f"return {text}" if alone else text


@functools.cache
def returns(way: str) -> bool:
    """Whether a way ends its function itself."""
    node = ast.parse(SLOT.sub(r"\1", way.replace("$more", "")))
    inner = {
        found
        for function in ast.walk(node)
        if isinstance(function, ast.FunctionDef | ast.Lambda)
        for found in ast.walk(function)
    }
    return any(isinstance(found, ast.Return) and found not in inner for found in ast.walk(node))


def read(path: Path) -> None:
    """Add the steps and elements of a file of primitives."""
    found = tomllib.loads(path.read_text(encoding="utf-8"))
    for row in found.get("element", ()):
        parameters = _parameters(row)
        takes, gives = row.pop("types").split(" -> ")
        code = tuple(row.pop("code"))
        GRAMMAR.elements[row["key"]] = Element(
            takes=takes, gives=gives, code=code, parameters=parameters, **row
        )
    for row in found.get("step", ()):
        parameters = _parameters(row)
        phrase = " | ".join(row.pop("phrase"))
        key, types, ways = row.pop("key"), row.pop("types"), row.pop("ways")
        step(key, types, phrase, *ways, parameters=parameters, **row)


def _parameters(row: dict[str, Any]) -> tuple[Parameter, ...]:
    """The parameters of a row, taken out of it."""
    return tuple(
        Parameter(
            **{
                **given,
                "names": tuple(given["names"].split()),
                "choices": tuple(given.get("choices", "").split()),
            }
        )
        for given in row.pop("parameters", ())
    )


@functools.cache
def is_expression(way: str) -> bool:
    """Whether a way is an expression, to be used wherever a value is."""
    if "\n" in way.strip() or "$self" in way:
        return False
    try:
        ast.parse(SLOT.sub(r"\1", way.strip()), mode="eval")
    except SyntaxError:
        return False
    return True
