"""Functions from their descriptions: with a docstring, from a task with asserts, with tests."""

import re
import textwrap

from quipu.exercises import check
from quipu.exercises.drafts import Checked, Draft
from quipu.exercises.forms import Writing
from quipu.exercises.run import Job
from quipu.exercises.wording import wrap


def function(item: Checked) -> Writing:
    """Signature, docstring with or without examples, body."""
    d = item.draft
    shown = item.examples(d.r.choice((2, 2, 3, 3, 4)))
    lines = [line for example in shown for line in example.prompt(d.name)]
    text = d.code.text(d.wording.docstring(lines))
    return (yield from confirmed(item, text))


def confirmed(item: Checked, text: str, code: str = "") -> Writing:
    """The text, if its code gives the known values once more."""
    (outcome,) = yield [check.job(code or text, item.draft.name, item.draft.calls)]
    return text if outcome.values == item.values else None


def imperative(d: Draft, frames: tuple[str, ...]) -> str:
    """A request to write the function."""
    sentence = d.wording.sentence()
    frame = d.r.choice(frames)
    _, _, steps = sentence.partition("\n")
    if steps:
        return frame.format(name=d.name, to="that takes these steps:") + "\n" + steps
    if sentence.startswith(("First", "Step by step", "Given", "Take")):
        return frame.format(name=d.name, to="that does this:") + " " + sentence
    return frame.format(name=d.name, to="to") + " " + sentence[:1].lower() + sentence[1:]


REQUESTS = (
    "Write a function {to}",
    "Write a Python function {to}",
    "Write a function `{name}` {to}",
)


def asserts(item: Checked, count: int) -> list[str]:
    """Lines that assert examples."""
    name = item.draft.name
    return [_assertion(f"{example.call(name)}", example.value) for example in item.examples(count)]


def _assertion(call: str, value: str) -> str:
    if value == "None":
        return f"assert {call} is None"
    if value in ("True", "False"):
        return f"assert {call} is {value}"
    return f"assert {call} == {value}"


def task(item: Checked) -> Writing:
    """A request, asserts, and the solution, in one of a few layouts."""
    d = item.draft
    request = "\n".join(wrap(line, 92) for line in imperative(d, REQUESTS).splitlines())
    tests = asserts(item, 3)
    if not tests or max(map(len, tests)) > 110:  # values too long to show leave no tests
        return None
    code = d.code.text()
    layout = d.r.randrange(4)
    if layout == 0:
        joined = "\n".join(tests)
        text = f'"""\n{request}\n{joined}\n"""\n{code}'
    elif layout == 1:
        text = f"{_comment(request)}\n{code}\n\n" + "\n".join(tests) + "\n"
    elif layout == 2:
        told = "\n".join(["Your code should pass these tests:", "", *tests])
        text = f"{_comment(request)}\n{_comment(told)}\n\n{code}"
    else:
        checks = "\n".join(["def check():", *(f"    {line}" for line in tests)])
        text = f"{_comment(request)}\n{code}\n\n{checks}\n\n\ncheck()\n"
    return (yield from confirmed(item, text))


def _comment(text: str) -> str:
    return "\n".join(f"# {line}".rstrip() for line in text.splitlines())


def tested(item: Checked) -> Writing:
    """A documented function and test functions for it."""
    d = item.draft
    code = d.code.text(d.wording.docstring([]))
    tests = asserts(item, 4)
    if len(tests) < 2 or max(map(len, tests)) > 100:
        return None
    half = len(tests) // 2
    body = [f"def test_{d.name}():", *(f"    {line}" for line in tests[:half])]
    more = [f"def test_{d.name}_again():", *(f"    {line}" for line in tests[half:])]
    if d.r.random() < 0.5:
        body, more = [*body, *more[1:]], []
    text = code + "\n\n" + "\n".join(body) + "\n"
    if more:
        text += "\n\n" + "\n".join(more) + "\n"
    names = [line[4:].split("(")[0] for line in (*body, *more) if line.startswith("def ")]
    (outcome,) = yield [Job(code=text, calls=tuple(f"{name}()" for name in names))]
    return text if outcome.ok else None


def methods(item: Checked, others: list[Checked]) -> Writing:
    """A class that holds the value, with a method for each program over it."""
    d = item.draft
    whole = d.composition.noun.whole
    class_name = "".join(part.title() for part in d.composition.noun.many.split("_"))
    class_name = class_name + d.r.choice(("Report", "Summary", "Box", "Tools", "Stats"))
    blocks, calls, imports = [], [], set()
    for one in (item, *others):
        o = one.draft
        imports |= set(o.code.imports)
        if o.code.before or o.name + "(" in o.code.body:
            return None
        signature = bare_signature(o.code.signature).split("(", 1)[1]
        signature = signature.removeprefix(o.composition.noun.whole)
        body = re.sub(r"^ *#.*\n", "", o.code.body, flags=re.M)
        body = _held(body, o.composition.noun.whole, whole)
        told = wrap(o.wording.sentence().replace("\n", " "), 84)
        told = _held(told, o.composition.noun.whole, whole, prefix="")
        close = '"""' if "\n" not in told else '\n"""'
        inner = textwrap.indent(f'"""{told}{close}\n{body}', "    ")
        blocks.append(f"def {o.name}(self{signature}\n{inner}")
        rest = [c[1:] for c in o.calls[:1]]
        calls.append(f"{o.name}({', '.join(rest[0])})")
    about = d.composition.domain.about
    intro = f'"""Answers questions about {about}."""\n\n'
    start = f"def __init__(self, {whole}):\n    self.{whole} = {whole}\n\n"
    inner = textwrap.indent(intro + start + "\n\n".join(blocks), "    ")
    code = "".join(f"{line}\n" for line in sorted(imports)) + ("\n\n" if imports else "")
    code += (
        f"class {class_name}:\n" + "\n".join(line.rstrip() for line in inner.splitlines()) + "\n"
    )
    made = f"{class_name}({d.calls[0][0]})"
    (outcome,) = yield [Job(code=code, calls=tuple(f"{made}.{call}" for call in calls))]
    if not outcome.ok or len({one.draft.name for one in (item, *others)}) <= len(others):
        return None
    variable = d.r.choice(("box", "example", "case", "it"))
    shown = [f"{variable} = {made}"]
    shown += [
        _assertion(f"{variable}.{call}", value)
        for call, value in zip(calls, outcome.values, strict=True)
    ]
    return code + "\n\n" + "\n".join(shown) + "\n"


def _held(text: str, old: str, new: str, prefix: str = "self.") -> str:
    """A function's body with its parameter as an attribute."""
    return re.sub(rf"(?<![\w.]){re.escape(old)}(?!\w)", f"{prefix}{new}", text)


def bare_signature(line: str) -> str:
    """The line that opens a function, without type hints."""
    line = re.sub(r" -> .*:$", ":", line)
    name, inside = line.split("(", 1)
    inside = inside.rsplit(")", 1)[0]
    names = re.findall(r"(?:^|, )(\w+)(?=:|,|$)", inside) if ":" in inside else []
    return f"{name}({', '.join(names)}):" if names else line
