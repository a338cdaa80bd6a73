"""All tasks by name."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from quipu.errors import UsageError
from quipu.evals.task import Measured, Task
from quipu.evals.tasks.humaneval import HumanEval
from quipu.evals.tasks.infilling import KINDS, Infilling
from quipu.evals.tasks.mbpp import Mbpp

_ALL: tuple[Task | Measured, ...] = (
    HumanEval(),
    Mbpp(),
    Mbpp(zero_shot=True),
    *(Infilling(kind=kind, order=order) for kind in KINDS for order in ("psm", "spm")),
)
# In the order of help texts.
TASKS: Mapping[str, Task | Measured] = {task.declaration.name: task for task in _ALL}


def find(names: Sequence[str]) -> tuple[Task | Measured, ...]:
    """Tasks by names and patterns such as `infilling-*`, each once, in the order of the names.

    Raises UsageError for a name that fits none.
    """
    found: dict[str, Task | Measured] = {}
    for name in names:
        fitting = {known: task for known, task in TASKS.items() if fnmatchcase(known, name)}
        if not fitting:
            raise UsageError("task", got=name, allowed=", ".join(TASKS))
        found |= fitting
    return tuple(found.values())
