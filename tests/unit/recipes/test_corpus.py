"""The lists of the shipped corpus hold what they promise."""

import re
from pathlib import Path

import pytest

from quipu.data.documents import Document
from quipu.data.licences import permits
from quipu.data.steps.paths import Tests
from quipu_recipes import corpus
from quipu_recipes.corpus import entries, indexes
from quipu_recipes.corpus.judgement import Reviewed, Unless
from quipu_recipes.corpus.tiny import tiny

BENCHMARKS = re.compile(r"lm.eval|human.?eval|mbpp|evalplus|bigcode|swe.?bench|livecodebench", re.I)


def test_every_package_is_named_once_with_its_version():
    names = [package.full_name for package in corpus.PACKAGES]
    assert len(names) == len(set(names))
    assert all(package.version for package in corpus.PACKAGES)


def test_no_package_brings_a_benchmark():
    assert not [p.name for p in corpus.PACKAGES if BENCHMARKS.search(p.name)]


def test_a_part_is_named_for_packages_of_the_list_only():
    named = {package.name for package in corpus.PACKAGES}
    assert set(corpus.python.TAKE) <= named
    assert {one.package for one in corpus.REVIEWED} <= {p.full_name for p in corpus.PACKAGES}


def test_algorithmic_packages_are_of_the_corpus():
    names = {package.full_name for package in corpus.PACKAGES}
    assert set(corpus.ALGORITHMIC) <= names
    assert {"pypi/more-itertools", "pypi/toolz", "pypi/boltons", "pypi/sympy"} <= set(
        corpus.ALGORITHMIC
    )


def test_recipes_are_the_same_each_time():
    assert corpus.shipped().fingerprint() == corpus.shipped().fingerprint()
    assert tiny().fingerprint() == tiny().fingerprint()


@pytest.mark.parametrize(
    "licence", ["GPL-3.0-only", "AGPL-3.0-only", "LGPL-2.1-or-later", "EPL-2.0"]
)
def test_copyleft_beyond_the_file_is_not_allowed(licence):
    assert not permits(licence, corpus.ALLOWED)


def test_an_entry_may_go_on_in_an_indented_line():
    first, second = entries.lines("\na==1 src lib/x\n    doc\nb==2\n", "npm")
    assert (first.name, first.version, first.take) == ("a", "1", ("src", "lib/x", "doc"))
    assert (second.name, second.take) == ("b", ())


def test_folders_of_pip_are_found_in_its_configuration(tmp_path):
    index, links = tmp_path / "an index", tmp_path / "wheels"
    index.mkdir()
    links.mkdir()
    listed = (
        f"global.cert='{tmp_path}'\n"
        f"global.extra-index-url='{index.as_uri()} file:///not/there'\n"
        f":env:.find-links='{links}'\n"
    )
    assert indexes.folders(listed) == (index, links)


def document(**values):
    return Document(**{"id": "x", "text": "x", **values})


def test_a_reviewed_licence_holds_below_its_folders_alone():
    judge = Reviewed(package="debian/p", licence="MIT", because="LICENSE", paths=("Lib",))
    inside = document(package="debian/p", path="Lib/a.py")
    assert judge(inside).licence == "MIT"
    for other in (
        document(package="debian/p", path="Library/a.py"),
        document(package="debian/q", path="Lib/a.py"),
    ):
        assert judge(other) == other


def test_tests_in_shell_stay_and_others_mostly_go():
    step = Unless(language="bash", step=Tests(keep=0.0))
    assert step(document(path="tests/a.sh", language="bash")) is None
    assert step(document(path="tests/a.py", language="python")).startswith("tests")


def test_lists_name_no_machine_and_no_host():
    for path in Path(corpus.__file__).parent.glob("*.py"):
        assert not re.search(r"https?://|/opt/|/home/|/root|\.org\b|\.com\b", path.read_text())
