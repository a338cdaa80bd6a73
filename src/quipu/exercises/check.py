"""What an exercise must show by running: equal values, its ways alike, outputs worth asking."""

import ast
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from quipu.data.keyed import generator
from quipu.exercises.compose import Composition, draw_parameter
from quipu.exercises.run import Job, Outcome

CANDIDATES = 12  # inputs tried for each exercise
LONGEST_CALL = 76  # characters of a call in an example
LONGEST_VALUE = 88
SEEDS = (0, 1)


@dataclass(frozen=True, kw_only=True)
class Example:
    """A call's arguments and its value, as code."""

    arguments: tuple[str, ...]
    value: str

    def call(self, name: str) -> str:
        """The call as code."""
        return f"{name}({', '.join(self.arguments)})"

    def prompt(self, name: str) -> list[str]:
        """The lines of a doctest."""
        return [f">>> {self.call(name)}", *([] if self.value == "None" else [self.value])]


def inputs(composition: Composition, r: random.Random) -> list[tuple[str, ...]]:
    """Different arguments for calls, as code, simple ones among them."""
    found: dict[tuple[str, ...], None] = {}
    for _ in range(CANDIDATES * 2):
        arguments = tuple(map(repr, composition.draw(r)))
        if sum(map(len, arguments)) < LONGEST_CALL:
            found.setdefault(arguments)
        if len(found) == CANDIDATES:
            break
    return list(found)


def probes(composition: Composition) -> list[tuple[str, ...]]:
    """Arguments that depend on the types alone: equal functions show equal values on them."""
    kinds = [composition.domain.hint]
    kinds += [b.parameter.domain or b.parameter.hint for b in composition.arguments]
    r = random.Random(int(generator("probes", *kinds).integers(2**62)))
    return [tuple(map(repr, _probe(composition, r))) for _ in range(8)]


def _probe(composition: Composition, r: random.Random) -> tuple[object, ...]:
    rest = (draw_parameter(bound.parameter, r) for bound in composition.arguments)
    return (composition.domain.draw(r), *rest)


def job(code: str, name: str, calls: Sequence[tuple[str, ...]]) -> Job:
    """Calls of one function."""
    return Job(code=code, calls=tuple(f"{name}({', '.join(arguments)})" for arguments in calls))


def agree(outcomes: Sequence[Outcome]) -> str | None:
    """Why runs of the same meaning are not good enough; None if they are."""
    if any(not outcome.ok for outcome in outcomes):
        return next(f"run: {_why(outcome)}" for outcome in outcomes if not outcome.ok)
    if len({outcome.values for outcome in outcomes}) > 1:
        return "run: values differ"
    return None


def _why(outcome: Outcome) -> str:
    if outcome.status != "error":
        return outcome.status
    return str(outcome.values[0]).partition(":")[0]


def dull(calls: Sequence[tuple[str, ...]], values: Sequence[str]) -> str | None:
    """Why outputs are not worth asking for: constant, the input itself, None, too long."""
    if len(set(values)) < min(3, 2 if set(values) <= {"True", "False"} else 3):
        return "trivial: too few different values"
    if all(call[0] == value for call, value in zip(calls, values, strict=True)):
        return "trivial: identity"
    changed = sum(call[0] != value for call, value in zip(calls, values, strict=True))
    if changed * 4 < len(values):
        return "trivial: nearly identity"
    if all(value.startswith("([], ") for value in values) or all(
        value.endswith(", [])") for value in values
    ):
        return "trivial: nearly constant"
    pieces = {piece for value in values for piece in re.findall(r"[\w.-]+", value)}
    if len(pieces) < 2 and any(value.startswith("[") for value in values):
        return "trivial: lists of one value"
    commonest = max(map(list(values).count, values))
    if commonest > 0.75 * len(values):
        return "trivial: nearly constant"
    return None


def examples(
    calls: Sequence[tuple[str, ...]], values: Sequence[str], count: int, r: random.Random
) -> list[Example]:
    """A few examples with different, short values; a telling one first."""
    known = [
        Example(arguments=call, value=value)
        for call, value in zip(calls, values, strict=True)
        if len(value) <= LONGEST_VALUE
    ]
    r.shuffle(known)
    plain = ("[]", "''", "0", "None", "{}", "-1", "False")
    known.sort(key=lambda e: e.value in plain or e.value in e.arguments)
    seen: set[str] = set()
    chosen: list[Example] = []
    for example in known:
        if example.value not in seen and len(chosen) < count:
            seen.add(example.value)
            chosen.append(example)
    rest = [e for e in known if e not in chosen]
    return (chosen + rest)[:count]


def same_tree(first: str, second: str) -> bool:
    """Whether two texts are the same program."""
    return ast.dump(ast.parse(first)) == ast.dump(ast.parse(second))
