"""`quipu data fetch`."""

import json

import pytest

from quipu.cli.main import main
from quipu.data.corpus.recipe import CorpusRecipe
from quipu.data.sources.packages import Package
from unit.data.sources.archives import METADATA, zipped


@pytest.fixture
def index(tmp_path):
    folder = tmp_path / "index"
    folder.mkdir()
    zipped(
        folder / "x-1.0-py3-none-any.whl", {"x.py": b"x = 1\n", "x-1.dist-info/METADATA": METADATA}
    )
    return folder


def test_fetched_packages_are_printed_as_json_and_the_rest_sets_the_exit_code(
    tmp_path, index, capsys, monkeypatch
):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("quipu.data.sources.fetching.PAUSE_S", 0)
    words = ["--package", "pypi:x==1.0", "--index", str(index), "--to", str(tmp_path / "to")]
    assert main(["data", "fetch", *words, "--json"]) == 0
    assert main(["data", "fetch", *words, "--json", "--package", "npm:y==1"]) == 1
    first, again, failed = map(json.loads, capsys.readouterr().out.splitlines())
    assert first == again
    assert (first["package"], first["version"], first["origin"]) == ("pypi/x", "1.0", "local index")
    assert failed == {
        "package": "npm/y", "version": "1", "reason": "client: npm is not installed"
    }  # fmt: skip


def of_x():
    """A recipe, found by its name below."""
    return CorpusRecipe(name="x", packages=(Package(ecosystem="pypi", name="x", version="1.0"),))


def test_a_recipe_names_the_packages(tmp_path, index, capsys):
    words = [f"{__name__}:of_x", "--index", str(index), "--to", str(tmp_path / "to"), "--json"]
    assert main(["data", "fetch", *words]) == 0
    assert json.loads(capsys.readouterr().out)["package"] == "pypi/x"


def test_for_people_failures_go_to_stderr(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("quipu.data.sources.fetching.PAUSE_S", 0)
    assert main(["data", "fetch", "--package", "npm:@a/[b]==1", "--to", str(tmp_path)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "npm:@a/[b]==1: client: npm is not installed" in err


@pytest.mark.parametrize(
    "words", [[], ["--package", "x"], ["--package", "pypi:x", "--index", "/no/such/folder"]]
)
def test_arguments_that_make_no_sense_are_told(tmp_path, capsys, words):
    assert main(["data", "fetch", "--to", str(tmp_path / "to"), *words]) == 2
    assert capsys.readouterr().err
