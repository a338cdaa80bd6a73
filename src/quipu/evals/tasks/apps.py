"""APPS: programming contests, in three levels of difficulty (arXiv 2105.09938).

Protocol of the Code Llama paper, tables 3 and 15: two shots for models that are not tuned, none for
tuned ones (figure 14's prompt, the answer between ``` fences); 0.6, top-p 0.95; answers run as they
are, no filter by example tests; all tests of a problem must hold. The paper does not name its two
shots nor prints their layout to the byte: here each is "Q:", the question, "A:" and code between
''' quotes, and the shots are the first two problems of the file that has them, which are not asked.

The data is the user's: one JSON line per problem with `id`, `question`, `solutions`,
`input_output`, `difficulty` and `starter_code`, as the data set's own JSON lines have them
(`solutions` and `input_output` as JSON in a string). A problem with `fn_name` calls that function,
or that method of `Solution`, with every input; one without is a program that reads standard input
and whose output must have the same words in the same lines. A folder for each problem, as the data
set's own archive has them, does as well: `question.txt`, `solutions.json`, `input_output.json`,
`metadata.json` with the difficulty, and `starter_code.py` for some.
"""

import inspect
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from quipu.errors import DataError
from quipu.evals.data import Source
from quipu.evals.grading import contest, contestant
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
from quipu.sandbox.program import Apart, Limits
from quipu.text.chat import Message

SHOTS = 2
LEVELS = ("introductory", "interview", "competition")
_KEYS = ("id", "question", "solutions", "input_output")
TEST = Source(path="apps/test.jsonl", sha256="", licence="MIT")
SAMPLE = Source(  # five problems that the data set has for training
    path="apps/sample",
    sha256="03b252dee7b80f2c846e6d37946eb8387d5853f8d5de7da872547525857ed47b",
    licence="MIT",
)
_FENCED = re.compile(r"```(?:python|py)?[ \t]*\n?(.*?)(?:```|\Z)", re.DOTALL)
_STDIN, _CALL = "read from and write to standard IO", "use the provided function signature"
_LIMITS = Limits(cpu_s=30)  # of all tests of a problem; the data set gives 4 s for each
_TWO_SHOT = {  # pass@5, pass@10, pass@100 of the levels
    "Code Llama 7B": ((10.8, 15.6, 33.5), (2.0, 3.1, 9.4), (0.8, 1.4, 7.1)),
    "Code Llama 13B": ((23.7, 30.2, 49.0), (5.6, 8.1, 18.4), (2.1, 3.4, 12.0)),
    "Code Llama 34B": ((32.8, 39.0, 56.3), (8.8, 12.2, 24.3), (2.9, 4.7, 15.4)),
    "Code Llama - Python 7B": ((12.7, 18.5, 38.3), (4.2, 6.3, 14.9), (1.3, 2.2, 9.1)),
    "Code Llama - Python 13B": ((26.3, 32.8, 51.6), (7.1, 10.0, 21.5), (2.8, 4.3, 14.6)),
    "Code Llama - Python 34B": ((28.9, 35.9, 54.9), (7.8, 11.1, 23.9), (3.5, 5.5, 16.8)),
    "Code Llama - Instruct 7B": ((12.9, 17.9, 35.4), (2.1, 3.1, 9.4), (1.1, 2.0, 8.5)),
    "Code Llama - Instruct 13B": ((24.0, 30.3, 48.7), (6.9, 9.6, 19.6), (2.4, 3.8, 13.1)),
    "Code Llama - Instruct 34B": ((31.6, 37.8, 55.7), (7.9, 11.1, 22.8), (3.2, 5.1, 16.4)),
}
_ZERO_SHOT = {
    "Code Llama - Instruct 7B": ((24.9, 29.4, 41.3), (6.3, 8.4, 16.1), (1.9, 3.0, 9.2)),
    "Code Llama - Instruct 13B": ((24.8, 29.8, 43.5), (7.0, 9.2, 17.3), (1.7, 2.5, 6.3)),
    "Code Llama - Instruct 34B": ((19.8, 25.9, 43.5), (5.7, 8.0, 16.9), (1.5, 2.3, 6.4)),
}


@dataclass(frozen=True, kw_only=True)
class Apps:
    """Implements `Task`: two-shot completion, or zero-shot chat, on a file of the user's."""

    source: Source
    zero_shot: bool = False

    @property
    def declaration(self) -> Declaration:
        chat = "zero-shot chat, the prompt of the paper's figure 14, answers between ``` fences"
        shots = "two-shot (the file's first two problems), Q: and A:, code between ''' quotes"
        stop = () if self.zero_shot else ("\n'''", "\nQ:")
        sample = self.source == SAMPLE
        parts = ["apps", "sample" if sample else "", "0-shot" if self.zero_shot else ""]
        title = "APPS, sample of 5 training problems" if sample else "APPS"
        return Declaration(
            name="-".join(part for part in parts if part),
            title=f"{title}{', zero-shot' if self.zero_shot else ''}",
            protocol=f"{chat if self.zero_shot else shots}; all tests of a problem must hold",
            source=f"arXiv 2308.12950, table {15 if self.zero_shot else 3}",
            measure="pass@k",
            decoding=Decoding(max_tokens=1024, temperature=0.6, top_p=0.95, samples=200, stop=stop),
            data=(self.source,),
            ks=(5, 10, 100),
            published=() if sample else self._published(),
        )

    def _published(self) -> tuple[Published, ...]:
        table, number = (_ZERO_SHOT, 15) if self.zero_shot else (_TWO_SHOT, 3)
        return tuple(
            Published(
                model=model,
                measure=f"pass@{k}",
                value=value,
                source=f"arXiv 2308.12950, table {number}",
                group=level,
            )
            for model, levels in table.items()
            for level, values in zip(LEVELS, levels, strict=True)
            for k, value in zip((5, 10, 100), values, strict=True)
        )

    def problems(self, files: Mapping[str, bytes]) -> Sequence[Problem]:
        name = self.source.name
        problems = [self._problem(row) for row in rows(name, files[name], _KEYS)]
        if self.zero_shot:
            return problems
        shots = [problem for problem in problems if problem.facts["solution"]][:SHOTS]
        before = "".join(
            f"{_question(shot.facts)}{shot.facts['solution']}\n'''\n\n" for shot in shots
        )
        return [
            Problem(id=p.id, group=p.group, facts={**p.facts, "shots": before})
            for p in problems
            if p not in shots
        ]

    def _problem(self, row: Mapping[str, object]) -> Problem:
        try:
            tests = json.loads(str(row["input_output"]) or "{}")
            solutions = json.loads(str(row["solutions"]) or "[]")
            about = {**json.loads(str(row.get("metadata", "{}"))), **row}
            level = str(about["difficulty"])
        except (ValueError, KeyError) as error:
            raise DataError(
                f"benchmark file {self.source.name}, problem {row['id']}",
                got=f"no {error}" if isinstance(error, KeyError) else error,
                allowed="input_output and solutions as JSON in a string, and a difficulty",
            ) from error
        facts = {
            "question": row["question"],
            "starter": row.get("starter_code", ""),
            "tests": tests,
            "solution": solutions[0].strip() if solutions else "",
        }
        return Problem(id=f"APPS/{row['id']}", facts=facts, group=level)

    def prompt(self, problem: Problem) -> Prompt:
        facts = problem.facts
        if not self.zero_shot:
            return Complete(text=f"{facts['shots']}{_question(facts)}")
        text = (
            "Write a python code to solve the following coding problem that obeys the constraints"
            " and passes the example test cases. The output code needs to"
            f" {_CALL if _called(facts) else _STDIN}. Please wrap your code answer using ```:\n"
            f"{facts['question']}\n{facts['starter']}"
        )
        return Chat(messages=(Message(role="user", content=text.rstrip()),))

    def grade(self, problem: Problem, answer: str) -> Grade:
        if self.zero_shot:
            fenced = _FENCED.search(answer)
            answer = fenced[1] if fenced else answer
        tests = _tests(problem.facts)
        name = _called(problem.facts)
        program = f"{inspect.getsource(contestant)}\nanswered = contestant({answer!r}, {name!r})\n"
        values = (tests["inputs"], tests["outputs"], bool(name))
        judging = (
            f"{inspect.getsource(contest)}\nfrom math import inf, nan\n"
            f"check(answered, {', '.join(map(repr, values))})\n"
        )
        return Trial(
            language="python",
            program=program + judging,
            complete=True,
            apart=Apart(program=program, tests=judging),
            limits=_LIMITS,
        )

    def solution(self, problem: Problem) -> str | None:
        text = str(problem.facts["solution"])
        return f"```\n{text}\n```" if text and self.zero_shot else text or None

    def mutant(self, problem: Problem) -> str | None:
        return "raise NotImplementedError\n"


def _tests(facts: Mapping[str, object]) -> dict[str, Any]:
    tests = facts["tests"]
    assert isinstance(tests, dict)
    return {"inputs": [], "outputs": [], **tests}


def _called(facts: Mapping[str, object]) -> str:
    return str(_tests(facts).get("fn_name") or "")


def _question(facts: Mapping[str, object]) -> str:
    how = _CALL if _called(facts) else _STDIN
    return f"Q: {str(facts['question']).strip()}\n{facts['starter']}\n({how})\nA:\n'''\n"
