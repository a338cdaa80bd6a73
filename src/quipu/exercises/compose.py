"""Compositions: a chain of steps that fit each other, with names for everything it needs."""

import functools
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from quipu.data.keyed import generator
from quipu.exercises.domains import DRAWS
from quipu.exercises.patterns import spread
from quipu.exercises.steps import GRAMMAR, Domain, Element, Noun, Parameter, Step, domains, read

Split = Literal["train", "dev"]
LENGTHS = (8, 40, 36, 16)  # of chains; single steps are soon exhausted
HELD_OUT = 0.06  # share of the primitives that only dev exercises may use
PRIMITIVES = Path(__file__).with_name("primitives")
# How readily a chain grows by a kind of step, and which kinds may follow one another.
WEIGHTS = {
    "filter": 5, "map": 6, "order": 2, "reduce": 6, "scan": 3, "group": 2, "search": 2, "test": 2,
    "convert": 6, "algorithm": 14,
}  # fmt: skip
FOLLOWS: dict[str, frozenset[str]] = {
    "filter": frozenset(
        [
            "filter",
            "map",
            "order",
            "reduce",
            "group",
            "search",
            "test",
            "scan",
            "convert",
            "algorithm",
        ]
    ),
    "map": frozenset(
        ["filter", "order", "reduce", "group", "test", "scan", "convert", "algorithm"]
    ),
    "order": frozenset(["map", "search", "convert", "scan"]),
    "scan": frozenset(["filter", "map", "reduce", "test", "convert"]),
    "convert": frozenset(
        ["filter", "map", "order", "reduce", "group", "search", "test", "scan", "algorithm"]
    ),
    "algorithm": frozenset(["filter", "map", "order", "reduce", "convert", "scan", "test"]),
    "reduce": frozenset(("convert",)),
}


@dataclass(frozen=True, kw_only=True)
class Bound:
    """A parameter of a step: an argument with a name and a domain, or a constant as code."""

    parameter: Parameter
    argument: str = ""
    constant: str = ""

    @property
    def code(self) -> str:
        """What stands for it in code."""
        return self.argument or self.constant


@dataclass(frozen=True, kw_only=True)
class Link:
    """A step of a chain with its parameters."""

    step: Step
    bound: tuple[Bound, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Composition:
    """A program's meaning: what it works on, what happens to it, and its names."""

    domain: Domain
    noun: Noun
    links: tuple[Link, ...]

    @property
    def key(self) -> str:
        """The meaning without its names; constants count."""
        steps = (
            ",".join([link.step.key, *(bound.constant or "?" for bound in link.bound)])
            for link in self.links
        )
        return f"{self.domain.name}: " + " | ".join(steps)

    @property
    def shape(self) -> str:
        """The names of the steps alone."""
        return " | ".join(link.step.key for link in self.links)

    @property
    def arguments(self) -> tuple[Bound, ...]:
        """Parameters of the function besides the first."""
        return tuple(b for link in self.links for b in link.bound if b.argument)

    @property
    def gives(self) -> Domain:
        """What comes out."""
        return GRAMMAR.domains[self.links[-1].step.gives]

    def draw(self, r: random.Random) -> tuple[object, ...]:
        """Arguments for one call."""
        return (self.domain.draw(r), *(draw_parameter(b.parameter, r) for b in self.arguments))


def draw_parameter(parameter: Parameter, r: random.Random) -> object:
    """A value for a parameter."""
    if parameter.domain:
        return GRAMMAR.domains[parameter.domain].draw(r)
    if parameter.choices:
        return r.choice(parameter.choices)
    return r.randint(parameter.low, parameter.high)


@functools.cache
def load() -> None:
    """Fill the grammar."""
    domains(PRIMITIVES.with_name("domains.toml"), DRAWS)
    for path in sorted(PRIMITIVES.glob("*.toml")):
        read(path)
    spread(PRIMITIVES.with_name("patterns.toml"))


def is_held_out(primitive: str, share: float = HELD_OUT) -> bool:
    """Whether only dev exercises may use it; depends on its name alone."""
    return bool(generator("held out primitive", primitive).random() < share)


@functools.cache
def held_out_primitives() -> frozenset[str]:
    """All held-out primitives: patterns, elements, whole steps."""
    load()
    return frozenset(
        part for step in GRAMMAR.steps.values() for part in step.parts if is_held_out(part)
    )


def primitives() -> tuple[str, ...]:
    """All primitives of the grammar."""
    load()
    return tuple(sorted({part for step in GRAMMAR.steps.values() for part in step.parts}))


@functools.cache
def _starts(split: Split) -> tuple[tuple[Domain, Step, float], ...]:
    """Domains to start with, the step after it, and how often."""
    load()
    found = []
    for step in _known(split):
        size = sum(other.kind == step.kind and other.takes == step.takes for other in _known(split))
        weight = WEIGHTS[step.kind] * (1.0 if step.kind == "algorithm" else 12 / size)
        fitting = [d for d in GRAMMAR.domains.values() if d.fits(step.takes)]
        exact = [d for d in fitting if d.name == step.takes]
        for domain in fitting:
            share = 1.0 if domain in exact else 0.3 / max(1, len(fitting) - 1)
            found.append((domain, step, weight * share))
    return tuple(found)


@functools.cache
def _known(split: Split) -> tuple[Step, ...]:
    """Steps of a split; dev has all of them."""
    load()
    if split == "dev":
        return tuple(GRAMMAR.steps.values())
    out = held_out_primitives()
    return tuple(s for s in GRAMMAR.steps.values() if not out & set(s.parts))


@functools.cache
def _next(split: Split, gives: str, kind: str) -> tuple[tuple[Step, ...], tuple[float, ...]]:
    """Steps that may follow one of this kind that gives this domain, with weights."""
    domain = GRAMMAR.domains[gives]
    fitting = [
        step
        for step in _known(split)
        if domain.fits(step.takes) and step.kind in FOLLOWS.get(kind, ()) and not step.first
    ]
    sizes: dict[str, int] = {}
    for step in fitting:
        sizes[step.kind] = sizes.get(step.kind, 0) + 1
    return tuple(fitting), tuple(WEIGHTS[step.kind] / sizes[step.kind] for step in fitting)


def draw_chain(r: random.Random, split: Split, domain: str = "") -> tuple[Domain, list[Step]]:
    """A domain and one to four steps."""
    starts = [s for s in _starts(split) if not domain or s[0].name == domain]
    start, first, _ = r.choices(starts, [weight for _, _, weight in starts])[0]
    chain = [first]
    length = r.choices((1, 2, 3, 4), LENGTHS)[0]
    while len(chain) < length:
        fitting, weights = _next(split, chain[-1].gives, chain[-1].kind)
        if not fitting:
            break
        step = r.choices(fitting, weights)[0]
        used = {part for before in chain for part in before.parts}
        algorithms = sum(before.kind == "algorithm" for before in chain)
        if used & set(step.parts) - {"filter"} or (step.kind == "algorithm" and algorithms):
            break
        chain.append(step)
    return start, chain


def compose(r: random.Random, split: Split, domain: str = "") -> Composition:
    """Draw a composition; for dev, one with something held out in it."""
    for _ in range(200):
        start, chain = draw_chain(r, split, domain)
        if split == "train" or any(held_out_primitives() & set(s.parts) for s in chain):
            break
    return bind(r, start, chain)


def bind(r: random.Random, domain: Domain, chain: Sequence[Step]) -> Composition:
    """Give names to a chain: the value, the parameters."""
    noun = r.choice(domain.nouns)
    taken = {noun.whole, noun.one}
    links = []
    for step in chain:
        bound = []
        for parameter in step.parameters:
            free = [name for name in parameter.names if name not in taken]
            constant = not parameter.domain and r.random() < (0.3 if len(chain) < 3 else 0.5)
            if constant or not free:
                if parameter.domain:
                    free = [f"{parameter.names[0]}_{len(taken)}"]
                else:
                    bound.append(Bound(parameter=parameter, constant=_constant(parameter, r)))
                    continue
            taken.add(name := r.choice(free))
            bound.append(Bound(parameter=parameter, argument=name))
        links.append(Link(step=step, bound=tuple(bound)))
    return Composition(domain=domain, noun=noun, links=tuple(links))


def _constant(parameter: Parameter, r: random.Random) -> str:
    value = draw_parameter(parameter, r)
    return f'"{value}"' if isinstance(value, str) else str(value)


def elements() -> dict[str, Element]:
    """All elements of the grammar."""
    load()
    return GRAMMAR.elements
