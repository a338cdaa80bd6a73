"""What a scorecard asks of a model, and how much of it.

The numbers are chosen for a model of some million parameters on two cores: about 2,700 answers and
half a million tokens. What is less than the benchmark's protocol is said in the scorecard: first
problems only, fewer samples, a bound on tokens.
"""

from dataclasses import dataclass, replace

from quipu.evals.registry import find
from quipu.evals.task import Measured, Task
from quipu.evals.tasks.key_retrieval import KeyRetrieval
from quipu.evals.tasks.multipl_e import NAMES


@dataclass(frozen=True, kw_only=True)
class Part:
    """One task, with what differs from its protocol."""

    task: Task | Measured
    limit: int | None = None  # problems
    samples: int | None = None
    max_tokens: int | None = None


# Task or pattern: problems (0: all), samples (0: as declared), tokens (0: as declared).
_ASKED: dict[str, tuple[int, int, int]] = {
    "humaneval": (0, 0, 256),
    "humaneval-plus": (0, 0, 256),
    "humaneval-plus-mini": (0, 0, 256),
    "mbpp": (50, 20, 160),
    "mbpp-plus": (100, 0, 256),
    **{f"multipl-e-{name}": (25, 0, 192) for name in NAMES},
    "infilling-single-line-*": (150, 0, 64),
    "infilling-multi-line-*": (60, 0, 128),
    "infilling-random-span-light-*": (82, 0, 96),
    "santacoder-py-*": (200, 0, 48),
    "santacoder-java-*": (40, 0, 48),
    "santacoder-js-*": (40, 0, 48),
    "docstring": (100, 0, 48),
    "lcc-python": (100, 0, 48),
    "repobench-*": (0, 0, 48),
    "cruxeval-*": (40, 5, 48),
    "gsm8k": (50, 0, 160),
    "apps": (20, 5, 256),
    "apps-sample": (0, 5, 256),
    "key-retrieval": (16, 0, 0),  # examples for each length and place
    "perplexity": (0, 0, 0),
}


def parts() -> tuple[Part, ...]:
    """All of them, in the order of the scorecard."""
    return tuple(_part(task, *asked) for name, asked in _ASKED.items() for task in find([name]))


def _part(task: Task | Measured, limit: int, samples: int, max_tokens: int) -> Part:
    if isinstance(task, KeyRetrieval):
        task, limit = replace(task, examples=limit), 0
    return Part(
        task=task,
        limit=limit or None,
        samples=samples or None,
        max_tokens=max_tokens or None,
    )
