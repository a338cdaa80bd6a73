"""Drafts: compositions with names, two renderings, and inputs; checked by running both."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from quipu.exercises import check
from quipu.exercises.compose import Composition, Split, compose
from quipu.exercises.render import Code, Renderer, Style
from quipu.exercises.run import Job, Runner
from quipu.exercises.wording import Wording

WIDEST = 100  # characters of a line
Calls = Sequence[tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A program in two renderings, and calls to try."""

    composition: Composition
    name: str
    wording: Wording
    style: Style
    code: Code
    other: Code
    calls: tuple[tuple[str, ...], ...]
    probes: tuple[tuple[str, ...], ...]
    r: random.Random


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A draft that has run: its values on its calls, and what tells it from other programs."""

    draft: Draft
    values: tuple[str, ...]
    signature: str

    def examples(self, count: int) -> list[check.Example]:
        """A few telling calls."""
        return check.examples(self.draft.calls, self.values, count, self.draft.r)


def draft(r: random.Random, split: Split, domain: str = "") -> Draft | None:
    """Draw a composition and write it twice; None where it cannot be written well."""
    composition = compose(r, split, domain)
    wording = Wording(composition, r, split)
    name = wording.name()
    style = Style.draw(r)
    notes = wording.notes() if style.comments else ()
    code = Renderer(composition, name, style, r).render(notes=notes)
    other = Renderer(composition, name, Style.draw(r), r).render(ways=_others(composition, r))
    if max(len(line) for line in code.text().splitlines()) > WIDEST - 4:
        return None
    calls, probes = check.inputs(composition, r), check.probes(composition)
    return Draft(
        composition=composition,
        name=name,
        wording=wording,
        style=style,
        code=code,
        other=other,
        calls=tuple(calls),
        probes=tuple(probes),
        r=r,
    )


def _others(composition: Composition, r: random.Random) -> tuple[int, ...]:
    return tuple(r.randrange(len(link.step.ways)) for link in composition.links)


def run_drafts(drafts: Sequence[Draft], runner: Runner, dropped: Counter[str]) -> list[Checked]:
    """Those drafts whose renderings agree, in two processes with different hash seeds."""
    first = [_job(d, d.code) for d in drafts]
    second = [_job(d, d.other) for d in drafts]
    runs = [runner.run(first, 0), runner.run(first, 1), runner.run(second, 1)]
    found = []
    for number, one in enumerate(drafts):
        outcomes = [run[number] for run in runs]
        reason = check.agree(outcomes)
        values = outcomes[0].values
        count = len(one.calls)
        reason = reason or check.dull(one.calls, values[:count])
        if reason is not None:
            dropped[reason] += 1
            continue
        kind = f"{one.composition.domain.hint} {len(one.composition.arguments)}"
        found.append(
            Checked(
                draft=one,
                values=values[:count],
                signature="\n".join((kind, *values[count:])),
            )
        )
    return found


def _job(one: Draft, code: Code) -> Job:
    return check.job(code.text(), one.name, [*one.calls, *one.probes])
