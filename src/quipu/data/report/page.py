"""report.html: one file with all its pictures inside, and report and card written to a corpus."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from quipu.data.report import card, plots, rendering, wording
from quipu.data.report.facts import Facts, PackageFacts, gather

REPORT, CARD = "report.html", "card.md"
BIGGEST, MOST_DUPLICATES, MOST_DETAILS = 25, 15, 4
RULES = ("program", "prose", "function", "signature")


def write(corpus: Path) -> tuple[Path, Path]:
    """Count a corpus and write both files beside it; DataError when it is none."""
    facts = gather(corpus)
    written = []
    for name, text in ((REPORT, html(facts)), (CARD, card.markdown(facts))):
        path = corpus / name
        temporary = path.with_suffix(path.suffix + ".tmp")
        temporary.write_text(text, encoding="utf-8")
        written.append(temporary.replace(path))
    return written[0], written[1]


def html(facts: Facts) -> str:
    """The page."""
    pictures: dict[str, Callable[[], str]] = {
        "groups": lambda: plots.groups(facts),
        "languages": lambda: plots.languages(facts),
        "licences": lambda: plots.licences(facts),
        "flow": lambda: plots.flow(facts),
        "dropped": lambda: plots.dropped(facts),
        "lengths": lambda: plots.lengths(facts.lengths, "bytes"),
        "quality": lambda: plots.quality(facts),
    }
    if facts.jaccard.any():
        pictures["jaccard"] = lambda: plots.jaccard(facts)
    if facts.token_lengths:
        pictures["token_lengths"] = lambda: plots.lengths(facts.token_lengths, "tokens")
    return rendering.render(
        "report.html",
        escape=True,
        facts=facts,
        pictures={name: draw() for name, draw in pictures.items()},
        tokens=sum(facts.tokens.values()),
        packages=sum(1 for package in facts.packages.values() if package.kept.documents),
        steps=_steps(facts),
        biggest=biggest(facts, BIGGEST),
        duplicates=_duplicates(facts),
        copied=facts.copied.most_common(MOST_DUPLICATES),
        held_out=_held_out(facts),
        overlaps=facts.overlap_table(),
        rules=RULES,
        colours=wording.COLOURS,
    )


def biggest(facts: Facts, most: int) -> list[tuple[str, PackageFacts, str]]:
    """Packages with the most bytes kept, each with its main group."""
    kept = [(name, package) for name, package in facts.packages.items() if package.groups]
    kept.sort(key=lambda item: (-item[1].kept.bytes, item[0]))
    return [
        (name, package, max(package.groups, key=lambda g: (package.groups[g].bytes, g)))
        for name, package in kept[:most]
    ]


def _steps(facts: Facts) -> list[tuple[str, Any, list[tuple[str, Any]]]]:
    """Each step with what it took out and its commonest reasons."""
    found = []
    for step, tally in facts.dropped_by_step().items():
        details = sorted(facts.details[step].items(), key=lambda d: (-d[1].bytes, d[0]))
        found.append((step, tally, details[:MOST_DETAILS] if step != "decontaminate" else []))
    return found


def _duplicates(facts: Facts) -> list[tuple[str, PackageFacts]]:
    found = [(name, package) for name, package in facts.packages.items()
             if package.duplicates.documents]  # fmt: skip
    found.sort(key=lambda item: (-item[1].duplicates.bytes, item[0]))
    return found[:MOST_DUPLICATES]


def _held_out(facts: Facts) -> list[tuple[str, PackageFacts]]:
    return sorted((name, package) for name, package in facts.packages.items() if package.held_out)
