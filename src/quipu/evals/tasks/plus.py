"""HumanEval+ and MBPP+: the same functions against many more inputs (arXiv 2305.01210).

Protocol of EvalPlus 0.3.1 for models that are not tuned: zero-shot, the prompt stripped and one
line break, greedy, cut at its stop strings; prompt + answer is a module whose function must return
for every input what the reference returns, within the problem's tolerance (`grading.plus`).
Expected values are in none of the files: the reference runs beside the tests. What
differs: EvalPlus also takes the answer apart and drops what the function does not need, and its
time limit follows the reference's time on the machine; here nothing is dropped, and reference and
answer have 60 s of CPU time for all inputs and 4 GiB. The contracts in the data bound inputs, and
all inputs keep them; they play no part in a verdict.

JSON has no tuples, sets and complex numbers: MBPP+ names by number the problems that take them.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from quipu.evals.data import Source
from quipu.evals.grading import plus
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
from quipu.sandbox.program import Apart, Limits

PAPER = "EvalPlus leaderboard, greedy"
LIMITS = Limits(cpu_s=60, memory_bytes=4 * 2**30)
STOPS = {
    "humaneval": ("\ndef ", "\nclass ", "\nimport ", "\nfrom ", "\nassert "),
    "mbpp": ('\n"""', "\nassert"),
}
_MAIN = ("\nif __name__", "\ndef main(", "\nprint(")  # where either ends
_KEYS = (
    "task_id", "prompt", "entry_point", "canonical_solution", "base_input", "plus_input", "atol",
)  # fmt: skip
_HUMANEVAL = (
    "https://github.com/evalplus/humanevalplus_release/raw/200defce9e3429d28ca215b6dd061c0f7f31c18b"
)
_MBPP = "https://github.com/evalplus/mbppplus_release/raw/dadf43da556a00f7bacd71cb154f2932757d9144"
SOURCES = {
    "humaneval": Source(
        path="evalplus/HumanEvalPlus.jsonl.gz",
        sha256="272720b90ac375502c8ed23cd791c2a93dfb22a911641a494da74a426c09f101",
        url=f"{_HUMANEVAL}/HumanEvalPlus.jsonl.gz",
        licence="Apache-2.0",
    ),
    "humaneval-mini": Source(
        path="evalplus/HumanEvalPlus-Mini.jsonl.gz",
        sha256="91486741f1627101021fbe50523df08eebb5b0bf5e804b633dcd5ca3c14dbd2f",
        url=f"{_HUMANEVAL}/HumanEvalPlus-Mini.jsonl.gz",
        licence="Apache-2.0",
    ),
    "mbpp": Source(
        path="evalplus/MbppPlus.jsonl.gz",
        sha256="af43697e8791c4c149bdfd6b489d8b5412507551ac20e28a439f650b8225db63",
        url=f"{_MBPP}/MbppPlus.jsonl.gz",
        licence="Apache-2.0",
    ),
}
_TITLES = {"humaneval": "HumanEval+", "humaneval-mini": "HumanEval+ (mini)", "mbpp": "MBPP+"}
_SCORES = {  # pass@1 of HumanEval, HumanEval+, MBPP, MBPP+
    "Code Llama 7B": (37.8, 35.4, 59.5, 46.8),
    "Code Llama 13B": (42.7, 38.4, 63.5, 52.6),
    "Code Llama 34B": (51.8, 43.9, 69.3, 56.3),
    "Code Llama 70B": (55.5, 50.6),
    "Code Llama - Instruct 70B": (72.0, 65.9),
}
# The answer is a module of its own, and runs as that, not as a main program.
_PROGRAM = """\
_scope = {{"__name__": "answer"}}
exec({answer!r}, _scope)


def answered(*given):
    return _scope[{entry!r}](*given)


"""
_ONCE, _TWICE = (
    {2, 116, 132, 143, 222, 261, 273, 394, 399, 421, 424, 429, 470, 560, 579, 596, 616, 630, 726,
     740, 744, 809},
    {63, 64, 70, 94, 120, 237, 272, 299, 400, 409, 417, 438, 473, 614, 780},
)  # fmt: skip
_FIRST_ITEMS, _SECOND, _FIRST, _BOTH, _ALL = (
    {75, 413, 444, 753},
    {106, 750},
    {250, 307, 405, 446, 617, 720, 763, 808},
    {259, 401, 445},
    {580, 615, 791},
)


@dataclass(frozen=True, kw_only=True)
class Plus:
    """Implements `Task`: one of SOURCES, with all inputs or the original ones alone."""

    kind: Literal["humaneval", "humaneval-mini", "mbpp"]
    base: bool = False

    @property
    def source(self) -> Source:
        """The set's file."""
        return SOURCES[self.kind]

    @property
    def declaration(self) -> Declaration:
        original, _, mini = self.kind.partition("-")
        parts = [f"{original}-plus", mini, "base" if self.base else ""]
        return Declaration(
            name="-".join(part for part in parts if part),
            title=f"{_TITLES[self.kind]}{', original inputs' if self.base else ''}",
            protocol="zero-shot; prompt stripped, one line break; cut at EvalPlus's stop strings,"
            " nothing else removed; equal to the reference for every input, floats within 1e-6",
            source="EvalPlus 0.3.1; arXiv 2305.01210",
            measure="pass@k",
            decoding=Decoding(max_tokens=768, stop=(*STOPS[original], *_MAIN)),
            data=(self.source,),
            ks=(1, 10, 100),
            published=self._published(),
        )

    def _published(self) -> tuple[Published, ...]:
        if self.kind == "humaneval-mini":
            return ()
        column = (0 if self.kind == "humaneval" else 2) + (0 if self.base else 1)
        note = "answers taken apart, unneeded parts dropped"
        return tuple(
            Published(
                model=model, measure="pass@1", value=values[column], source=PAPER, protocol=note
            )
            for model, values in _SCORES.items()
            if column < len(values)
        )

    def problems(self, files: Mapping[str, bytes]) -> Sequence[Problem]:
        found = rows(self.source.name, files[self.source.name], _KEYS)
        return [Problem(id=str(row["task_id"]), facts={k: row[k] for k in _KEYS}) for row in found]

    def prompt(self, problem: Problem) -> Prompt:
        return Complete(text=_asked(problem))

    def grade(self, problem: Problem, answer: str) -> Grade:
        facts = problem.facts
        inputs: list[Any] = [*_list(facts["base_input"])]
        if not self.base:
            inputs += _list(facts["plus_input"])
        if self.kind == "mbpp":
            inputs = [typed(int(problem.id.rpartition("/")[2]), given) for given in inputs]
        reference = f"{facts['prompt']}{facts['canonical_solution']}"
        entry = str(facts["entry_point"])
        program = _PROGRAM.format(answer=_asked(problem) + answer, entry=entry)
        values = (entry, inputs, reference, facts["atol"])
        tests = (
            f"{inspect.getsource(plus)}\nfrom math import inf, nan\n"
            f"check(answered, {', '.join(map(repr, values))})\n"
        )
        return Trial(
            language="python",
            program=program + tests,
            complete=True,
            apart=Apart(program=program, tests=tests),
            limits=LIMITS,
        )

    def solution(self, problem: Problem) -> str | None:
        return str(problem.facts["canonical_solution"])

    def mutant(self, problem: Problem) -> str | None:
        head = f"def {problem.facts['entry_point']}(*given):\n" if self.kind == "mbpp" else ""
        return f"{head}    return NotImplemented\n"


def _asked(problem: Problem) -> str:
    return f"{str(problem.facts['prompt']).strip()}\n"


def _list(value: object) -> list[Any]:
    assert isinstance(value, list)
    return value


def typed(number: int, given: list[Any]) -> list[Any]:
    """Arguments of an MBPP+ problem with the types that its function takes."""
    for numbers, convert in _TYPES:
        if number in numbers:
            return convert(given)
    return given


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _items(value: Any) -> list[Any]:
    return [tuple(item) for item in value]


# An empty set is written as {} there, and its reference works on a dictionary.
_TYPES: tuple[tuple[set[int], Callable[[list[Any]], list[Any]]], ...] = (
    (_ONCE, _items),
    (_TWICE, lambda given: [_items(item) for item in given]),
    (_FIRST_ITEMS, lambda given: [_items(given[0]), given[1]]),
    (_SECOND, lambda given: [given[0], tuple(given[1])]),
    (_FIRST, lambda given: [tuple(given[0]), *given[1:]]),
    (_BOTH, lambda given: [tuple(_items(item)) for item in given]),
    (_ALL, lambda given: [_tuples(item) for item in given]),
    ({115}, lambda given: [[set(i) if isinstance(i, list) and i else {} for i in given[0]]]),
    ({124}, lambda given: [float(given[0]), complex(given[1])]),
    ({252}, lambda given: [complex(given[0])]),
    ({278}, lambda given: [tuple(tuple(i) if isinstance(i, list) else i for i in given[0])]),
    ({722}, lambda given: [{name: tuple(row) for name, row in given[0].items()}, *given[1:]]),
)
