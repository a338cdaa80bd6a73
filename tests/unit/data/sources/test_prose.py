"""Plain prose: which files of a package are read as such, and how they are laid out."""

from dataclasses import replace

from quipu.data.documents import Document
from quipu.data.sources.packages import Skipped
from quipu.data.sources.prose import LONGEST, WIDTH, laid_out
from quipu.data.sources.reader import read
from unit.data.sources.archives import archive_of, tar

SPEECH = b"My fellow citizens, the state of this small test is good. " * 20
FILES = {
    "top/package.json": b'{"license": "MIT"}',
    "top/data/1790_speech.txt": SPEECH,
    "top/data/list.json": b'["1790_speech.txt"]',
    "top/README": b"#!/bin/sh\nReads speeches.\n",
    "top/lib/main.js": b"module.exports = 1;\n",
}


def found(tmp_path, take, prose=True):
    path = tar(tmp_path / "speeches-1.0.tgz", FILES)
    archive = archive_of(path, "npm", take)
    package = replace(archive.package, prose=prose)
    everything = list(read(replace(archive, package=package), tmp_path))
    documents = {one.path: one for one in everything if isinstance(one, Document)}
    return documents, {one.path: one.reason for one in everything if isinstance(one, Skipped)}


def test_what_a_prose_package_takes_is_prose_whatever_its_name(tmp_path):
    documents, skipped = found(tmp_path, ("data/*.txt", "README"))
    assert set(documents) == {"data/1790_speech.txt", "README"}
    for document in documents.values():
        assert (document.language, document.group) == ("text", "prose")
    assert skipped["data/list.json"] == skipped["lib/main.js"] == "take: not asked for"


def test_the_same_package_has_no_prose_where_the_recipe_does_not_say_so(tmp_path):
    documents, skipped = found(tmp_path, (), prose=False)
    assert "prose" not in {document.group for document in documents.values()}
    assert skipped["data/1790_speech.txt"] == "language: none of ours"


def test_a_speech_that_is_one_line_is_broken_at_spaces(tmp_path):
    documents, _ = found(tmp_path, ("data/*.txt",))
    text = documents["data/1790_speech.txt"].text
    assert max(map(len, text.splitlines())) <= WIDTH
    assert text.split() == SPEECH.decode().split()


def test_lines_of_usual_length_stay_as_they_are():
    text = "  A verse,\n\n" + "x" * LONGEST + "\n\tand   another.\n"
    assert laid_out(text) == text
    assert laid_out("word " * 50).count("\n") == 2
