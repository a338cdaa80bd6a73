"""The kinds of values that exercises work on, and how to draw small, varied examples of them."""

import random
from collections.abc import Callable

from quipu.exercises.steps import Draw

Random = random.Random
Ints = Callable[[Random], list[int]]

WORDS = [
    "apple",
    "banana",
    "cherry",
    "date",
    "fig",
    "grape",
    "lemon",
    "mango",
    "olive",
    "peach",
    "pear",
    "plum",
    "river",
    "stone",
    "cloud",
    "forest",
    "garden",
    "winter",
    "summer",
    "autumn",
    "spring",
    "silver",
    "copper",
    "golden",
    "paper",
    "candle",
    "mirror",
    "window",
    "bridge",
    "castle",
    "lantern",
    "meadow",
    "pepper",
    "ginger",
    "basil",
    "thyme",
    "saffron",
    "willow",
    "maple",
    "cedar",
    "birch",
    "robin",
    "sparrow",
    "falcon",
    "heron",
    "otter",
    "badger",
    "rabbit",
    "turtle",
    "lizard",
    "salmon",
    "violin",
    "piano",
    "guitar",
    "trumpet",
    "drum",
    "flute",
    "yellow",
    "purple",
    "orange",
    "crimson",
    "level",
    "noon",
    "radar",
    "civic",
    "kayak",
    "python",
    "ruby",
    "rust",
    "pearl",
    "amber",
    "jade",
    "opal",
    "onyx",
    "ivy",
    "oak",
    "elm",
    "ash",
    "bee",
    "ant",
    "owl",
    "fox",
    "cat",
    "dog",
    "sun",
    "moon",
    "star",
    "rain",
    "snow",
    "wind",
    "sea",
    "lake",
    "hill",
]
NAMES = [
    "Ada",
    "Alan",
    "Grace",
    "Linus",
    "Barbara",
    "Ken",
    "Edsger",
    "Donald",
    "Margaret",
    "Tim",
    "Radia",
    "Dennis",
    "Frances",
]


def _ints(low: int, high: int, most: int = 8, least: int = 0) -> Ints:
    def draw(r: Random) -> list[int]:
        top = high if r.random() < 0.7 else min(high, max(low + 3, high // 4))
        return [r.randint(low, top) for _ in range(r.randint(least, most))]

    return draw


def _words(r: Random) -> list[str]:
    some = [r.choice(WORDS) for _ in range(r.randint(0, 6))]
    if some and r.random() < 0.3:
        some.append(r.choice(some))
    return some


def _sentence(r: Random) -> str:
    words = [r.choice(WORDS) for _ in range(r.randint(1, 6))]
    if r.random() < 0.4:
        words[0] = words[0].title()
    if r.random() < 0.3:
        words.insert(r.randint(0, len(words)), str(r.randint(1, 99)))
    return " ".join(words) + r.choice(["", "", ".", "!", "?"])


def _text(r: Random) -> str:
    kind = r.random()
    if kind < 0.5:
        return _sentence(r)
    if kind < 0.75:
        return r.choice(WORDS)
    if kind < 0.85:
        return r.choice(WORDS).title() + str(r.randint(1, 999))
    return "".join(r.choice("aabbcdeE XYz12") for _ in range(r.randint(0, 10)))


def _of(letters: str, least: int, most: int) -> Draw:
    return lambda r: "".join(r.choice(letters) for _ in range(r.randint(least, most)))


def _brackets(r: Random) -> str:
    if r.random() < 0.5:
        return "".join(r.choice("()[]{}") for _ in range(r.randint(0, 6)))
    text = ""
    for _ in range(r.randint(1, 4)):
        pair = r.choice(["()", "[]", "{}"])
        text = pair[0] + text + pair[1] if r.random() < 0.6 else text + pair
    return text


def _grid(low: int, high: int, square: bool = False) -> Draw:
    def draw(r: Random) -> list[list[int]]:
        rows = r.randint(1, 4)
        columns = rows if square else r.randint(1, 4)
        return [[r.randint(low, high) for _ in range(columns)] for _ in range(rows)]

    return draw


def _intervals(r: Random) -> list[tuple[int, int]]:
    starts = [r.randint(0, 20) for _ in range(r.randint(1, 5))]
    return [(start, start + r.randint(1, 8)) for start in starts]


def _pairs(r: Random) -> list[tuple[str, int]]:
    return [(r.choice(WORDS), r.randint(0, 30)) for _ in range(r.randint(0, 5))]


def _counts(r: Random) -> dict[str, int]:
    return {r.choice(WORDS): r.randint(0, 30) for _ in range(r.randint(0, 5))}


def _graph(r: Random) -> dict[str, list[str]]:
    nodes = "abcdef"[: r.randint(2, 6)]
    return {
        n: sorted(r.sample([m for m in nodes if m != n], r.randint(0, min(2, len(nodes) - 1))))
        for n in nodes
    }


def _nested(r: Random, depth: int = 0) -> list[object]:
    return [
        _nested(r, depth + 1) if depth < 2 and r.random() < 0.35 else r.randint(0, 9)
        for _ in range(r.randint(0, 4))
    ]


def _snake(r: Random) -> str:
    return "_".join(r.choice(WORDS) for _ in range(r.randint(1, 4)))


def _tree(r: Random, depth: int = 0) -> object:
    if depth == 3 or r.random() < 0.25 * depth:
        return None
    return (_tree(r, depth + 1), r.randint(0, 9), _tree(r, depth + 1))


# How to draw a value of each domain of domains.toml.
DRAWS: dict[str, Draw] = {
    "integer": lambda r: r.randint(-50, 200),
    "natural": lambda r: r.choice([r.randint(0, 12), r.randint(0, 200), r.randint(100, 9999)]),
    "hundred": lambda r: r.randint(0, 60),
    "small": lambda r: r.randint(0, 9),
    "number": lambda r: r.choice(
        [r.randint(-20, 100) / 4, float(r.randint(0, 90)), r.randint(1, 999) / 10]
    ),
    "ints": _ints(-20, 40),
    "naturals": _ints(0, 60),
    "sorted ints": lambda r: sorted(_ints(-10, 40)(r)),
    "bits": _ints(0, 1, 9, 1),
    "floats": lambda r: [r.randint(-40, 200) / 4 for _ in range(r.randint(1, 6))],
    "text": _text,
    "word": lambda r: r.choice([r.choice(WORDS), _of("abcd", 1, 8)(r)]),
    "sentence": _sentence,
    "digits": _of("0123456789", 1, 9),
    "binary": _of("01", 1, 10),
    "brackets": _brackets,
    "moves": _of("UDLR", 0, 10),
    "snake": _snake,
    "roman": lambda r: r.choice(
        [
            "I",
            "II",
            "III",
            "IV",
            "V",
            "VI",
            "VIII",
            "IX",
            "XI",
            "XIV",
            "XIX",
            "XL",
            "XLII",
            "XC",
            "XCIX",
            "CD",
            "MCM",
            "MMXX",
        ]
    ),
    "clock": lambda r: f"{r.randint(0, 23):02d}:{r.randint(0, 59):02d}",
    "date": lambda r: f"{r.randint(1950, 2040)}-{r.randint(1, 12):02d}-{r.randint(1, 28):02d}",
    "dotted": lambda r: ".".join(str(r.randint(0, 12)) for _ in range(r.randint(2, 4))),
    "settings": lambda r: "&".join(
        f"{r.choice(WORDS)}={r.randint(0, 30)}" for _ in range(r.randint(1, 4))
    ),
    "comma": lambda r: r.choice([",", ", "]).join(
        str(r.randint(-9, 60)) for _ in range(r.randint(1, 6))
    ),
    "path": lambda r: (
        "/".join(r.choice(WORDS) for _ in range(r.randint(1, 4)))
        + r.choice(["", ".txt", ".py", ".tar.gz"])
    ),
    "reverse polish": lambda r: r.choice(
        [
            f"{r.randint(1, 9)} {r.randint(1, 9)} {r.choice('+-*')}",
            f"{r.randint(1, 9)} {r.randint(1, 9)} {r.choice('+-*')} {r.randint(1, 9)} "
            f"{r.choice('+-*')}",
            f"{r.randint(1, 9)} {r.randint(1, 9)} {r.randint(1, 9)} {r.choice('+-*')} "
            f"{r.choice('+-*')}",
        ]
    ),
    "words": _words,
    "lines": lambda r: [_sentence(r) for _ in range(r.randint(0, 4))],
    "pairs": _pairs,
    "intervals": _intervals,
    "places": lambda r: [(r.randint(-6, 6), r.randint(-6, 6)) for _ in range(r.randint(1, 5))],
    "counts": _counts,
    "lookup": lambda r: {r.choice(WORDS): r.choice(WORDS) for _ in range(r.randint(0, 5))},
    "graph": _graph,
    "grid": _grid(0, 9),
    "square": _grid(0, 9, square=True),
    "map": _grid(0, 1),
    "groups": lambda r: [_ints(0, 20, 4)(r) for _ in range(r.randint(1, 4))],
    "nested": _nested,
    "tree": _tree,
    "set": lambda r: set(_ints(0, 20, 6)(r)),
    "flag": lambda r: r.random() < 0.5,
    "label": lambda _: "",
    "labels": lambda _: [],
    "any": lambda r: r.randint(0, 9),
}
