"""All tasks: their names, declarations and what a pattern finds."""

import pickle

import pytest

from quipu.errors import UsageError
from quipu.evals.registry import TASKS, find
from quipu.evals.task import Measured


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_every_task_declares_itself_and_can_be_sent(task):
    declaration = task.declaration
    assert TASKS[declaration.name] is task
    assert declaration.title
    assert declaration.protocol
    assert declaration.source
    assert pickle.loads(pickle.dumps(task)) == task
    assert isinstance(task, Measured) != hasattr(task, "grade")
    for published in declaration.published:
        assert published.source
        assert published.value >= 0


def test_no_name_is_given_twice():
    assert len({task.declaration.name for task in TASKS.values()}) == len(TASKS)


def test_patterns_find_tasks_each_once():
    found = [task.declaration.name for task in find(["mbpp", "mbpp*", "humaneval"])]
    assert found == ["mbpp", "mbpp-0-shot", "mbpp-plus", "mbpp-plus-base", "humaneval"]
    assert len(find(["multipl-e-cs*"])) == 2


def test_a_name_that_fits_none_is_refused_with_those_there_are():
    with pytest.raises(UsageError, match="humaneval"):
        find(["nothing-*"])
