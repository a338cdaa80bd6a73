"""A block of composed exercises, drawn, run and written in forms: a function of its key alone."""

import hashlib
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from quipu.data.keyed import generator
from quipu.exercises.compose import Split
from quipu.exercises.drafts import Checked, draft, run_drafts
from quipu.exercises.forms import Form, Writing, editing, functions, programs, reading
from quipu.exercises.likeness import Suspect, kinds_of_longest, likenesses
from quipu.exercises.run import Job, Outcome, Runner

FORMS: tuple[tuple[str, Form, int], ...] = (
    ("function", functions.function, 36),
    ("task", functions.task, 17),
    ("program", programs.program, 12),
    ("predict", reading.predict, 7),
    ("trace", reading.trace, 9),
    ("mend", editing.mend, 10),
    ("rewrite", editing.rewrite, 5),
    ("hinted", editing.hinted, 2),
    ("generalise", editing.generalise, 4),
    ("tested", functions.tested, 4),
)
CLASS_SHARE = 0.05
LICENCE = "Apache-2.0"


def block(
    seed: int,
    split: Split,
    number: int,
    drafts_count: int,
    runner: Runner,
    problems: Path | None = None,
) -> tuple[list[dict[str, object]], Counter[str]]:
    """The exercises of a block as lines of JSON, and how many drafts were dropped, by reason.

    `problems` is a file of benchmark problems (`likeness`) that no exercise may solve.
    """
    dropped: Counter[str] = Counter()
    drafts = []
    for index in range(drafts_count):
        r = random.Random(int(generator("exercise", seed, split, number, index).integers(2**62)))
        one = draft(r, split)
        if one is None:
            dropped["line too long"] += 1
        else:
            drafts.append(one)
    checked = _distinct(run_drafts(drafts, runner, dropped), dropped)
    if problems is not None:
        suspects = [_suspect(item) for item in checked]
        alike = likenesses(suspects, problems, runner, dropped)
        checked = [item for item, like in zip(checked, alike, strict=True) if not like]
    written = _write(_writings(checked), runner, dropped)
    lines = [
        _line(item, form, text, f"{split}/{seed}/{number}/{index}")
        for index, (item, form, text) in enumerate(written)
    ]
    return lines, dropped


def _suspect(item: Checked) -> Suspect:
    draft = item.draft
    kinds = kinds_of_longest(draft.calls)
    return Suspect(code=draft.code.text(), name=draft.name, kinds=kinds)


def _distinct(items: list[Checked], dropped: Counter[str]) -> list[Checked]:
    seen: set[str] = set()
    found = []
    for item in items:
        if item.signature in seen:
            dropped["duplicate: same values as another"] += 1
            continue
        seen.add(item.signature)
        found.append(item)
    return found


def _writings(items: list[Checked]) -> Iterator[tuple[Checked, str, Writing]]:
    """Each item with two forms at most, and some items together as classes."""
    weights = [weight for _, _, weight in FORMS]
    by_domain: dict[str, list[Checked]] = {}
    for item in items:
        r = item.draft.r
        chosen = {name: form for name, form, _ in r.choices(FORMS, weights, k=2)}
        for name, form in chosen.items():
            yield item, name, form(item)
        held = by_domain.setdefault(item.draft.composition.domain.name, [])
        if not item.draft.code.before and r.random() < CLASS_SHARE * 3:
            held.append(item)
        if len(held) == 3:
            yield held[0], "class", functions.methods(held[0], held[1:])
            held.clear()


def _write(
    writings: Iterator[tuple[Checked, str, Writing]], runner: Runner, dropped: Counter[str]
) -> list[tuple[Checked, str, str]]:
    """Run what forms ask for, twice, and let them finish."""
    waiting: list[tuple[Checked, str, Writing, list[Job]]] = []
    for item, name, writing in writings:
        try:
            waiting.append((item, name, writing, next(writing)))
        except StopIteration:
            dropped[f"form: {name} does not suit"] += 1
    jobs = [job for *_, asked in waiting for job in asked]
    first, second = runner.run(jobs, 0), runner.run(jobs, 1)
    found = []
    at = 0
    for item, name, writing, asked in waiting:
        outcomes, again = first[at : at + len(asked)], second[at : at + len(asked)]
        at += len(asked)
        text = _finish(writing, outcomes) if outcomes == again else None
        if text is None:
            dropped[f"form: {name} failed"] += 1
        else:
            found.append((item, name, text))
    return found


def _finish(writing: Writing, outcomes: list[Outcome]) -> str | None:
    try:
        writing.send(outcomes)
    except StopIteration as done:
        text: str | None = done.value
        return text
    return None


def _line(item: Checked, form: str, text: str, number: str) -> dict[str, object]:
    composition = item.draft.composition
    return {
        "id": f"exercises/composed/{number}",
        "path": f"{form}/{item.draft.name}.py",
        "text": text,
        "package": "exercises/composed",
        "licence": LICENCE,
        "language": "python",
        "group": "exercises",
        "provenance": {
            "form": form,
            "composition": composition.key,
            "shape": composition.shape,
            "parts": sorted({p for link in composition.links for p in link.step.parts}),
        },
        "signature": generator_key(item.signature, form),
    }


def generator_key(*parts: str) -> str:
    """A short name of some texts."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]
