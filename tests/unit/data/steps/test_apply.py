"""One step over JSON lines."""

import io
import json

import pytest

import small
from quipu.data.steps.apply import STREAM, apply, dropped_file
from quipu.errors import DataError, UsageError


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_kept_and_dropped_lines_keep_all_they_held(tmp_path):
    rows = [
        {"id": "1", "path": "pkg/a.py", "text": "x = 1\n", "stars": [5, None]},
        {"id": "2", "path": "pkg/_vendor/a.py", "text": "x = 1\n", "stars": {"é": 1.5}},
    ]
    source, target = write(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl"
    done = apply("vendored", (), source, target)
    assert read(target) == rows[:1]
    assert read(tmp_path / "out.dropped.jsonl") == [{**rows[1], "reason": "vendored: _vendor"}]
    assert (done.kept, dict(done.dropped)) == (1, {"vendored: _vendor": 1})
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("in.jsonl", "out.dropped.jsonl", "out.jsonl")
    ]


def test_a_map_changes_what_it_changes_and_no_more(tmp_path):
    rows = [{"id": "1", "path": "a.py", "text": "# ann@umich.edu\n", "n": 1}, {"text": "x = 1\n"}]
    done = apply("redact", (), write(tmp_path / "in", rows), tmp_path / "out.jsonl")
    assert read(tmp_path / "out.jsonl") == [{**rows[0], "text": "# <EMAIL>\n"}, rows[1]]
    assert (done.kept, done.changed) == (2, 1)
    rows = [{"path": "a.py", "text": small.source(1)}]
    apply("quality", (), write(tmp_path / "in", rows), tmp_path / "ranked.jsonl")
    assert read(tmp_path / "ranked.jsonl")[0].keys() == {"path", "text", "quality"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{nonsense", "line 2; got .*; allowed: one JSON object"),
        ("[1]", "line 2; got list; allowed: an object"),
        ('{"id": "1"}', "line 2; got 'id'; allowed: an object"),
        ('{"text": 5}', "line 2: text; got int; allowed: a string"),
        ('{"text": null}', "line 2: text; got null"),
        ('{"text": "\\ud800"}', "line 2: text; got a lone surrogate"),
        ('{"text": "", "quality": "good"}', "line 2: quality; got good; allowed: a number"),
        ('{"text": "", "path": 7}', "line 2: path; got int; allowed: a string"),
    ],
)
def test_a_line_that_is_no_document_is_named_and_nothing_is_written(tmp_path, line, message):
    (tmp_path / "in.jsonl").write_text(f'{{"text": "x"}}\n{line}\n')
    with pytest.raises(DataError, match=message):
        apply("parses", (), tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_bytes_that_are_no_text_are_named(tmp_path):
    (tmp_path / "in.jsonl").write_bytes(b'{"text": "x"}\n\n{"text": "\xff"}\n')
    with pytest.raises(DataError, match="line 3"):
        apply("parses", (), tmp_path / "in.jsonl", tmp_path / "out.jsonl")


def test_files_that_cannot_be_opened_are_named(tmp_path):
    with pytest.raises(DataError, match="nowhere cannot be read"):
        apply("parses", (), tmp_path / "nowhere", tmp_path / "out.jsonl")
    source = write(tmp_path / "in.jsonl", [{"text": "x"}])
    with pytest.raises(DataError, match=r"out\.jsonl cannot be written"):
        apply("parses", (), source, tmp_path / "no" / "out.jsonl")


def test_streams_take_the_place_of_files(monkeypatch, capsys):
    monkeypatch.setattr(
        "sys.stdin", io.StringIO('{"text": "print 1", "path": "a.py"}\n{"text": ""}\n')
    )
    done = apply("parses", (), STREAM, STREAM)
    assert capsys.readouterr().out == '{"text": ""}\n'
    assert dict(done.dropped) == {"parses: SyntaxError": 1}
    assert dropped_file(STREAM) is None


def test_duplicates_and_caps_look_at_all_documents_first(tmp_path):
    texts = [small.source(1), small.source(2), small.source(1), small.source(3)]
    rows = [{"id": f"d{i}", "package": "p", "text": text} for i, text in enumerate(texts)]
    source, target = write(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl"
    apply("exact-duplicates", (), source, target)
    assert [row["id"] for row in read(target)] == ["d0", "d1", "d3"]
    apply("near-duplicates", ("jaccard=0.9",), source, target)
    assert {"d1", "d3"} <= {row["id"] for row in read(target)} < {"d0", "d1", "d2", "d3"}
    apply("cap", (f"bytes_per_package={len(texts[0])}",), source, target)
    assert [row["id"] for row in read(target)] == ["d0"]
    with pytest.raises(UsageError, match="reads its input twice"):
        apply("cap", (), STREAM, target)


def test_the_same_input_gives_the_same_bytes(tmp_path):
    source = write(tmp_path / "in.jsonl", [{"text": small.source(i)} for i in range(9)])
    for name in ("one", "two"):
        apply("quality", (), source, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
