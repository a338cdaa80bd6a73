"""A small trained model, and the command line as a function."""

import io
import sys
from dataclasses import dataclass

import pytest

import small
from quipu.cli.main import main


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """Folder of a small model that infills, trained for a few seconds."""
    from quipu.train.export import export
    from quipu.train.loop import Machine, train

    folder = tmp_path_factory.mktemp("model")
    corpus = small.corpus(folder / "corpus")
    for _ in train(small.recipe(60), folder / "run", corpus, Machine(compiled=False)):
        pass
    export(folder / "run", folder / "small")
    return folder / "small"


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture
def quipu(capsys, monkeypatch):
    """Run `quipu ARGUMENTS…` in this process."""

    def run(*arguments, stdin=b""):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as leaving:  # argparse's own errors and --help
            code = int(leaving.code or 0)
        captured = capsys.readouterr()
        return Ran(code=code, out=captured.out, err=captured.err)

    return run


@pytest.fixture
def refused(quipu):
    """Run a command that must fail with one line on stderr and nothing on stdout; that line."""

    def run(*arguments, code=1, stdin=b""):
        ran = quipu(*arguments, stdin=stdin)
        assert ran.code == code, ran
        assert ran.out == ""
        assert ran.err.startswith("quipu: ")
        assert ran.err.count("\n") == 1
        return ran.err

    return run
