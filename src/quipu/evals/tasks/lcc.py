"""Completion of the next line in long files, in the format of LCC (arXiv 2306.14893).

Protocol of the Code Llama paper, table 7: greedy, the line after the context, exact match and BLEU;
models that are not tuned for long contexts see its last 4,000 tokens. White space around the line
is removed; only the first line of an answer that is not empty counts. The paper's sample (548, 412
and 512 files, evened out by length) was never published, so its scores stand beside others' files
for orientation only. It does not say which BLEU: here that of `grading.bleu.lines`. In place of
4,000 tokens, which differ by tokenizer, the narrow tasks show the last 12,000 characters, from the
beginning of a line. What does not fit a model's context is left out, line by line.

The files are the user's: JSON lines with `context` and `gt`. `held_out` makes such rows of any
documents.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from quipu.evals.data import Source
from quipu.evals.grading import bleu
from quipu.evals.grading.match import first_line, similarity
from quipu.evals.task import (
    Complete,
    Declaration,
    Decoding,
    Grade,
    Problem,
    Prompt,
    Published,
    Score,
)
from quipu.evals.tasks.lines import rows

PAPER = "arXiv 2308.12950, table 7"
LANGUAGES = {"python": "Python", "java": "Java", "csharp": "C#"}
NARROW = 12_000  # characters
_SCORES = {  # exact match and BLEU of the languages, with and without tuning for long contexts
    "Code Llama 7B": ((39.23, 61.84), (51.94, 71.89), (50.20, 70.22)),
    "Code Llama 13B": ((41.06, 62.76), (52.67, 72.29), (52.15, 71.00)),
    "Code Llama 34B": ((44.89, 65.99), (56.80, 73.79), (53.71, 72.69)),
}
_SCORES_NARROW = {
    "Code Llama 7B": ((36.86, 60.16), (47.82, 69.20), (46.29, 67.75)),
    "Code Llama 13B": ((37.96, 61.33), (50.49, 69.99), (49.22, 69.87)),
    "Code Llama 34B": ((42.52, 63.74), (54.13, 72.38), (52.34, 71.36)),
}
_SHORTEST = 10  # characters of a line that is asked for in held-out documents


@dataclass(frozen=True, kw_only=True)
class Lcc:
    """Implements `Task`: one language, with all of the context or the last of it."""

    language: str
    narrow: bool = False

    @property
    def source(self) -> Source:
        """The user's file."""
        return Source(path=f"lcc/{self.language}.jsonl", sha256="")

    @property
    def declaration(self) -> Declaration:
        shown = f"the last {NARROW:,} characters" if self.narrow else "all"
        return Declaration(
            name=f"lcc-{self.language}{'-narrow' if self.narrow else ''}",
            title=f"Line completion in long files, {LANGUAGES[self.language]}",
            protocol=f"greedy; {shown} of the context; first line of the answer that is not empty,"
            " white space around it removed, equals the next line; BLEU and similarity beside it",
            source=PAPER,
            measure="exact match",
            decoding=Decoding(max_tokens=128),
            data=(self.source,),
            published=self._published(),
        )

    def _published(self) -> tuple[Published, ...]:
        row = list(LANGUAGES).index(self.language)
        note = "a balanced sample that was not published" + (
            "; the last 4,000 tokens, a model before its tuning for long contexts"
            if self.narrow
            else ""
        )
        return tuple(
            Published(model=model, measure=measure, value=value, source=PAPER, protocol=note)
            for model, languages in (_SCORES_NARROW if self.narrow else _SCORES).items()
            for measure, value in zip(("exact match", "BLEU"), languages[row], strict=True)
        )

    def problems(self, files: Mapping[str, bytes]) -> Sequence[Problem]:
        name, keys = self.source.name, ("context", "gt")
        return [
            Problem(id=f"{self.language}/{number}", facts={key: row[key] for key in keys})
            for number, row in enumerate(rows(name, files[name], keys))
        ]

    def prompt(self, problem: Problem) -> Prompt:
        text = str(problem.facts["context"])
        if self.narrow and len(text) > NARROW:
            text = text[-NARROW:].partition("\n")[2] or text[-NARROW:]
        return Complete(text=text, cut=True)

    def grade(self, problem: Problem, answer: str) -> Grade:
        return graded(answer, str(problem.facts["gt"]))

    def solution(self, problem: Problem) -> str | None:
        return f"{problem.facts['gt']}\n"

    def mutant(self, problem: Problem) -> str | None:
        return f"{problem.facts['gt']} mutant\n"


def graded(answer: str, line: str) -> Score:
    """Exact match of the first line, with BLEU and similarity."""
    found, wanted = first_line(answer), line.strip()
    measures = {"BLEU": bleu.lines(found, wanted), "similarity": similarity(found, wanted)}
    return Score(value=float(found == wanted), measures=measures, detail=found)


def held_out(documents: Iterable[str], key: str = "lcc") -> Iterator[dict[str, str]]:
    """Rows in LCC's format: of each document a line in its second half, chosen by key and text.

    Documents without a line of some length there give none.
    """
    for text in documents:
        lines = text.splitlines(keepends=True)
        fit = [
            number
            for number in range(len(lines) // 2, len(lines))
            if number and len(lines[number].strip()) >= _SHORTEST
        ]
        if fit:
            digest = hashlib.sha256(f"{key}\0{text}".encode(errors="surrogatepass")).digest()
            chosen = fit[int.from_bytes(digest[:8], "little") % len(fit)]
            yield {"context": "".join(lines[:chosen]), "gt": lines[chosen].rstrip("\r\n")}
