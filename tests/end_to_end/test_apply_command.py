"""quipu data apply, as a person calls it."""

import json

from quipu.data.steps.registry import STEPS, WHOLE

GOOD = {"id": "1", "path": "pkg/a.py", "text": "def add(a, b):\n    return a + b\n", "stars": 3}
BAD = {"id": "2", "path": "pkg/b.py", "text": "print 'hello'\n"}


def write(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_kept_and_dropped_documents_go_to_two_files(quipu, tmp_path):
    source, target = write(tmp_path / "in.jsonl", GOOD, BAD), tmp_path / "out.jsonl"
    ran = quipu("data", "apply", "parses", source, target)
    assert ran.code == 0, ran.err
    assert json.loads(target.read_text()) == GOOD
    dropped = json.loads((tmp_path / "out.dropped.jsonl").read_text())
    assert dropped == {**BAD, "reason": "parses: SyntaxError"}
    assert "kept 1, dropped 1" in ran.err
    assert "1  parses: SyntaxError" in ran.err


def test_benchmarks_are_named_by_a_folder(quipu, tmp_path):
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    question = "Write a function to count the vowels that follow a doubled consonant in a word."
    write(folder / "some.jsonl", {"question": question})
    source, target = write(tmp_path / "in.jsonl", {"text": question}, GOOD), tmp_path / "out.jsonl"
    command = ("data", "apply", "decontaminate", source, target)
    ran = quipu(*command, f"benchmarks={folder}", f"index={tmp_path / 'index'}")
    assert ran.code == 0, ran.err
    assert "decontaminate: prose of some.jsonl#0 in some.jsonl" in ran.err
    ran = quipu(*command, f"benchmarks={tmp_path / 'nowhere'}", f"index={tmp_path / 'index'}")
    assert ran.code == 1
    assert "the folder of benchmarks is missing" in ran.err
    assert len(ran.err.splitlines()) == 1


def test_every_step_is_taught(quipu):
    ran = quipu("data", "apply", "--list")
    assert ran.code == 0
    assert [line for line in ran.out.splitlines() if line and line[0] != " "] == [*STEPS, *WHOLE]
    assert "keep=number (default 0.1)" in ran.out


def test_what_is_wrong_is_told_in_one_line(quipu, tmp_path):
    source = write(tmp_path / "in.jsonl", GOOD)
    for arguments, told, code in (
        (("parses",), "allowed: STEP IN.jsonl OUT.jsonl", 2),
        (("nothing", source, tmp_path / "out.jsonl"), "step; got nothing; allowed: licence", 2),
        (("tests", source, tmp_path / "out.jsonl", "keep=much"), "allowed: number", 2),
        (("tests", tmp_path / "no", tmp_path / "out.jsonl"), "cannot be read", 1),
    ):
        ran = quipu("data", "apply", *arguments)
        assert ran.code == code
        assert told in ran.err
        assert len(ran.err.splitlines()) == 1
