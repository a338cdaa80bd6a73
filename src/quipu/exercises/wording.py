"""A composition in words: names of functions, true sentences, docstrings in four styles."""

import random
import re
import textwrap
from collections.abc import Sequence

from quipu.data.keyed import generator
from quipu.exercises.compose import Composition, Link, Split
from quipu.exercises.render import BUILTINS, hint_of, slug
from quipu.exercises.steps import GRAMMAR, SLOT

VERBS = {
    "number": ("Return", "Return", "Compute", "Calculate", "Find", "Give", "Get", "Determine"),
    "list": ("Return", "Return", "Compute", "Find", "Get", "Give back", "Produce"),
    "test": (
        "Return whether",
        "Tell whether",
        "Check whether",
        "Determine whether",
        "Decide whether",
    ),
}
# Sentences around a noun phrase `{np}`; `{given}` says what comes in.
FRAMES = (
    "{Verb} {np}.",
    "{Verb} {np}.",
    "{Verb} {np}.",
    "Given {given}, {verb} {np}.",
    "Take {given} and {verb} {np}.",
    "{Verb} {np}. The input is {given}.",
    "{Verb} {np}, where {name} is {about}.",
)
CHAINS = (
    "{First}, then {rest}, and {last}.",
    "{First}; {rest}; {last}.",
    "First {first}. Then {rest}. Finally, {last}.",
    "{First}, {rest} and finally {last}.",
    "Step by step: {first}; {rest}; {last}.",
)
PAIRS = (
    "{First}, and {last}.",
    "{First}, then {last}.",
    "First {first}, then {last}.",
    "{First} and {last}.",
)
FRAME_SHARE = 0.15  # of the sentences above only dev exercises may use


def _frames(known: Sequence[str], split: Split) -> list[str]:
    """The sentences of a split: train has all but the held-out ones."""
    plain = known[0]
    held = [
        f for f in known if f != plain and generator("held out frame", f).random() < FRAME_SHARE
    ]
    return list(known) if split == "dev" else [f for f in known if f not in held]


class Wording:
    """Words for one composition; `quote` surrounds names of parameters."""

    def __init__(self, composition: Composition, r: random.Random, split: Split) -> None:
        self.composition, self.r, self.split = composition, r, split
        self.quote = r.choice(("`", "`", "``", ""))

    def name(self) -> str:
        """A name for the function."""
        noun = self.composition.noun
        before = ""
        many = noun.many if noun.many != noun.whole or noun.one != "value" else noun.whole
        one, name = noun.one, ""
        for link in self.composition.links:
            step = link.step
            name = slug(_plain(step.name.replace("$n", many).replace("$1", one)))
            if before and "$" not in step.name and len(name) + len(before) < 34:
                apart = "_" if name.startswith(("to_", "is_", "has_")) else "_of_"
                name = f"{before}_{name}" if apart == "_" else f"{name}_of_{before}"
            held = many
            many, one = map(slug, nouns_after(link, many, one))
            if step.object and not step.many:
                many = slug(_plain(step.object.replace("$n", held).replace("$1", one)))
            before = many
        parts = name.split("_")
        while len("_".join(parts)) > 44 and len(parts) > 3:
            parts = parts[:-1]
        while parts[-1] in ("of", "that", "by", "the", "with", "to", "in", "and", "a", "or", "per"):
            parts = parts[:-1]
        short = "_".join(parts)
        taken = {noun.whole, noun.one, *self._arguments()} | BUILTINS
        return f"get_{short}" if short in taken else short

    def _arguments(self) -> list[str]:
        return [bound.argument for bound in self.composition.arguments]

    def given(self) -> str:
        """The input: "a list of integers `numbers`"."""
        return f"{self.composition.domain.about}{self._called()}"

    def _called(self) -> str:
        name = self._quoted(self.composition.noun.whole)
        return f" {name}" if self.quote else f", {name}"

    def _quoted(self, name: str) -> str:
        return f"{self.quote}{name}{self.quote}"

    def _fill(self, link: Link, template: str, x: str, many: str, one: str) -> str:
        names = {"x": x, "n": many, "1": one}
        for bound in link.bound:
            text = self._quoted(bound.argument) if bound.argument else bound.constant
            names[bound.parameter.slot] = text
        return SLOT.sub(lambda match: names[match[1]], template)

    def _base(self) -> str:
        """What the first step works on."""
        whole = self._quoted(self.composition.noun.whole)
        kind = self.composition.domain.noun
        return self.r.choice((whole, whole, f"the {kind} {whole}" if self.quote else whole))

    def phrase(self) -> str:
        """The whole composition as one noun phrase or clause."""
        x, many, one = self._base(), self.composition.noun.many, self.composition.noun.one
        for link in self.composition.links:
            x = self._fill(link, self.r.choice(link.step.phrase), x, many, one)
            many, one = nouns_after(link, many, one)
        return x

    def _nests(self) -> bool:
        """Whether one noun phrase says it without doubt what belongs to what."""
        links = self.composition.links
        kinds = [link.step.kind for link in links]
        if "filter" in kinds[1:] or any(k in ("order", "algorithm") for k in kinds[:-1]):
            return False
        later = [phrase for link in links[1:] for phrase in link.step.phrase]
        earlier = [phrase for link in links[:-1] for phrase in link.step.phrase]
        if any(p.count("$x") > 1 for p in later) or any("," in p or ":" in p for p in earlier):
            return False
        if kinds[0] == "filter" and len(kinds) > 1 and "drop" in links[0].step.parts:
            return False
        return len(links) <= 2 or (len(links) == 3 and kinds[0] == "filter")

    def clauses(self) -> list[str]:
        """One clause a step, imperative; the last one returns."""
        found = []
        x, many, one = self._base(), self.composition.noun.many, self.composition.noun.one
        last = len(self.composition.links) - 1
        for number, link in enumerate(self.composition.links):
            step = link.step
            if number == last:
                verb = "return whether" if step.gives == "flag" else "return"
                found.append(f"{verb} " + self._fill(link, step.phrase[-1], x, many, one))
                break
            template = step.do or "take " + step.phrase[-1]
            found.append(self._fill(link, template, x, many, one))
            many, one = nouns_after(link, many, one)
            x = GRAMMAR.domains[step.gives].pronoun
            if step.kind == "filter":
                x = "what is left"
        return found

    def sentence(self) -> str:
        """One to three sentences that say what the function returns."""
        if self._nests() and self.r.random() < 0.85:
            return self._framed(self.phrase())
        clauses = self.clauses()
        if len(clauses) > 2 and self.r.random() < 0.25:
            return self._numbered(clauses)
        if len(clauses) == 1:
            return self._framed(self.phrase())
        first, *rest, last = clauses
        frames = _frames(CHAINS if rest else PAIRS, self.split)
        return self.r.choice(frames).format(
            first=first,
            First=_capital(first),
            rest=", then ".join(rest),
            last=last,
        )

    def _framed(self, np: str) -> str:
        test = self.composition.links[-1].step.gives == "flag"
        hint = self.composition.gives.hint
        kind = "test" if test else "number" if hint in ("int", "float") else "list"
        verb = self.r.choice(VERBS[kind])
        frame = self.r.choice(_frames(FRAMES, self.split))
        return frame.format(
            Verb=verb,
            verb=verb.lower(),
            np=np,
            given=self.given(),
            name=self._quoted(self.composition.noun.whole),
            about=self.composition.domain.about,
        )

    def _numbered(self, clauses: list[str]) -> str:
        head = self.r.choice(("Do the following:", "Work in steps:", "In order:"))
        return "\n".join(
            [head, *(f"{i}. {_capital(clause)}." for i, clause in enumerate(clauses, 1))]
        )

    def descriptions(self) -> list[tuple[str, str, str]]:
        """Name, type and description of every parameter."""
        c = self.composition
        found = [(c.noun.whole, c.domain.hint, c.domain.about)]
        for bound in c.arguments:
            p = bound.parameter
            known = GRAMMAR.domains[p.domain].about if p.domain else ""
            number = "an integer" if not p.choices else "a string"
            found.append((bound.argument, hint_of(bound), p.about or known or number))
        return found

    def docstring(self, examples: Sequence[str]) -> str:
        """A docstring, triple quotes and line break included; examples are lines."""
        sentence = "\n".join(wrap(line, 92) for line in self.sentence().splitlines())
        style = self.r.choices(("plain", "google", "numpy", "sphinx", "short"), (50, 16, 8, 6, 20))[
            0
        ]
        parts = [sentence]
        if style in ("google", "numpy", "sphinx"):
            parts.append(getattr(self, f"_{style}")())
        if examples and style != "short":
            parts.append("\n".join(examples))
        text = "\n\n".join(parts)
        quotes = self.r.choice(('"""', '"""', '"""', "'''"))
        if "\\" in text:
            quotes = "r" + quotes
        close = quotes[-3:]
        if "\n" not in text and self.r.random() < 0.8:
            return f"{quotes}{text}{close}\n"
        start = "\n" if self.r.random() < 0.3 else ""
        return f"{quotes}{start}{text}\n{close}\n"

    def _result(self) -> str:
        step = self.composition.links[-1].step
        if step.gives == "flag":
            return "True or False"
        return _capital(GRAMMAR.domains[step.gives].about if step.gives != "any" else "the result")

    def _google(self) -> str:
        lines = [
            f"    {name} ({hint}): {_capital(about)}." for name, hint, about in self.descriptions()
        ]
        hint = self.composition.gives.hint
        return "\n".join(["Args:", *lines, "", "Returns:", f"    {hint}: {self._result()}."])

    def _numpy(self) -> str:
        lines = [
            line
            for name, hint, about in self.descriptions()
            for line in (f"{name} : {hint}", f"    {_capital(about)}.")
        ]
        hint = self.composition.gives.hint
        head = ["Parameters", "----------", *lines, "", "Returns", "-------", hint]
        return "\n".join([*head, f"    {self._result()}."])

    def _sphinx(self) -> str:
        lines = [f":param {name}: {about}" for name, _, about in self.descriptions()]
        return "\n".join([*lines, f":return: {self._result().lower()}"])

    def notes(self) -> tuple[str, ...]:
        """A comment for every step."""
        notes = tuple(_capital(clause) for clause in self.clauses())
        return notes if max(map(len, notes)) < 90 else ()


def nouns_after(link: Link, many: str, one: str) -> tuple[str, str]:
    """What the elements are called once a step is done."""
    step = link.step
    if step.many:
        return step.many, step.one or step.many
    if GRAMMAR.domains[step.gives].hint == GRAMMAR.domains[step.takes].hint:
        return many, one
    noun = GRAMMAR.domains[step.gives].nouns[0]
    return noun.many, noun.one


def wrap(text: str, width: int) -> str:
    """Break a line where it is too long."""
    return "\n".join(textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _plain(name: str) -> str:
    """A name without parameters."""
    return re.sub(r"_?\$\w+", "", name)
