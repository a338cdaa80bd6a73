"""Programs that read standard input and print, from a statement of the problem."""

import ast

from quipu.exercises.drafts import Checked, Draft
from quipu.exercises.forms import Writing
from quipu.exercises.run import Job
from quipu.exercises.wording import wrap

READ = {
    "int": ("int(input())", "one integer"),
    "float": ("float(input())", "one number"),
    "list[int]": ("list(map(int, input().split()))", "integers separated by spaces"),
    "str": ("input()", "a string"),
    "list[str]": ("input().split()", "words separated by spaces"),
}
SHOW = {
    "int": ("print({})", "one integer"),
    "str": ("print({})", "a string"),
    "bool": ('print("yes" if {} else "no")', "yes or no"),
    "list[int]": ("print(*{})", "integers separated by spaces"),
    "list[str]": ("print(*{})", "strings separated by spaces"),
}


def program(item: Checked) -> Writing:
    """A statement with an example, and the program."""
    d = item.draft
    hints = [hint for _, hint, _ in d.wording.descriptions()]
    gives = d.composition.gives.hint
    if any(hint not in READ for hint in hints) or gives not in SHOW:
        return None
    chosen = [
        (call, value)
        for call, value in zip(d.calls, item.values, strict=True)
        if _plain(call) and len(value) < 60
    ]
    if len(chosen) < 4:
        return None
    texts = [_typed(call) for call, _ in chosen]
    printed = [_printed(gives, value) for _, value in chosen]
    code = _code(d, hints, gives)
    (outcome,) = yield [Job(code=code, stdin=tuple(texts))]
    if outcome.values != tuple(printed):
        return None
    best = max(range(len(chosen)), key=lambda i: (len(printed[i]) > 3, len(printed[i]) < 40))
    return f'"""{_statement(d, hints, gives, texts[best], printed[best])}"""\n{code}'


def _plain(call: tuple[str, ...]) -> bool:
    """Whether the arguments survive being typed in lines."""
    values = [ast.literal_eval(argument) for argument in call]
    texts = [v for v in values if isinstance(v, str)]
    words = [w for v in values if isinstance(v, list) for w in v if isinstance(w, str)]
    return all(w and not any(c.isspace() for c in w) for w in words) and all(
        "\n" not in text for text in texts
    )


def _typed(call: tuple[str, ...]) -> str:
    lines = []
    for argument in call:
        value = ast.literal_eval(argument)
        lines.append(" ".join(map(str, value)) if isinstance(value, list) else str(value))
    return "\n".join(lines) + "\n"


def _printed(gives: str, value: str) -> str:
    found = ast.literal_eval(value)
    if gives == "bool":
        return "yes\n" if found else "no\n"
    return (" ".join(map(str, found)) if isinstance(found, list) else str(found)) + "\n"


def _code(d: Draft, hints: list[str], gives: str) -> str:
    names = [name for name, _, _ in d.wording.descriptions()]
    reads = [f"{name} = {READ[hint][0]}" for name, hint in zip(names, hints, strict=True)]
    call = f"{d.name}({', '.join(names)})"
    shown = SHOW[gives][0].format(call)
    function = d.code.text()
    if d.r.random() < 0.5:
        body = "\n".join(f"    {line}" for line in (*reads, shown))
        start = d.r.choice(("main()", 'if __name__ == "__main__":\n    main()'))
        return f"{function}\n\ndef main():\n{body}\n\n\n{start}\n"
    return function + "\n\n" + "\n".join([*reads, shown]) + "\n"


def _statement(d: Draft, hints: list[str], gives: str, typed: str, printed: str) -> str:
    told = (
        d.wording.sentence().replace("eturn", "\0").replace("R\0", "Print").replace("r\0", "print")
    )
    lines = [
        f"Line {number}: {READ[hint][1]}, `{name}`."
        for number, ((name, _, _), hint) in enumerate(
            zip(d.wording.descriptions(), hints, strict=True), 1
        )
    ]
    told = "\n".join(wrap(line, 92) for line in told.splitlines())
    tell = f"Print {SHOW[gives][1]}."
    if d.r.random() < 0.5:
        head = ["Input:", *lines, "", "Output:", tell, "", "Example input:", typed.rstrip("\n")]
        foot = ["", "Example output:", printed.rstrip("\n")]
    else:
        head = ["-----Input-----", *lines, "", "-----Output-----", tell, "", "-----Example-----"]
        foot = ["Input", typed.rstrip("\n"), "", "Output", printed.rstrip("\n")]
    text = "\n".join([told, "", *head, *foot, ""])
    return text.replace("\\", "\\\\")
