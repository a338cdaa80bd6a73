"""HumanEval: 164 Python functions written from their docstrings (arXiv 2107.03374).

Protocol of the Code Llama paper: zero-shot, the prompt to the byte (it ends with a line break), cut
at stop strings, all tests of a problem must hold. What the paper leaves open: the most tokens of an
answer (here 512), and the stop strings (here those of the harness that its authors point to).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

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
from quipu.evals.tasks.python_stops import STOPS
from quipu.sandbox.program import Apart

PAPER = "arXiv 2308.12950, table 2"
SOURCE = Source(
    path="humaneval/HumanEval.jsonl.gz",
    sha256="b796127e635a67f93fb35c04f4cb03cf06f38c8072ee7cee8833d7bee06979ef",
    url="https://github.com/openai/human-eval/raw/6d43fb980f9fee3c892a914eda09951f772ad10d/data/HumanEval.jsonl.gz",
    licence="MIT",
)
GREEDY = Decoding(max_tokens=512, stop=STOPS)
_SCORES = {  # pass@1, pass@10, pass@100
    "Code Llama 7B": (33.5, 59.6, 85.9),
    "Code Llama 13B": (36.0, 69.4, 89.8),
    "Code Llama 34B": (48.8, 76.8, 93.0),
    "Code Llama 70B": (53.0, 84.6, 96.2),
    "Code Llama - Python 7B": (38.4, 70.3, 90.6),
    "Code Llama - Python 13B": (43.3, 77.4, 94.1),
    "Code Llama - Python 34B": (53.7, 82.8, 94.7),
    "Code Llama - Python 70B": (57.3, 89.3, 98.4),
    "Code Llama - Instruct 7B": (34.8, 64.3, 88.1),
    "Code Llama - Instruct 13B": (42.7, 71.6, 91.6),
    "Code Llama - Instruct 34B": (41.5, 77.2, 93.5),
    "Code Llama - Instruct 70B": (67.8, 90.3, 97.3),
    "Unnatural Code Llama 34B": (62.2, 85.2, 95.4),
    "StarCoderBase 15.5B": (30.4,),
    "GPT-3.5": (48.1,),
    "GPT-4": (67.0,),
}
_SMALL = {  # arXiv 2107.03374 table 1, and the models' own cards
    "Codex 12M": 2.00,
    "Codex 25M": 3.21,
    "Codex 42M": 5.06,
    "Codex 85M": 8.22,
    "CodeParrot-small 110M": 3.80,
}


def _published() -> tuple[Published, ...]:
    big = [
        Published(model=model, measure=f"pass@{k}", value=value, source=PAPER)
        for model, values in _SCORES.items()
        for k, value in zip((1, 10, 100), values, strict=False)
    ]
    small = [
        Published(model=model, measure="pass@1", value=value, source="arXiv 2107.03374; model card")
        for model, value in _SMALL.items()
    ]
    return (*big, *small)


@dataclass(frozen=True, kw_only=True)
class HumanEval:
    """Implements `Task`."""

    decoding: Decoding = GREEDY

    @property
    def declaration(self) -> Declaration:
        return Declaration(
            name="humaneval",
            title="HumanEval",
            protocol="zero-shot; the prompt unstripped, to the byte; answers cut at stop strings;"
            " prompt + answer + tests must run to their last statement",
            source=PAPER,
            measure="pass@k",
            decoding=self.decoding,
            data=(SOURCE,),
            ks=(1, 10, 100),
            published=_published(),
        )

    def problems(self, files: Mapping[str, bytes]) -> Sequence[Problem]:
        keys = ("task_id", "prompt", "entry_point", "canonical_solution", "test")
        found = rows(SOURCE.name, files[SOURCE.name], keys)
        return [Problem(id=str(row["task_id"]), facts={k: row[k] for k in keys}) for row in found]

    def prompt(self, problem: Problem) -> Prompt:
        return Complete(text=str(problem.facts["prompt"]))

    def grade(self, problem: Problem, answer: str) -> Grade:
        prompt, solution = problem.facts["prompt"], problem.facts["canonical_solution"]
        return checked(problem, f"{prompt}{answer}", f"{prompt}{solution}")

    def solution(self, problem: Problem) -> str | None:
        return str(problem.facts["canonical_solution"])

    def mutant(self, problem: Problem) -> str | None:
        return "    return NotImplemented\n"


def checked(problem: Problem, program: str, reference: str) -> Trial:
    """A program followed by its HumanEval tests, some of which use functions of the prompt."""
    entry = str(problem.facts["entry_point"])
    tests = f"{problem.facts['test']}\ncheck({entry})\n"
    apart = Apart(program=program, tests=tests, before=reference, names=(entry,))
    return Trial(language="python", program=f"{program}\n{tests}", complete=True, apart=apart)


def sampled(task: HumanEval, samples: int = 200) -> HumanEval:
    """The paper's setting for pass@10 and pass@100."""
    return replace(
        task, decoding=replace(task.decoding, temperature=0.8, top_p=0.95, samples=samples)
    )
