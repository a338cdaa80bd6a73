"""HumanEval infilling: a line, several lines, or any span of HumanEval's solutions is missing.

Source: arXiv 2207.14255; the Code Llama paper, table 14: greedy, pass@1 with the original tests, in
PSM and in SPM order, no token healing, no stop strings: the model ends its middle with <EOT>. The
random-span files lie under other names than the official code asks for; these are the files.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quipu.evals.data import Source
from quipu.evals.task import Declaration, Decoding, Grade, Infill, Problem, Prompt, Published
from quipu.evals.tasks.humaneval import checked
from quipu.evals.tasks.lines import rows
from quipu.text.infill import Order

PAPER = "arXiv 2308.12950, table 14"
_COMMIT = "88062ff9859c875d04db115b698ed4b0f0395170"
_FILES = {
    "single-line": (
        "SingleLineInfilling",
        "1277073e7ddce163ef68598c2bca777f688a53df99422f097e37362090f88e1f",
    ),
    "multi-line": (
        "MultiLineInfilling",
        "2f341612eee1d35da1357a4f365e0c0b3ba6e2b62eb491e88aaefa4855af0349",
    ),
    "random-span": (
        "RandomSpanInfilling",
        "b4f330d8a8ff97bf85d9def497dffcae4d741e506449386a877236e422e33e8d",
    ),
    "random-span-light": (
        "RandomSpanInfillingLight",
        "1432250ecac0cb56e6f97f8faf0970419ef892a98fda7e1f5aa4c4b87209b760",
    ),
}
_SCORES = {  # model: PSM and SPM of single-line, multi-line, random-span
    "Code Llama 7B": ((74.1, 83.3), (48.2, 50.8), (59.7, 39.0)),
    "Code Llama 13B": ((75.9, 85.6), (51.0, 56.1), (63.6, 41.9)),
}
KINDS = tuple(_FILES)


@dataclass(frozen=True, kw_only=True)
class Infilling:
    """Implements `Task`: one of the sets in one order."""

    kind: str
    order: Order

    @property
    def source(self) -> Source:
        """The set's file."""
        name, sha256 = _FILES[self.kind]
        file = f"HumanEval-{name}.jsonl.gz"
        return Source(
            path=f"humaneval-infilling/{file}",
            sha256=sha256,
            url=f"https://github.com/openai/human-eval-infilling/raw/{_COMMIT}/data/{file}",
            licence="MIT",
        )

    @property
    def declaration(self) -> Declaration:
        return Declaration(
            name=f"infilling-{self.kind}-{self.order}",
            title=f"HumanEval infilling, {self.kind}, {self.order.upper()}",
            protocol=f"the middle between prefix and suffix in {self.order.upper()} order; greedy;"
            " ends with <EOT>, no stop strings, no healing; the function's original tests",
            source=PAPER,
            measure="pass@k",
            decoding=Decoding(max_tokens=512),
            data=(self.source,),
            published=self._published(),
        )

    def _published(self) -> tuple[Published, ...]:
        if self.kind not in KINDS[:3]:
            return ()
        row, column = KINDS.index(self.kind), 0 if self.order == "psm" else 1
        return tuple(
            Published(model=model, measure="pass@1", value=values[row][column], source=PAPER)
            for model, values in _SCORES.items()
        )

    def problems(self, files: Mapping[str, bytes]) -> Sequence[Problem]:
        keys = ("task_id", "entry_point", "prompt", "suffix", "canonical_solution", "test")
        found = rows(self.source.name, files[self.source.name], keys)
        return [Problem(id=str(row["task_id"]), facts={k: row[k] for k in keys}) for row in found]

    def prompt(self, problem: Problem) -> Prompt:
        facts = problem.facts
        return Infill(prefix=str(facts["prompt"]), suffix=str(facts["suffix"]), order=self.order)

    def grade(self, problem: Problem, answer: str) -> Grade:
        facts = problem.facts
        program, reference = (
            f"{facts['prompt']}{middle}{facts['suffix']}"
            for middle in (answer, facts["canonical_solution"])
        )
        return checked(problem, program, reference)

    def solution(self, problem: Problem) -> str | None:
        return str(problem.facts["canonical_solution"])

    def mutant(self, problem: Problem) -> str | None:
        # Neither a statement nor an expression, wherever it stands.
        return " ) return ( "
