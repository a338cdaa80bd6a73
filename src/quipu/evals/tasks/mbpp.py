"""MBPP: 500 Python functions from a sentence and three asserts (arXiv 2108.07732).

The Code Llama paper, table 2: three-shot, tasks 11 to 510. Its prompt was never published; this is
the natural reading, that of the benchmark's own paper: tasks 2, 3 and 4 as examples between [BEGIN]
and [DONE]. Tasks 367 and 927 have set-up code that must run after the solution.

Zero-shot, for tuned models: the paper's figure 13.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from quipu.evals.data import Source
from quipu.evals.task import (
    Chat,
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
from quipu.text.chat import Message

PAPER = "arXiv 2308.12950, table 2"
SOURCE = Source(
    path="mbpp/mbpp.jsonl",
    sha256="ccf64ceae9c5403bf50a044cb6d505bfd2a2963ee58338ba268fd65beab92a9f",
    url="https://github.com/deepseek-ai/DeepSeek-Coder/raw/2f9fd85927c669dae3c0fbb2d607274023af243e/Evaluation/MBPP/data/mbpp.jsonl",
    licence="CC-BY-4.0",
)
SHOTS, TESTED = (2, 3, 4), range(11, 511)
_KEYS = ("text", "code", "task_id", "test_setup_code", "test_list", "challenge_test_list")
_ASK = "You are an expert Python programmer, and here is your task: {task}"
_DEFINED = re.compile(r"^(?:def|class)\s+(\w+)", re.MULTILINE)
_TAGGED = re.compile(r"\[PYTHON\](.*?)(?:\[/PYTHON\]|\Z)", re.DOTALL)
_SCORES = {  # pass@1, pass@10, pass@100
    "Code Llama 7B": (41.4, 66.7, 82.5),
    "Code Llama 13B": (47.0, 71.7, 87.1),
    "Code Llama 34B": (55.0, 76.2, 86.6),
    "Code Llama 70B": (62.4, 81.1, 91.9),
    "Code Llama - Python 7B": (47.6, 70.3, 84.8),
    "Code Llama - Python 13B": (49.0, 74.0, 87.6),
    "Code Llama - Python 34B": (56.2, 76.4, 88.2),
    "Code Llama - Python 70B": (65.6, 81.5, 91.9),
    "Code Llama - Instruct 7B": (44.4, 65.4, 76.8),
    "Code Llama - Instruct 13B": (49.4, 71.2, 84.1),
    "Code Llama - Instruct 34B": (57.0, 74.6, 85.4),
    "Code Llama - Instruct 70B": (62.2, 79.6, 89.2),
}
_ZERO_SHOT = {"Code Llama - Instruct 7B": 37.4, "Code Llama - Instruct 13B": 40.2}


@dataclass(frozen=True, kw_only=True)
class Mbpp:
    """Implements `Task`: three-shot completion, or zero-shot chat."""

    zero_shot: bool = False

    @property
    def declaration(self) -> Declaration:
        if self.zero_shot:
            return Declaration(
                name="mbpp-0-shot",
                title="MBPP, zero-shot",
                protocol="chat, the prompt of the paper's figure 13, answers between [PYTHON]"
                " tags; tasks 11 to 510; set-up code after the solution, then all asserts",
                source="arXiv 2308.12950, figure 13 and table 8",
                measure="pass@k",
                decoding=Decoding(max_tokens=512, stop=("[/PYTHON]",)),
                data=(SOURCE,),
                published=tuple(
                    Published(
                        model=model,
                        measure="pass@1",
                        value=value,
                        source="arXiv 2308.12950, table 8",
                    )
                    for model, value in _ZERO_SHOT.items()
                ),
            )
        return Declaration(
            name="mbpp",
            title="MBPP",
            protocol="three-shot (tasks 2, 3, 4) between [BEGIN] and [DONE]; tasks 11 to 510;"
            " set-up code after the solution, then all asserts",
            source=f"{PAPER}; prompt: arXiv 2108.07732, the paper's own being unpublished",
            measure="pass@k",
            decoding=Decoding(max_tokens=512, stop=("[DONE]",)),
            data=(SOURCE,),
            ks=(1, 10, 100),
            published=tuple(
                Published(model=model, measure=f"pass@{k}", value=value, source=PAPER)
                for model, values in _SCORES.items()
                for k, value in zip((1, 10, 100), values, strict=True)
            ),
        )

    def problems(self, files: Mapping[str, bytes]) -> Sequence[Problem]:
        return _problems(_by_number(files), TESTED)

    def whole(self, files: Mapping[str, bytes]) -> Sequence[Problem]:
        """All tasks of the file, also those that are never asked: implements `Whole`."""
        by_number = _by_number(files)
        return _problems(by_number, sorted(by_number))

    def prompt(self, problem: Problem) -> Prompt:
        facts = problem.facts
        if self.zero_shot:
            text = (
                f"{_ASK.format(task=facts['text'])}\nYour code should pass these tests:\n\n"
                f"{_tests(facts)}\nYour code should start with a [PYTHON] tag and end with a"
                " [/PYTHON] tag."
            )
            return Chat(messages=(Message(role="user", content=text),))
        return Complete(text=f"{facts['shots']}{_question(facts)}")

    def grade(self, problem: Problem, answer: str) -> Grade:
        if self.zero_shot:
            tagged = _TAGGED.search(answer)
            answer = tagged[1] if tagged else answer
        facts = problem.facts
        tests = f"{facts['test_setup_code']}\n{_tests(facts)}\n"
        names = tuple(_DEFINED.findall(str(facts["code"])))  # one is called sum
        apart = Apart(program=answer, tests=tests, names=names)
        program = f"{answer}\n{tests}"
        return Trial(language="python", program=program, complete=True, apart=apart)

    def solution(self, problem: Problem) -> str | None:
        return str(problem.facts["code"])

    def mutant(self, problem: Problem) -> str | None:
        return "raise NotImplementedError\n"


def _by_number(files: Mapping[str, bytes]) -> dict[int, dict[str, object]]:
    found = rows(SOURCE.name, files[SOURCE.name], _KEYS)
    return {int(str(row["task_id"])): row for row in found}


def _problems(
    by_number: Mapping[int, Mapping[str, object]], numbers: Iterable[int]
) -> list[Problem]:
    shots = "".join(_shot(by_number[number]) for number in SHOTS)
    return [
        Problem(
            id=f"MBPP/{number}",
            facts={**{key: by_number[number][key] for key in _KEYS}, "shots": shots},
        )
        for number in numbers
    ]


def _question(facts: Mapping[str, object]) -> str:
    task = _ASK.format(task=facts["text"])
    return f"{task} Your code should pass these tests:\n\n{_tests(facts)}\n[BEGIN]\n"


def _shot(row: Mapping[str, object]) -> str:
    code = str(row["code"]).replace("\r\n", "\n").replace("\t", "    ")
    return f"{_question(row)}{code}\n[DONE]\n\n"


def _tests(facts: Mapping[str, object]) -> str:
    tests = facts["test_list"]
    assert isinstance(tests, list)
    return "\n".join(tests)
