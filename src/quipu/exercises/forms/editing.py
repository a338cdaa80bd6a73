"""Changing programs: mend a fault, write it another way, add hints, generalise."""

import random
import re
from dataclasses import replace

from quipu.exercises import check
from quipu.exercises.compose import Bound, Link
from quipu.exercises.drafts import Checked
from quipu.exercises.forms import Writing
from quipu.exercises.forms.functions import bare_signature, confirmed
from quipu.exercises.mutate import faults
from quipu.exercises.render import Renderer, Style

FAULTS = (
    ("# This function has a bug.", "# Fixed:"),
    ("# Broken version", "# Corrected version"),
    ("# Before the fix", "# After the fix"),
    ("# Find and fix the mistake.", "# Solution:"),
)


def mend(item: Checked) -> Writing:
    """A program with one fault, a call that shows it, and the program without."""
    d = item.draft
    told = d.wording.docstring([])
    good = d.code.text(told)
    bare = d.code.text()
    wrong = faults(bare, d.r, 6)
    jobs = [check.job(code, d.name, d.calls) for code in wrong]
    outcomes = yield [check.job(good, d.name, d.calls), *jobs]
    if outcomes[0].values != item.values:
        return None
    for faulty, outcome in zip(wrong, outcomes[1:], strict=True):
        shown = _difference(item, outcome.status, outcome.values)
        if shown is None:
            continue
        before, after = d.r.choice(FAULTS)
        indented = faulty.replace(d.code.signature, f"{d.code.signature}\n{_indent(told)}".rstrip())
        return f"{before}\n{indented}\n\n{shown}\n\n{after}\n{good}"
    return None


def _indent(text: str) -> str:
    return "".join(f"    {line}" if line.strip() else line for line in text.splitlines(True))


def _difference(item: Checked, status: str, values: tuple[str, ...]) -> str | None:
    """Words about the first call that goes wrong, if one does and not all of them break."""
    d = item.draft
    if status == "error":
        call = f"{d.name}({', '.join(d.calls[0])})"
        name = str(values[0]).partition(":")[0]
        if name not in ("IndexError", "ZeroDivisionError", "KeyError", "TypeError"):
            return None
        return f"# Some calls such as {call} raise {name}."[:110] if len(call) < 60 else None
    if status != "ok":
        return None
    for arguments, right, wrong in zip(d.calls, item.values, values, strict=True):
        if right != wrong and max(len(right), len(wrong)) < 60:
            text = f"{d.name}({', '.join(arguments)})"
            return f"# {text} returns {wrong}\n# but should return {right}"
    return None


def rewrite(item: Checked) -> Writing:
    """The same meaning in other code, a request between them."""
    d = item.draft
    first, second = d.code.text(), d.other.text()
    if (
        check.same_tree(first, second)
        or d.code.signature.split("(")[0] != d.other.signature.split("(")[0]
    ):
        return None
    changed = _kind(second)
    if changed == _kind(first):
        changed = "in another way"
    frame = d.r.choice(
        ("# Rewrite it {}.", "# The same function, written {}:", "# Now write {0.name} {1}.")
    )
    request = frame.format(changed) if "{0" not in frame else f"# Now write {d.name} {changed}."
    return (yield from confirmed(item, f"{first}\n\n{request}\n{second}", code=second))


def _kind(code: str) -> str:
    """How a program goes about it."""
    name = re.findall(r"^def (\w+)", code, re.M)[-1]
    if code.count(f"{name}(") > 1:
        return "with recursion"
    if re.search(r"^\s+while ", code, re.M):
        return "with a while loop"
    if re.search(r"^\s+for ", code, re.M):
        return "with a for loop"
    if re.search(r"[\[({].* for .* in ", code):
        return "with a comprehension"
    if "lambda" in code:
        return "with a lambda"
    return "with built-in functions"


def hinted(item: Checked) -> Writing:
    """Add type hints, or a docstring, to a bare function."""
    d = item.draft
    bare = replace(d.code, signature=bare_signature(d.code.signature))
    if bare.signature == d.code.signature or "from typing" in str(d.code.imports):
        full = d.code.text(d.wording.docstring([]))
        request = d.r.choice(("# Add a docstring.", "# The same, documented:"))
    else:
        full, request = d.code.text(), d.r.choice(("# Add type hints.", "# With type hints:"))
    before = bare.text()
    return (yield from confirmed(item, f"{before}\n\n{request}\n{full}", code=full))


def generalise(item: Checked) -> Writing:
    """A constant of the function becomes a parameter with a default."""
    d = item.draft
    c = d.composition
    constants = [b for link in c.links for b in link.bound if b.constant]
    if len(constants) != 1 or len(constants[0].constant) > 8:
        return None
    constant = constants[0]
    free = [n for n in constant.parameter.names if n not in (c.noun.whole, c.noun.one)]
    if not free:
        return None
    bound = Bound(parameter=constant.parameter, argument=free[0])
    links = tuple(
        Link(step=k.step, bound=tuple(bound if b is constant else b for b in k.bound))
        for k in c.links
    )
    opened = replace(c, links=links)
    last = opened.arguments[-1] is bound
    style = Style(hints="none", nested=d.style.nested)
    ways = tuple(d.r.randrange(len(link.step.ways)) for link in c.links)
    key = d.r.random()
    before = Renderer(c, d.name, style, random.Random(key)).render(ways)
    after = Renderer(opened, d.name, style, random.Random(key)).render(ways)
    signature = after.signature
    if last:
        signature = signature.replace(f"{free[0]})", f"{free[0]}={constant.constant})")
    after = replace(after, signature=signature)
    request = f"# Make {constant.constant} a parameter `{free[0]}`" + (
        ", with the old value as its default." if last else "."
    )
    text = f"{before.text()}\n\n{request}\n{after.text()}"
    return (yield from confirmed(item, text, code=after.text())) if last else None
