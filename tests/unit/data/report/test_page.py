"""The page and the card say what was counted, alone and in one file."""

import re
from html.parser import HTMLParser

import pytest

import made_corpus
import small
import token_shards
from made_corpus import row
from quipu.cli.main import main
from quipu.data.report.page import write
from token_shards import Text


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Report and card of a varied corpus with token shards."""
    folder = tmp_path_factory.mktemp("made") / "corpus"
    made_corpus.write(folder, *made_corpus.varied())
    texts = {"python": [Text("x = 1\n" * n) for n in range(1, 9)]}
    token_shards.write(folder / "tokens", small.tokenizer(), texts)
    report, card = write(folder)
    return report.read_text(), card.read_text()


def test_the_page_needs_nothing_from_outside(written):
    report, _ = written

    class Links(HTMLParser):
        found: list = []  # noqa: RUF012

        def handle_starttag(self, tag, attrs):
            assert tag not in ("script", "link", "iframe")
            self.found += [value for name, value in attrs if name in ("src", "href")]

    parser = Links()
    parser.feed(report)
    assert parser.found
    assert all(link.startswith(("data:image/svg+xml;base64,", "#")) for link in parser.found)
    assert "http" not in re.sub(r"base64,[^\"]*", "", report)


def test_the_page_shows_every_part(written):
    report, _ = written
    for word in ("Composition", "left out", "Duplicates", "Length in tokens", "Quality",
                 "Licences", "humaneval/problems.jsonl", "pypi/made-5"):  # fmt: skip
        assert word in report


def test_the_card_says_what_a_card_must(written):
    _, card = written
    for word in ("## Composition", "| Python |", "## Licences", "Apache-2.0", "`Parses()`",
                 "allowed=MIT", "near duplicate", "## Benchmarks", "## Limits", "## Rebuild it",
                 "## Ask for removal", "pypi/made-5", "npm/@made/p0 1.0"):  # fmt: skip
        assert word in card


def test_tables_of_the_card_are_not_broken_by_blank_lines(written):
    _, card = written
    for table in re.findall(r"(?:^\|.*\n)+", card, re.MULTILINE):
        lines = table.splitlines()
        assert len(lines) > 2, table
        assert len({line.count("|") for line in lines}) == 1, table


def test_the_same_corpus_gives_the_same_bytes(tmp_path):
    rows = made_corpus.varied(seed=3, packages=4, files=6)
    texts = []
    for name in ("a", "b"):
        folder = made_corpus.write(tmp_path / name, *rows)
        texts.append([path.read_bytes() for path in write(folder)])
    assert texts[0] == texts[1]


def test_names_of_strangers_are_text_on_the_page(tmp_path):
    rows = [row("pypi/<script>alert(1)</script>", "a.py", "x = 1", licence="<b>MIT</b>")]
    report, _ = write(made_corpus.write(tmp_path / "corpus", rows))
    text = report.read_text()
    assert "<script>" not in text
    assert "<b>MIT" not in text


def test_a_corpus_of_nothing_has_a_report_too(tmp_path):
    report, card = write(made_corpus.write(tmp_path / "corpus", []))
    assert "0 B" in report.read_text()
    assert "| documents | 0 |" in card.read_text()


def test_the_command_writes_both_files_and_says_where(tmp_path, capsys):
    folder = made_corpus.write(tmp_path / "corpus", [row("pypi/a", "a.py", "x = 1")])
    assert main(["data", "report", "--corpus", str(folder)]) == 0
    assert capsys.readouterr().out.split() == [
        str(folder / "report.html"), str(folder / "card.md")
    ]  # fmt: skip


def test_the_command_fails_where_there_is_no_corpus(tmp_path, capsys):
    assert main(["data", "report", "--corpus", str(tmp_path)]) == 1
    assert "no built corpus" in capsys.readouterr().err
