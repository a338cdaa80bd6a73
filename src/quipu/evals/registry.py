"""All tasks by name."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from quipu.errors import UsageError
from quipu.evals.task import Measured, Task
from quipu.evals.tasks import multipl_e, santacoder
from quipu.evals.tasks.apps import SAMPLE, TEST, Apps
from quipu.evals.tasks.cruxeval import CruxEval
from quipu.evals.tasks.docstring import Docstring
from quipu.evals.tasks.gsm8k import Gsm8k
from quipu.evals.tasks.humaneval import HumanEval
from quipu.evals.tasks.infilling import KINDS, Infilling
from quipu.evals.tasks.key_retrieval import FILLER, KeyRetrieval
from quipu.evals.tasks.lcc import LANGUAGES, Lcc
from quipu.evals.tasks.mbpp import Mbpp
from quipu.evals.tasks.multipl_e import MultiplE
from quipu.evals.tasks.perplexity import Perplexity
from quipu.evals.tasks.plus import Plus
from quipu.evals.tasks.repobench import LANGUAGES as REPOBENCH
from quipu.evals.tasks.repobench import RepoBench
from quipu.evals.tasks.santacoder import SantaCoder
from quipu.text.infill import Order

_ORDERS: tuple[Order, ...] = ("psm", "spm")
_ALL: tuple[Task | Measured, ...] = (
    HumanEval(),
    Plus(kind="humaneval"),
    Plus(kind="humaneval-mini"),
    Mbpp(),
    Mbpp(zero_shot=True),
    Plus(kind="mbpp"),
    Plus(kind="mbpp", base=True),
    *(MultiplE(language=language) for language in multipl_e.NAMES),
    MultiplE(language="cs", repaired=True),
    *(MultiplE(language=language, origin="mbpp") for language in multipl_e.NAMES),
    *(Infilling(kind=kind, order=order) for kind in KINDS for order in _ORDERS),
    *(
        SantaCoder(language=language, order=order)
        for language in santacoder.LANGUAGES
        for order in _ORDERS
    ),
    CruxEval(asks="input"),
    CruxEval(asks="output"),
    Gsm8k(),
    *(Apps(source=s, zero_shot=zero_shot) for s in (TEST, SAMPLE) for zero_shot in (False, True)),
    Docstring(),
    *(Lcc(language=language, narrow=narrow) for language in LANGUAGES for narrow in (False, True)),
    *(RepoBench(language=language) for language in REPOBENCH),
    KeyRetrieval(),
    KeyRetrieval(filler=FILLER),
    Perplexity(),
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
