"""SantaCoder's infilling benchmark: one line of a HumanEval solution is missing (arXiv 2301.03988).

Protocol of the Code Llama paper, table 6: greedy, in PSM and in SPM order, prefix and suffix as the
data has them (without the line breaks around the missing line), exact match of the whole answer,
white space around both removed. Three languages, each a task of its own. What the paper leaves
open: the most tokens (here 128). `first line` says how often the answer merely goes on too long.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quipu.evals.data import Source
from quipu.evals.grading.match import first_line, similarity
from quipu.evals.task import (
    Declaration,
    Decoding,
    Grade,
    Infill,
    Problem,
    Prompt,
    Published,
    Score,
)
from quipu.evals.tasks.lines import rows
from quipu.text.infill import Order

PAPER = "arXiv 2308.12950, table 6"
SOURCE = Source(
    path="santacoder-fim/santacoder-fim-task.jsonl.gz",
    sha256="57d8d2d24004a589e341c39883aabb3ca27138c14e07d908c15eb9cf5cb195ea",
    licence="OpenRAIL",
)
LANGUAGES = {"py": "Python", "java": "Java", "js": "JavaScript"}
_KEYS = ("name", "language", "prompt", "suffix", "canonical_solution")
_SCORES = {  # PSM and SPM of py, java, js
    "Code Llama 7B": ((67.6, 72.7), (74.3, 77.6), (80.2, 82.6)),
    "Code Llama 13B": ((68.3, 74.5), (77.6, 80.0), (80.7, 85.0)),
}
_PEERS = {"InCoder 6B": (31, 49, 51), "SantaCoder 1.1B": (44, 62, 60), "StarCoder": (62, 73, 74)}


@dataclass(frozen=True, kw_only=True)
class SantaCoder:
    """Implements `Task`: one language in one order."""

    language: str
    order: Order

    @property
    def declaration(self) -> Declaration:
        return Declaration(
            name=f"santacoder-{self.language}-{self.order}",
            title=f"SantaCoder infilling, {LANGUAGES[self.language]}, {self.order.upper()}",
            protocol=f"the line between prefix and suffix in {self.order.upper()} order; greedy;"
            " the answer equals the missing line, white space around both removed",
            source=PAPER,
            measure="exact match",
            decoding=Decoding(max_tokens=128),
            data=(SOURCE,),
            published=self._published(),
        )

    def _published(self) -> tuple[Published, ...]:
        row = list(LANGUAGES).index(self.language)
        column = 0 if self.order == "psm" else 1
        ours = {model: values[row][column] for model, values in _SCORES.items()}
        peers = {model: values[row] for model, values in _PEERS.items()}
        note = "each model's own order"
        return (
            *(
                Published(model=model, measure="exact match", value=value, source=PAPER)
                for model, value in ours.items()
            ),
            *(
                Published(
                    model=model, measure="exact match", value=value, source=PAPER, protocol=note
                )
                for model, value in peers.items()
            ),
        )

    def problems(self, files: Mapping[str, bytes]) -> Sequence[Problem]:
        return [
            Problem(id=str(row["name"]), facts={key: row[key] for key in _KEYS})
            for row in rows(SOURCE.name, files[SOURCE.name], _KEYS)
            if row["language"] == self.language
        ]

    def prompt(self, problem: Problem) -> Prompt:
        facts = problem.facts
        return Infill(prefix=str(facts["prompt"]), suffix=str(facts["suffix"]), order=self.order)

    def grade(self, problem: Problem, answer: str) -> Grade:
        wanted = str(problem.facts["canonical_solution"]).strip()
        found = answer.strip()
        measures = {
            "first line": float(first_line(answer) == wanted),
            "similarity": similarity(found, wanted),
        }
        return Score(value=float(found == wanted), measures=measures)

    def solution(self, problem: Problem) -> str | None:
        return f"{problem.facts['canonical_solution']}\n"

    def mutant(self, problem: Problem) -> str | None:
        return f"{problem.facts['canonical_solution']} mutant\n"
