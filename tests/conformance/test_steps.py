"""The cases of conformance/step.py for every step of the registry."""

import pytest

from conformance.step import *  # noqa: F403
from quipu.data.steps.registry import STEPS

BENCHMARK = '{"task_id": "x/1", "text": "Write a function that adds the two given numbers."}\n'


@pytest.fixture(scope="module", params=sorted(STEPS))
def name(request):
    return request.param


@pytest.fixture(scope="module")
def step(name, tmp_path_factory):
    if name != "decontaminate":
        return STEPS[name]()
    folder = tmp_path_factory.mktemp("benchmarks")
    (folder / "some.jsonl").write_text(BENCHMARK)
    return STEPS[name](benchmarks=folder, index=tmp_path_factory.mktemp("index") / "index")
