"""card.md: what a dataset card must say, from the corpus itself."""

from typing import Any

from quipu.data.report import wording
from quipu.data.report.facts import Facts, by_bytes
from quipu.data.report.rendering import render

LONGEST = 2_000  # characters of one value: the list of licences has to fit


def markdown(facts: Facts) -> str:
    """The card. Equal corpora give equal cards."""
    kept = {name: package for name, package in sorted(facts.packages.items()) if package.groups}
    return render(
        "card.md",
        escape=False,
        facts=facts,
        groups=wording.in_order(facts.groups),
        licences=list(by_bytes(facts.licences).items()),
        packages=kept,
        sources=_sources(list(kept)),
        dropped=list(facts.dropped_by_step().items()),
        recipe_steps=_recipe_steps(facts.recipe),
        settings=_settings(facts.recipe),
        held_out=[name for name, package in kept.items() if package.held_out],
        overlaps=facts.overlap_table(),
        fingerprint=facts.recipe.get("fingerprint", ""),
    )


def _sources(packages: list[str]) -> list[tuple[str, int]]:
    """How many packages came from each ecosystem."""
    names = [package.partition("/")[0] for package in packages]
    return [(name, names.count(name)) for name in sorted(set(names))]


def _recipe_steps(recipe: dict[str, Any]) -> list[str]:
    """One line a step: its name and its thresholds."""
    steps = recipe.get("steps", [])
    return [_line(step) for step in steps] if isinstance(steps, list) else []


def _line(step: object) -> str:
    """A value of a recipe as it is written in Python, near enough; `value` names its type."""
    if not isinstance(step, dict):
        return str(step)
    inner = [f"{key}={_short(value)}" for key, value in step.items() if key != "value"]
    return f"{step.get('value', '')}({', '.join(inner)})"


def _short(value: object) -> str:
    if isinstance(value, dict):
        return _line(value)
    text = ", ".join(map(_short, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _settings(recipe: dict[str, Any]) -> list[tuple[str, str]]:
    """What else decides the corpus, beside packages and steps."""
    left = ("packages", "steps", "name", "format", "indexes", "benchmarks", "fingerprint")
    return [(key, _short(value)) for key, value in sorted(recipe.items()) if key not in left]
