"""CodeXGLUE code-to-text for Python: the docstring of a function (arXiv 2102.04664).

Protocol of the Code Llama paper, table 13: greedy infilling in PSM order; the prefix is the
function up to its docstring, its opening quotes and one space, the suffix what follows the closing
quotes; the first line of the answer that is not empty, against the docstring's own tokens, by
smoothed BLEU-4. The paper removes closing quotes without saying where: here they are left out of
the suffix, and an answer is cut at them. Also left open: the most tokens (here 128).

The file is the user's: the benchmark's `test.jsonl` (14,918 functions) with `code` and
`docstring_tokens`. Functions in which no docstring is found are not asked.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quipu.evals.data import Source
from quipu.evals.grading.bleu import smoothed
from quipu.evals.grading.match import first_line
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

PAPER = "arXiv 2308.12950, table 13"
SOURCE = Source(path="codexglue/test.jsonl", sha256="", licence="C-UDA")
_DOCSTRING = re.compile(r'''[rRuUbB]{0,2}("""|\'\'\')(.*?)\1''', re.DOTALL)
_SCORES = {
    "Code Llama 7B": 20.37,
    "Code Llama 13B": 21.15,
    "InCoder 6B": 18.27,
    "SantaCoder 1.1B": 19.74,
    "StarCoderBase 15.5B": 21.38,
    "StarCoder 15.5B": 21.99,
}


@dataclass(frozen=True, kw_only=True)
class Docstring:
    """Implements `Task`."""

    source: Source = SOURCE

    @property
    def declaration(self) -> Declaration:
        return Declaration(
            name="docstring",
            title="CodeXGLUE docstrings, Python",
            protocol="infilling in PSM order after the opening quotes and a space, no closing"
            " quotes; greedy; first line that is not empty; smoothed BLEU-4, mean over functions",
            source=PAPER,
            measure="mean",
            decoding=Decoding(max_tokens=128),
            data=(self.source,),
            published=tuple(
                Published(model=model, measure="BLEU", value=value, source=PAPER)
                for model, value in _SCORES.items()
            ),
        )

    def problems(self, files: Mapping[str, bytes]) -> Sequence[Problem]:
        name = self.source.name
        found = enumerate(rows(name, files[name], ("code", "docstring_tokens")))
        parts = ((number, row, _split(str(row["code"]))) for number, row in found)
        return [
            Problem(
                id=f"CodeXGLUE/{number}",
                facts={"prefix": split[0], "suffix": split[1], "docstring": _wanted(row)},
            )
            for number, row, split in parts
            if split is not None
        ]

    def prompt(self, problem: Problem) -> Prompt:
        facts = problem.facts
        return Infill(prefix=str(facts["prefix"]), suffix=str(facts["suffix"]), order="psm")

    def grade(self, problem: Problem, answer: str) -> Grade:
        said = first_line(re.split(r'"""|\'\'\'', answer, maxsplit=1)[0])
        return Score(value=smoothed(said, str(problem.facts["docstring"])), detail=said)

    def solution(self, problem: Problem) -> str | None:
        return str(problem.facts["docstring"])

    def mutant(self, problem: Problem) -> str | None:
        return "qqq"


def _split(code: str) -> tuple[str, str] | None:
    """What is before the text of the docstring, and after its closing quotes."""
    found = _DOCSTRING.search(code)
    if found is None:
        return None
    return f'{code[: found.start()]}""" ', code[found.end() :]


def _wanted(row: Mapping[str, object]) -> str:
    tokens = row["docstring_tokens"]
    assert isinstance(tokens, list)
    return " ".join(" ".join(map(str, tokens)).split())
