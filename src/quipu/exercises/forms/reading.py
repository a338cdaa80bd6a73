"""Reading programs: what do they return or print, and what do names hold on the way."""

import ast
import textwrap

from quipu.exercises.drafts import Checked
from quipu.exercises.forms import Writing
from quipu.exercises.forms.functions import confirmed
from quipu.exercises.render import Renderer, Style
from quipu.exercises.run import Job

QUESTIONS = (
    ("# What does {call} return?", "# {value}"),
    ("# Q: What is the value of {call}?", "# A: {value}"),
    ("# {call} returns", "#     {value}"),
    (">>> {call}", "{value}"),
    ("print({call})", "# prints {value}"),
    ("assert {call} == (", "    {value}\n)"),
)
MOST_STEPS = 10


def predict(item: Checked) -> Writing:
    """A function without a word, and what calls of it give."""
    d = item.draft
    question, answer = d.r.choice(QUESTIONS)
    lines = []
    for example in item.examples(d.r.choice((2, 3, 4))):
        value = example.value
        if "print" in question:
            value = str(ast.literal_eval(value))
        lines.append(question.format(call=example.call(d.name)))
        lines.append(answer.format(value=value))
    shown = "\n".join(lines)
    if ">>>" in question:
        shown = f'"""\n{shown}\n"""'
    code = d.code.text()
    return (yield from confirmed(item, f"{code}\n\n{shown}\n", code=code))


def trace(item: Checked) -> Writing:
    """A straight program with the value of every name behind it, loops turn by turn."""
    d = item.draft
    style = Style(hints="none", nested=False)
    body = Renderer(d.composition, d.name, style, d.r).render()
    tree = ast.parse(textwrap.dedent(body.body))
    returns = [node for node in ast.walk(tree) if isinstance(node, ast.Return)]
    if body.before or len(returns) != 1 or not isinstance(tree.body[-1], ast.Return):
        return None
    call = next((c for c, v in zip(d.calls, item.values, strict=True) if len(v) > 2), d.calls[0])
    names = [d.composition.noun.whole, *(b.argument for b in d.composition.arguments)]
    starts = [f"{name} = {value}" for name, value in zip(names, call, strict=True)]
    watched = _watched(tree, body.body)
    head = "\n".join([*body.imports, *starts])
    code = "\n".join([head, "_seen = []", *(step for _, step in watched)])
    (outcome,) = yield [Job(code=code, calls=("_seen",))]
    if not outcome.ok:
        return None
    seen = ast.literal_eval(outcome.values[0])
    notes: dict[int, list[str]] = {}
    for number, note in seen:
        notes.setdefault(number, []).append(note)
    lines = [head]
    for number, (text, _) in enumerate(watched):
        told = notes.get(number, [])
        if len(told) > MOST_STEPS or any(len(note) > 100 for note in told):
            return None
        lines.append(text)
        lines += [f"# {note}" for note in told]
    return "\n".join(lines) + "\n" if len(lines) > len(starts) + 2 else None


def _watched(tree: ast.Module, text: str) -> list[tuple[str, str]]:
    """Each statement, and the same with code that writes down what it does to names."""
    found = []
    for number, node in enumerate(tree.body):
        source = "\n".join(text.splitlines()[node.lineno - 1 : node.end_lineno])
        if isinstance(node, ast.Return) and node.value is not None:
            value = ast.unparse(node.value)
            shown = ast.get_source_segment(text, node.value) or value
            step = f"_seen.append(({number}, 'prints ' + str({value})))"
            found.append((f"print({shown})", step))
        elif isinstance(node, ast.For | ast.While) and not _jumps(node):
            note = _note(_names(node))
            inner = f"{source}\n    _seen.append(({number}, {note}))"
            found.append((source, inner))
        elif isinstance(node, ast.Assign):
            note = _note(sorted(_stored(node) - _comprehended(node)))
            found.append((source, f"{source}\n_seen.append(({number}, {note}))"))
        else:
            found.append((source, source))
    return found


def _jumps(node: ast.AST) -> bool:
    return any(isinstance(inner, ast.Continue) for inner in ast.walk(node))


def _stored(node: ast.AST) -> set[str]:
    return {
        inner.id
        for inner in ast.walk(node)
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store)
    }


def _comprehended(node: ast.AST) -> set[str]:
    """Names that comprehensions in a node have to themselves."""
    return {
        name
        for inner in ast.walk(node)
        if isinstance(inner, ast.comprehension)
        for name in _stored(inner.target)
    }


def _names(loop: ast.For | ast.While) -> list[str]:
    """Names that a turn of a loop sets or changes by a method, its own variable first."""
    own = sorted(_stored(loop.target)) if isinstance(loop, ast.For) else []
    changed = {name for statement in loop.body for name in _stored(statement)}
    for inner in ast.walk(loop):
        if isinstance(inner, ast.Call) and isinstance(inner.func, ast.Attribute):
            holder = inner.func.value
            if isinstance(holder, ast.Name) and inner.func.attr in ("append", "add", "extend"):
                changed.add(holder.id)
    certain = {name for name in changed if name not in own} - _comprehended(loop)
    return [*own, *sorted(certain)]


def _note(names: list[str]) -> str:
    """Code for a text like "total = 3, i = 1"."""
    parts = [f"'{name} = ' + repr(locals().get('{name}'))" for name in names]
    return " + ', ' + ".join(parts) if parts else "''"
