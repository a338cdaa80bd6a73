"""CRUXEval: what a small function returns, or what it was given (arXiv 2401.03065).

800 Python functions, each with one input and its output; two tasks, with the two-shot prompts of
its paper (direct, without chain of thought). Output prediction: the answer, a literal, must equal
what the function returns. Input prediction: any call `f(…)` that returns the output is right. An
answer is cut at [/ANSWER], and its half of the assertion taken as the published harness does; one
that calls no f where an input is asked for is wrong, and so is a wanted output that contains f's
call where a literal is asked for. The paper draws 10 samples at temperature 0.2 for pass@1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from quipu.evals.data import Source
from quipu.evals.task import (
    Complete,
    Declaration,
    Decoding,
    Grade,
    Problem,
    Prompt,
    Published,
    Score,
    Trial,
)
from quipu.evals.tasks.lines import rows
from quipu.sandbox.program import Apart, Limits

PAPER = "arXiv 2401.03065, table 1"
SOURCE = Source(
    path="cruxeval/cruxeval.jsonl",
    sha256="8368b81047dc5014e4caf5a2f97604eff7644e0ecd7415e3ceeb184bbc2e0c96",
    url="https://github.com/facebookresearch/cruxeval/raw/190faf16d175b5847b0af05d937872b1fb395942/data/cruxeval.jsonl",
    licence="MIT",
)
_LIMITS = Limits(cpu_s=3)  # the published harness gives 3 s
_KEYS = ("id", "code", "input", "output")
_SCORES = {  # pass@1 of input and output prediction
    "Code Llama 7B": (35.9, 34.2),
    "Code Llama 13B": (42.5, 39.7),
    "Code Llama 34B": (47.2, 42.4),
}
_OUTPUT = """\
You are given a Python function and an assertion containing an input to the function. Complete \
the assertion with a literal (no unsimplified expressions, no function calls) containing the \
output when executing the provided code on the given input, even if the function is incorrect or \
incomplete. Do NOT output any extra information. Provide the full assertion with the correct \
output in [ANSWER] and [/ANSWER] tags, following the examples.

[PYTHON]
def f(n):
    return n
assert f(17) == ??
[/PYTHON]
[ANSWER]
assert f(17) == 17
[/ANSWER]

[PYTHON]
def f(s):
    return s + "a"
assert f("x9j") == ??
[/PYTHON]
[ANSWER]
assert f("x9j") == "x9ja"
[/ANSWER]

[PYTHON]
{code}
assert f({input}) == ??
[/PYTHON]
[ANSWER]
"""
_INPUT = """\
You will be given a function f and an output in the form f(??) == output. Find any input such \
that executing f on the input leads to the given output. There may be multiple answers, but you \
should only output one. In [ANSWER] and [/ANSWER] tags, complete the assertion with one such \
input that will produce the output when executing the function.

[PYTHON]
def f(my_list):
    count = 0
    for i in my_list:
        if len(i) % 2 == 0:
            count += 1
    return count
assert f(??) == 3
[/PYTHON]
[ANSWER]
assert f(["mq", "px", "zy"]) == 3
[/ANSWER]

[PYTHON]
def f(s1, s2):
    return s1 + s2
assert f(??) == "banana"
[/PYTHON]
[ANSWER]
assert f("ba", "nana") == "banana"
[/ANSWER]

[PYTHON]
{code}
assert f(??) == {output}
[/PYTHON]
[ANSWER]
"""


@dataclass(frozen=True, kw_only=True)
class CruxEval:
    """Implements `Task`: predict the input, or the output."""

    asks: Literal["input", "output"]

    @property
    def declaration(self) -> Declaration:
        column = ("input", "output").index(self.asks)
        return Declaration(
            name=f"cruxeval-{self.asks}",
            title=f"CRUXEval, {self.asks} prediction",
            protocol="two-shot, direct prompt of the paper; cut at [/ANSWER]; the assertion that"
            " the answer completes must hold when the function is run",
            source=PAPER,
            measure="pass@k",
            decoding=Decoding(
                max_tokens=512, temperature=0.2, top_p=0.95, samples=10, stop=("[/ANSWER]",)
            ),
            data=(SOURCE,),
            ks=(1, 5),
            published=tuple(
                Published(model=model, measure="pass@1", value=values[column], source=PAPER)
                for model, values in _SCORES.items()
            ),
        )

    def problems(self, files: Mapping[str, bytes]) -> Sequence[Problem]:
        found = rows(SOURCE.name, files[SOURCE.name], _KEYS)
        return [Problem(id=str(row["id"]), facts={k: row[k] for k in _KEYS}) for row in found]

    def prompt(self, problem: Problem) -> Prompt:
        layout = _OUTPUT if self.asks == "output" else _INPUT
        text = layout
        for key in _KEYS[1:]:
            text = text.replace(f"{{{key}}}", f"\0{key}\0")
        for key in _KEYS[1:]:  # not str.format: what is put in may hold braces
            text = text.replace(f"\0{key}\0", str(problem.facts[key]))
        return Complete(text=text)

    def grade(self, problem: Problem, answer: str) -> Grade:
        facts = problem.facts
        given = self._half(answer)
        if self.asks == "output":
            if f"f({facts['input']})" in given:
                return Score(value=0, detail="repeats the call instead of its result")
            call, wanted = f"f({facts['input']})", given
            tests = f"assert answered() == {call}\n"
        else:
            if "f(" not in given:
                return Score(value=0, detail="no call of f")
            call, wanted = given, str(facts["output"])
            tests = f"assert {wanted} == answered()\n"
        # The wanted output stands left, as in the published harness.
        text = f"{facts['code']}\nassert {wanted} == {call}\n"
        apart = Apart(
            program=f"{facts['code']}\ndef answered():\n    return ({given}\n)\n",
            tests=tests,
            before=str(facts["code"]),
        )
        return Trial(language="python", program=text, complete=True, apart=apart, limits=_LIMITS)

    def _half(self, answer: str) -> str:
        """The part of the assertion that was asked for."""
        text = answer.partition("[/ANSWER]")[0]
        if self.asks == "output":
            parts = text.split("==")
            return (parts[1] if len(parts) > 1 else text).strip()
        text = text.split("==")[0]
        parts = text.split("assert")
        return (parts[1] if len(parts) > 1 else text).strip()

    def solution(self, problem: Problem) -> str | None:
        return f"assert f({problem.facts['input']}) == {problem.facts['output']}\n"

    def mutant(self, problem: Problem) -> str | None:
        if self.asks == "input":
            return "assert f() is f"
        return "object()"
