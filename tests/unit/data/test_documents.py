"""Reading source folders and dropping what is no code."""

from collections import Counter

import small
from quipu.data.documents import (
    Document,
    Folder,
    NotTables,
    PathHasNo,
    SaneLines,
    gather,
    held_out,
)


def _reason(step, text, name="a/b.py"):
    return step(Document(id=name, text=text))


def test_a_folder_gives_its_files_in_sorted_order(tmp_path):
    for name in ("b.py", "a.py", "c.txt"):
        (tmp_path / name).write_text(f"name = '{name}'\n")
    found = list(Folder(name="x", root=tmp_path).documents(Counter()))
    assert [document.id for document in found] == ["x/a.py", "x/b.py"]


def test_files_that_are_not_utf8_are_counted_not_fatal(tmp_path):
    (tmp_path / "latin.py").write_bytes(b"name = '\xe9'\n")
    dropped = Counter()
    assert list(Folder(name="x", root=tmp_path).documents(dropped)) == []
    assert dropped == {"not UTF-8": 1}


def test_line_ends_are_kept_as_they_are(tmp_path):
    (tmp_path / "dos.py").write_bytes(b"a = 1\r\nb = 2\r\n")
    (document,) = Folder(name="x", root=tmp_path).documents(Counter())
    assert document.text == "a = 1\r\nb = 2\r\n"


def test_of_equal_texts_only_the_first_is_kept(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "same.py").write_text(small.source(1))
    dropped = Counter()
    folders = [Folder(name=n, root=tmp_path / n) for n in ("one", "two")]
    assert [d.id for d in gather(folders, dropped)] == ["one/same.py"]
    assert dropped["exact copy"] == 1


def test_each_step_drops_what_it_names_and_keeps_code():
    code = small.source(3)
    steps = (PathHasNo(names=("tests",)), SaneLines(), NotTables())
    assert [_reason(step, code) for step in steps] == [None] * 3
    assert _reason(steps[0], code, "pkg/tests/test_x.py") == "path: tests"
    assert _reason(steps[0], code, "pkg/tests.py") == "path: tests"
    assert _reason(steps[0], code, "pkg/contests.py") is None
    assert _reason(steps[1], "x = 1\n") == "too short"
    assert _reason(steps[1], "x = 1\n" * 50 + "y" * 500) == "line too long"
    assert _reason(steps[2], "T = (0x01, 0x02, 0x03)\n" * 20) == "few letters"


def test_the_validation_set_depends_on_names_alone():
    documents = small.documents(200)
    chosen = [held_out(document, 0.2) for document in documents]
    assert chosen == [held_out(Document(id=d.id, text="other"), 0.2) for d in documents]
    assert 20 < sum(chosen) < 60
