"""Namespaces that bubblewrap has made hold what those of the sandbox hold."""

import shutil
import sys
from collections.abc import Iterator

import pytest

from quipu.errors import SandboxError
from quipu.evals.attacks import attacks, stopped
from quipu.sandbox import local
from quipu.sandbox.judge import missing, open_judge
from quipu.sandbox.languages import LANGUAGES
from quipu.sandbox.local import LocalSandbox
from quipu.sandbox.program import Judge

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's"),
    pytest.mark.skipif(shutil.which("bwrap") is None, reason="no bwrap"),
]


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    opened = open_judge(bubblewrap=True)
    yield opened
    opened.close()


@pytest.mark.parametrize("attack", attacks(), ids=lambda attack: attack.name)
def test_an_attack_is_stopped(judge, attack):
    assert stopped(judge, attack) == ""


def test_it_takes_the_place_of_the_sandboxs_own_namespaces(judge):
    assert "bubblewrap" in judge.layers
    assert "namespaces" not in judge.layers


def test_compilers_are_found(judge):
    if missing(LANGUAGES["cpp"]):
        pytest.skip("no compiler")
    assert judge.judge("cpp", "int main() { return std::vector<int>{}.size(); }").status == "passed"


def test_a_machine_without_it_is_told_how_to_get_it(monkeypatch):
    monkeypatch.setattr(local.shutil, "which", lambda _: None)
    with pytest.raises(SandboxError, match="apt-get install -y bubblewrap"):
        LocalSandbox(bubblewrap=True)
