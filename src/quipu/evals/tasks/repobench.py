"""RepoBench: the next line of a file, given what it uses from other files (arXiv 2306.03091).

The completion task: pieces of other files as comments, each under its path, then imports and the
file so far; greedy; the first line of the answer that is not empty, white space around it removed,
against the next line: exact match, and edit similarity beside it. A prompt that is longer than the
model's context loses its beginning, line by line. The files are the only part of the benchmark that
is at hand: 20 rows of each language, whose intervals are as wide as that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quipu.evals.data import Source
from quipu.evals.task import Complete, Declaration, Decoding, Grade, Problem, Prompt
from quipu.evals.tasks.lcc import graded
from quipu.evals.tasks.lines import rows

LANGUAGES = {"python": "Python", "java": "Java"}
_SHA256 = {
    "python": "59336fd1ba8528873ba6e6b8afb076ce95249394f23765fa66616a0b774e4029",
    "java": "fdb509c0ec3636d189b9a8a3810e3acc2616379f5ab58dc01e63d5b5305b4363",
}
_KEYS = ("id", "prompt", "next_line")


@dataclass(frozen=True, kw_only=True)
class RepoBench:
    """Implements `Task`: one language."""

    language: str

    @property
    def source(self) -> Source:
        """The sample's file."""
        return Source(
            path=f"repobench/c_{self.language}.jsonl",
            sha256=_SHA256[self.language],
            licence="CC-BY-4.0",
        )

    @property
    def declaration(self) -> Declaration:
        return Declaration(
            name=f"repobench-{self.language}",
            title=f"RepoBench completion, {LANGUAGES[self.language]}, sample of 20",
            protocol="greedy; pieces of other files as comments, then the file so far, its"
            " beginning left out where the context is full; first line of the answer that is not"
            " empty, white space around it removed, equals the next line; similarity beside it",
            source="arXiv 2306.03091, of which 20 rows a language are at hand",
            measure="exact match",
            decoding=Decoding(max_tokens=64),
            data=(self.source,),
        )

    def problems(self, files: Mapping[str, bytes]) -> Sequence[Problem]:
        found = rows(self.source.name, files[self.source.name], _KEYS)
        return [
            Problem(id=f"{self.language}/{row['id']}", facts={key: row[key] for key in _KEYS})
            for row in found
        ]

    def prompt(self, problem: Problem) -> Prompt:
        return Complete(text=str(problem.facts["prompt"]), cut=True)

    def grade(self, problem: Problem, answer: str) -> Grade:
        return graded(answer, str(problem.facts["next_line"]))

    def solution(self, problem: Problem) -> str | None:
        return f"{problem.facts['next_line']}\n"

    def mutant(self, problem: Problem) -> str | None:
        return f"{str(problem.facts['next_line']).rstrip()} mutant\n"  # some end with a return
