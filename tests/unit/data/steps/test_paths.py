"""Steps that look at the path alone."""

import pytest

from quipu.data.documents import Document
from quipu.data.steps.paths import Language, Tests, Vendored, is_test


def reason(step, path):
    return step(Document(id=f"pypi/p/1/{path}", path=path, text=""))


@pytest.mark.parametrize(
    "path",
    [
        "pip/_vendor/rich/box.py",
        "src/third_party/zlib/inflate.c",
        "dist/node_modules/x/index.js",
        "astropy/extern/six.py",
        "lib/Bundled/a.py",
    ],
)
def test_copies_of_other_packages_are_dropped(path):
    assert reason(Vendored(), path).startswith("vendored: ")


@pytest.mark.parametrize("path", ["pkg/vendors.py", "vendor.py", "pkg/external_api/x.py"])
def test_a_name_that_only_looks_alike_stays(path):
    assert reason(Vendored(), path) is None


@pytest.mark.parametrize(
    "path",
    [
        "tests/a.py",
        "pkg/Tests/a.py",
        "pkg/test_a.py",
        "pkg/a_test.py",
        "conftest.py",
        "src/FooTest.java",
        "src/FooTests.cs",
        "src/a.spec.ts",
        "src/a-test.js",
        "src/__tests__/a.js",
    ],
)
def test_tests_are_known_by_the_habits_of_their_language(path):
    assert is_test(path)


@pytest.mark.parametrize(
    "path", ["numpy/testing/utils.py", "contest.py", "src/Latest.java", "pkg/attests.py", "a.ts"]
)
def test_code_for_testing_is_no_test(path):
    assert not is_test(path)


def test_the_share_of_tests_that_stays_is_chosen_by_id():
    step = Tests(keep=0.1)
    first = [reason(step, f"tests/test_{i}.py") for i in range(1000)]
    assert 60 < first.count(None) < 140
    assert first == [reason(step, f"tests/test_{i}.py") for i in range(1000)]
    assert reason(Tests(keep=0), "tests/a.py") == "tests: not in the share that stays"
    assert reason(Tests(keep=0), "pkg/a.py") is None


def test_a_language_that_the_source_did_not_set_is_set():
    found = Language()(Document(id="a", path="x/a.java", text=""))
    assert (found.language, found.group) == ("java", "java")
    script = Language()(Document(id="a", path="bin/run", text="#!/bin/sh\n"))
    assert script.language == "bash"
    known = Document(id="a", path="a.java", language="python", text="")
    assert Language()(known) is known
