"""Control patterns over collections: what is said of one element becomes a step over many.

A condition gives filters, counts, searches and runs; a value gives maps, sums, orders and groups;
each pattern in the ways people write it: a loop, a comprehension, a builtin.
"""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quipu.exercises.steps import GRAMMAR, Element, step


@dataclass(frozen=True, kw_only=True)
class Collection:
    """A domain with elements."""

    name: str
    element: str


COLLECTIONS = (
    Collection(name="ints", element="integer"),
    Collection(name="naturals", element="natural"),
    Collection(name="words", element="text"),
    Collection(name="text", element="letter"),
)
MANY_OF = {"integer": "ints", "natural": "naturals", "text": "words", "label": "labels"}
# What follows the head of "sums with 3", "halves rounded down": too long for names.
RELATION = re.compile(
    r",? (by|with|from|modulo|of|at|to|rounded|capped|raised|padded|without|in)\b.*$"
)
SINGULAR = {
    "vowels": "a vowel",
    "consonants": "a consonant",
    "digits": "a digit",
    "letters": "a letter",
    "letters or digits": "a letter or a digit",
    "spaces": "a space",
    "perfect squares": "a perfect square",
    "powers of two": "a power of two",
    "palindromes": "a palindrome",
    "multiples of $k": "a multiple of $k",
}


def singular(verb: str) -> str:
    """The verb of one thing: "is even" for "are even", "starts with" for "start with"."""
    first, _, rest = verb.partition(" ")
    known = {"are": "is", "have": "has", "do": "does", "lie": "lies"}
    rest = SINGULAR.get(rest, rest.replace("their ", "its ").replace("they end", "it ends"))
    return f"{known.get(first, first + 's')} {rest}".strip()


def spread(path: Path) -> None:
    """Add the steps of every pattern of a file, for every element that fits a collection."""
    patterns = tomllib.loads(path.read_text(encoding="utf-8"))["pattern"]
    for collection in COLLECTIONS:
        for element in GRAMMAR.elements.values():
            if element.takes != collection.element:
                continue
            for pattern in patterns:
                if _applies(pattern, collection, element):
                    _add(pattern, collection, element)


def _applies(pattern: dict[str, Any], collection: Collection, element: Element) -> bool:
    """Whether a pattern makes sense for an element of a collection."""
    if (pattern["of"] == "condition") != (element.gives == "bool"):
        return False
    if collection.name == "text" and "text_ways" not in pattern and pattern.get("lists", True):
        return False
    if pattern.get("text_only") and collection.name != "text":
        return False
    if element.changes and pattern["pattern"] not in ("map", "letters", "total", "index", "tagged"):
        return False
    needs = pattern.get("needs", "")
    number = element.gives in ("integer", "natural")
    return not (needs == "number" and not number) and not (
        needs == "order" and element.gives == "label"
    )


def _words(element: Element) -> dict[str, str]:
    """What stands for the words of an element."""
    verb = element.verb
    noun = verb.removeprefix("are ")
    adjective = element.adjective
    many = element.key
    if element.many and "$" not in element.many and len(element.many.split()) < 3:
        many = re.sub(r"\W", "_", element.many)
    return {
        "§adjective_": re.sub(r"\W", "_", adjective) + "_" if adjective else "",
        "§adjective": f"{adjective} $n" if adjective else noun,
        "§key": element.key,
        "§verb": verb,
        "§singular": singular(verb) if verb else "",
        "§one": element.one,
        "§many_": many,
        "§many": element.many,
    }


def _add(pattern: dict[str, Any], collection: Collection, element: Element) -> None:
    """One step: a pattern with an element put into it."""
    words = _words(element)

    def filled(text: str) -> str:
        for mark in ("§adjective_", "§adjective", "§many_", "§many", "§key", "§verb", "§singular"):
            text = text.replace(mark, words[mark])
        return text.replace("§one", words["§one"])

    named = bool(element.adjective)
    phrases = [*pattern["phrase"]]
    if "adjective_phrase" in pattern and (named or element.verb.removeprefix("are ") in SINGULAR):
        phrases.append(pattern["adjective_phrase"])
    name = pattern.get("adjective_name") if named else None
    gives = {"same": collection.name, "of value": MANY_OF.get(element.gives, "text")}
    ways = pattern["ways"]
    if collection.name == "text" and "text_ways" in pattern:
        ways = pattern["text_ways"]
    codes = [code.replace("$e", "$item").replace("\\", r"\\") for code in element.code]
    do = element.do if pattern["pattern"] == "map" and element.do else filled(pattern.get("do", ""))
    many = pattern.get("many", "")
    step(
        f"{pattern['pattern']}:{element.key}",
        f"{collection.name} -> {gives.get(pattern['gives'], pattern['gives'])}",
        " | ".join(map(filled, phrases)),
        *(re.sub(r"\$c\b", code, way) for way in ways for code in codes),
        parameters=element.parameters,
        parts=(pattern["pattern"], element.key),
        name=filled(name or pattern["name"]),
        object=filled(pattern.get("object", "")),
        do=do,
        kind=pattern["kind"],
        many=RELATION.sub("", element.many) if many == "§many" else many,
        one=RELATION.sub("", element.one) if many == "§many" else pattern.get("one", ""),
    )
