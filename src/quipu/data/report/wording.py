"""Numbers and names as the report and the card write them."""

from collections.abc import Iterable

GROUP_NAMES = {
    "python": "Python",
    "cpp": "C and C++",
    "java": "Java",
    "php": "PHP",
    "typescript": "TypeScript, JavaScript",
    "csharp": "C#",
    "bash": "Bash",
    "text": "Text about code",
    "prose": "Prose",
    "exercises": "Exercises",
}
LANGUAGE_NAMES = GROUP_NAMES | {
    "typescript": "TypeScript",
    "javascript": "JavaScript",
    "markdown": "Markdown",
    "rst": "reStructuredText",
    "text": "Plain text",
}
# The order in which groups are shown, and their colours (distinct to colour-blind eyes).
COLOURS = {
    "python": "#2f6690",
    "cpp": "#d1495b",
    "java": "#edae49",
    "php": "#8d6cab",
    "typescript": "#00798c",
    "csharp": "#66a182",
    "bash": "#5c5346",
    "text": "#9fb1bd",
    "prose": "#c9ada7",
    "exercises": "#b07d2b",
}
OTHER_COLOUR = "#b8b8b8"
_UNITS = ((10**9, "GB"), (10**6, "MB"), (10**3, "kB"))


def size(count: float) -> str:
    """Bytes in decimal units, three digits."""
    for factor, unit in _UNITS:
        if abs(count) >= factor:
            return f"{_three_digits(count / factor)} {unit}"
    return f"{count:.0f} B"


def number(count: float) -> str:
    """A count with thin spaces between thousands."""
    return f"{count:,.0f}".replace(",", "\u202f")


def millions(count: float) -> str:
    """A large count, short."""
    for factor, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if abs(count) >= factor:
            return f"{_three_digits(count / factor)}\u202f{unit}"
    return f"{count:.0f}"


def share(part: float, whole: float) -> str:
    """A percentage; one digit after the point below ten, and never 0 for what is there."""
    percent = 100 * part / whole if whole else 0.0
    if 0 < percent < 0.1:
        return "< 0.1 %"
    return f"{percent:.0f} %" if percent >= 10 or percent == 0 else f"{percent:.1f} %"


def group(name: str) -> str:
    """Name of a group for people."""
    return GROUP_NAMES.get(name, name)


def language(name: str) -> str:
    """Name of a language for people."""
    return LANGUAGE_NAMES.get(name, name)


def in_order(names: Iterable[str]) -> list[str]:
    """Groups in the order in which they are shown."""
    places = {name: place for place, name in enumerate(COLOURS)}
    return sorted(names, key=lambda name: (places.get(name, len(places)), name))


def _three_digits(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
