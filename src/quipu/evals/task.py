"""The seam of a benchmark: its problems, its prompts, and how an answer is graded.

A task says everything that can move its number: prompt, stop strings, decoding, data with hashes.
The runner does the rest, the same for all.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from quipu.evals.data import Source
from quipu.llm import LLM
from quipu.request import Sampling
from quipu.sandbox.program import Apart, Limits
from quipu.text.chat import Message
from quipu.text.infill import Order


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One problem. `facts` is what the task's own functions need; plain JSON values."""

    id: str
    facts: Mapping[str, object]
    group: str = ""  # a part of the benchmark that gets a score of its own, if any


@dataclass(frozen=True, kw_only=True)
class Complete:
    """Continue a text, to the byte: nothing is stripped.

    `cut`: where it is longer than the model's context, it loses lines at its beginning.
    """

    text: str
    cut: bool = False


@dataclass(frozen=True, kw_only=True)
class Infill:
    """Write what is between two texts."""

    prefix: str
    suffix: str
    order: Order = "psm"


@dataclass(frozen=True, kw_only=True)
class Chat:
    """Answer a conversation."""

    messages: tuple[Message, ...]


Prompt = Complete | Infill | Chat


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """How samples are drawn. Temperature 0 is greedy, and then one sample says all."""

    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    samples: int = 1
    stop: tuple[str, ...] = ()
    heal: bool = False  # token healing changes prompts; the paper has none

    def sampling(self, seed: int) -> Sampling:
        """One sample as a backend is asked for it. Raises UsageError for values out of range."""
        return Sampling(
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            seed=seed,
            stop=self.stop,
        )


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A program that tells right from wrong: right if it passes in the sandbox."""

    language: str  # of sandbox.languages
    program: str
    stdin: str = ""
    expected_stdout: str | None = None  # compared after stripping trailing white space of lines
    complete: bool = False  # a Python program must reach its last statement
    apart: Apart | None = None  # the tests that a Python program ends with, kept out of its reach
    limits: Limits | None = None


@dataclass(frozen=True, kw_only=True)
class Score:
    """A grade that needs no program, from 0 to 1; further measures beside it."""

    value: float
    measures: Mapping[str, float] = field(default_factory=dict)
    detail: str = ""


Grade = Trial | Score


@dataclass(frozen=True, kw_only=True)
class Published:
    """A number that others have printed, and under which protocol."""

    model: str
    measure: str  # "pass@1", "exact match", "BLEU"
    value: float  # per cent, as printed
    source: str  # "arXiv 2308.12950, table 2"
    protocol: str = ""  # how it differs from the task's own, if it does
    group: str = ""


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """What a number means: stored with it."""

    name: str  # "humaneval"
    title: str
    protocol: str  # in words: prompt, shots, truncation, grading, and what the source leaves open
    source: str  # where the protocol is from
    measure: Literal["pass@k", "exact match", "mean"]
    decoding: Decoding
    data: tuple[Source, ...]
    ks: tuple[int, ...] = (1,)  # of pass@k; those above the number of samples are left out
    published: tuple[Published, ...] = ()


class Task(Protocol):
    """A benchmark. Frozen, picklable; every method a pure function."""

    @property
    def declaration(self) -> Declaration: ...

    def problems(self, files: Mapping[str, bytes]) -> Sequence[Problem]:
        """All problems in their official order, from the contents of the declared files by name.

        Raises DataError for a file that is not what it should be.
        """

    def prompt(self, problem: Problem) -> Prompt:
        """What the model is asked."""

    def grade(self, problem: Problem, answer: str) -> Grade:
        """How an answer, as the model gave it up to a stop string, is graded."""

    def solution(self, problem: Problem) -> str | None:
        """An answer that must pass, for the self-test; None where the data holds none."""

    def mutant(self, problem: Problem) -> str | None:
        """An answer that must not pass, for the self-test; None where none can be made."""


@runtime_checkable
class Measured(Protocol):
    """A benchmark of the model's own scores, such as perplexity: nothing is sampled or judged.

    Its declaration's decoding is not used.
    """

    @property
    def declaration(self) -> Declaration: ...

    def measure(
        self, llm: LLM, files: Mapping[str, bytes], told: Callable[[int, int], None]
    ) -> Mapping[str, float]:
        """Numbers by name, from the contents of the declared files by name.

        Calls `told(done, of)` after each part of the work, at least every few seconds; whatever it
        raises must be let through. Raises AbilityError, before any work, for a model that cannot
        give what is needed, and DataError for a malformed file.
        """


@runtime_checkable
class Bounded(Protocol):
    """A task that leaves out what a model has no room for."""

    def left_out(self, context: int) -> str:
        """What that is, for a model of so many tokens; empty if it is nothing."""


@runtime_checkable
class Whole(Protocol):
    """A task whose files hold more problems than it asks: the self-test tries them all."""

    def whole(self, files: Mapping[str, bytes]) -> Sequence[Problem]:
        """Every problem of the files. Raises as `Task.problems` does."""
