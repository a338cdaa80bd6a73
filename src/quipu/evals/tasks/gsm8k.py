"""GSM8K solved by programs: 1,319 problems of school mathematics (arXiv 2110.14168).

The Code Llama paper (table 12) gives solve rates and neither prompt nor number of shots. Declared
as ours, in the way of PAL (arXiv 2211.10435): three worked examples, written for this project, in
each of which `solution()` returns the answer; the model writes the next one. An answer is cut at
the next question; the program must return a number within 1e-3 of the right one in 10 s of CPU
time. The paper's own rates are of chains of thought, most likely, and stand beside it for
orientation only.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quipu.errors import DataError
from quipu.evals.data import Source
from quipu.evals.task import (
    Complete,
    Declaration,
    Decoding,
    Grade,
    Problem,
    Prompt,
    Published,
    Trial,
)
from quipu.evals.tasks.lines import rows
from quipu.sandbox.program import Apart

PAPER = "arXiv 2308.12950, table 12"
SOURCE = Source(
    path="gsm8k/test.json",
    sha256="9f098df7ff4522078d6ccec27a5c38a454790fdb51131bedfaa0e490070d5394",
    url="https://github.com/deepseek-ai/DeepSeek-Coder/raw/2f9fd85927c669dae3c0fbb2d607274023af243e/Evaluation/PAL-Math/datasets/gsm8k/test.json",
    licence="MIT",
)
_SCORES = {
    "Llama 2 7B": 14.7,
    "Llama 2 13B": 24.2,
    "Llama 2 34B": 42.2,
    "Llama 2 70B": 56.5,
    "Code Llama 7B": 13.0,
    "Code Llama 13B": 20.8,
    "Code Llama 34B": 32.7,
    "Code Llama - Python 7B": 13.0,
    "Code Llama - Python 13B": 22.1,
    "Code Llama - Python 34B": 34.4,
}
_FINAL = re.compile(r"####\s*(-?[\d,]*\.?\d+)\s*$")
SHOTS = """\
# Question: A baker fills 12 trays with 8 rolls each. He sells 70 rolls and gives 6 to a \
neighbour. How many rolls are left?
def solution():
    rolls = 12 * 8
    left = rolls - 70 - 6
    return left

# Question: A train ticket costs $40. Children pay half of it. What do two adults and three \
children pay in dollars?
def solution():
    adult = 40
    child = adult / 2
    total = 2 * adult + 3 * child
    return total

# Question: Mira reads 15 pages a day from Monday to Friday, and 20 % more on each day of the \
weekend. How many pages does she read in four weeks?
def solution():
    workday = 15
    weekend_day = workday * 120 / 100
    week = 5 * workday + 2 * weekend_day
    return 4 * week

"""


@dataclass(frozen=True, kw_only=True)
class Gsm8k:
    """Implements `Task`."""

    @property
    def declaration(self) -> Declaration:
        return Declaration(
            name="gsm8k",
            title="GSM8K with programs",
            protocol="three-shot, the examples our own: the model writes solution(), which must"
            " return the answer within 1e-3; cut at the next question",
            source="arXiv 2110.14168; programs as in arXiv 2211.10435; prompt: this project",
            measure="pass@k",
            decoding=Decoding(max_tokens=512, stop=("\n# Question:", "\ndef ", "\nclass ")),
            data=(SOURCE,),
            published=tuple(
                Published(
                    model=model,
                    measure="pass@1",
                    value=value,
                    source=PAPER,
                    protocol="no programs; prompt unpublished",
                )
                for model, value in _SCORES.items()
            ),
        )

    def problems(self, files: Mapping[str, bytes]) -> Sequence[Problem]:
        found = rows(SOURCE.name, files[SOURCE.name], ("question", "answer"))
        return [
            Problem(
                id=f"GSM8K/{number}",
                facts={"question": row["question"], "value": _value(number, str(row["answer"]))},
            )
            for number, row in enumerate(found)
        ]

    def prompt(self, problem: Problem) -> Prompt:
        return Complete(text=f"{SHOTS}{_question(problem)}def solution():\n")

    def grade(self, problem: Problem, answer: str) -> Grade:
        # What float() gives is a number, whatever an object claims to equal.
        program = f"def solution():\n{answer}\n"
        value = problem.facts["value"]
        tests = f"_found = solution()\nassert abs(float(_found) - {value}) < 1e-3\n"
        apart = Apart(program=program, tests=tests)
        return Trial(language="python", program=program + tests, complete=True, apart=apart)

    def solution(self, problem: Problem) -> str | None:
        return f"    return {problem.facts['value']}\n"

    def mutant(self, problem: Problem) -> str | None:
        return f"    return {problem.facts['value']} + 1\n"


def _question(problem: Problem) -> str:
    # One comment line: questions of the data have line breaks here and there.
    return f"# Question: {' '.join(str(problem.facts['question']).split())}\n"


def _value(number: int, answer: str) -> float:
    found = _FINAL.search(answer.strip())
    if found is None:
        raise DataError(
            f"benchmark file {SOURCE.name} is malformed",
            got=f"row {number + 1} ends with {json.dumps(answer[-30:])}",
            allowed="#### and a number",
            remedy="remove it and fetch it again",
        )
    value = float(found[1].replace(",", ""))
    return int(value) if value.is_integer() else value
