"""What `quipu data show` prints."""

import io

import pytest
from rich.console import Console

import made_corpus
import small
import token_shards
from made_corpus import row
from quipu.cli.data.show import STYLES, harmless, print_row
from quipu.cli.main import main
from quipu.data.loading.describe import Segment
from quipu.data.loading.mixture import Infilling
from quipu.data.report import looking
from quipu.errors import DataError, UsageError
from token_shards import Text


@pytest.fixture
def corpus(tmp_path):
    """Documents of two groups, and token shards of the first."""
    rows = [row("pypi/a", f"{n}.py", small.source(n)) for n in range(20)]
    rows += [row("npm/b", f"{n}.ts", f"let x{n} = {n};\n", group="typescript") for n in range(5)]
    rows += [row("pypi/a", "gone.py", "gone", state="licence: unknown")]
    folder = made_corpus.write(tmp_path / "corpus", rows)
    texts = {
        "python": [Text(small.source(n)) for n in range(20)],
        "held-out-python": [Text(small.source(30))],
    }
    token_shards.write(folder / "tokens", small.tokenizer(), texts)
    (folder / "tokens" / "tokenizer.model").write_bytes(small.tokenizer_model())
    return folder


def test_documents_come_with_their_own_text(corpus):
    for shown in looking.documents(corpus, 25, None, 0):
        name = shown.id.rpartition("/")[2]
        number = int(name.partition(".")[0])
        expected = small.source(number) if name.endswith(".py") else f"let x{number} = {number};\n"
        assert shown.text == expected


def test_every_kept_document_can_be_drawn_and_no_other(corpus):
    drawn = [shown.id for shown in looking.documents(corpus, 100, None, 4)]
    assert len(drawn) == len(set(drawn)) == 25


def test_the_seed_decides_which_documents_are_drawn(corpus):
    def ids(seed):
        return [shown.id for shown in looking.documents(corpus, 5, "python", seed)]

    assert ids(1) == ids(1)
    assert ids(1) != ids(2)


def test_a_group_that_is_not_there_is_refused(corpus):
    with pytest.raises(UsageError, match="allowed: python, typescript"):
        list(looking.documents(corpus, 1, "cobol", 0))
    with pytest.raises(UsageError, match="allowed: held-out-python, python"):
        list(looking.packed(corpus, 1, "cobol", 0, 64, Infilling()))


def test_packed_rows_show_the_roles_of_infilling(corpus):
    rows = list(looking.packed(corpus, 5, None, 0, 256, Infilling(rate=1.0)))
    kinds = {segment.kind for row in rows for segment in row.segments}
    assert {"middle", "suffix", "special"} <= kinds <= set(STYLES)


def test_held_out_documents_are_packed_only_when_asked_for(corpus):
    secret = "step_30"

    def text(group):
        rows = looking.packed(corpus, 50, group, 0, 256, Infilling(rate=0.0))
        return "".join(segment.text for row in rows for segment in row.segments)

    assert secret not in text(None)
    assert secret in text("held-out-python")


def test_without_shards_packed_rows_are_an_error_and_documents_are_not(tmp_path):
    folder = made_corpus.write(tmp_path / "corpus", [row("pypi/a", "a.py", "x = 1")])
    assert len(list(looking.documents(folder, 3, None, 0))) == 1
    with pytest.raises(DataError, match="no token shards"):
        list(looking.packed(folder, 1, None, 0, 64, Infilling()))


def test_roles_have_different_colours():
    console = Console(file=io.StringIO(), force_terminal=True, color_system="standard", width=80)
    kinds = ("prefix", "suffix", "middle", "special", "plain")
    row = looking.PackedRow(index=3, segments=[Segment(kind, f"<{kind}>", 0) for kind in kinds])
    print_row(console, row)
    printed = console.file.getvalue()
    codes = [printed.rpartition(f"m<{kind}>")[0].rpartition("\x1b[")[2] for kind in kinds[:-1]]
    assert len(set(codes)) == len(codes)


def test_texts_cannot_command_the_terminal():
    assert harmless("a\x1b[2Jb\x07\u202ec\td\n") == "a\ufffd[2Jb\ufffd\ufffdc\td\n"


def test_the_command_prints_documents_and_rows(corpus, capsys):
    assert main(["data", "show", "--corpus", str(corpus), "--row-tokens", "128"]) == 0
    printed = capsys.readouterr().out
    assert "quality 0.50" in printed
    assert "row " in printed


def test_markup_in_texts_is_printed_as_it_is(tmp_path, capsys):
    folder = made_corpus.write(tmp_path / "corpus", [row("pypi/a", "a.py", "x = '[red]y[/red]'\n")])
    assert main(["data", "show", "--corpus", str(folder), "--packed", "0"]) == 0
    assert "[red]y[/red]" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--documents", "--packed", "--seed", "--lines"])
def test_negative_numbers_are_wrong_usage(corpus, option):
    assert main(["data", "show", "--corpus", str(corpus), option, "-1"]) == 2
