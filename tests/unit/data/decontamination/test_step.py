"""Benchmark problems are found whatever was changed about them; ordinary code stays."""

import ast
import pickle
import re
import sysconfig
from pathlib import Path

import pytest

import small
from quipu.data.decontamination import trees
from quipu.data.decontamination.step import KeepAll, Met, decontaminate
from quipu.data.documents import Document
from quipu.data.steps.syntax import functions
from quipu.errors import DataError

from . import samples

FILLER = small.source(3) * 3
REAL = Path(__file__).resolve().parents[5] / "shared" / "data"


@pytest.fixture(scope="module")
def benchmarks(tmp_path_factory):
    return samples.write(tmp_path_factory.mktemp("benchmarks"))


@pytest.fixture(scope="module")
def step(benchmarks, tmp_path_factory):
    return decontaminate(benchmarks=benchmarks, index=tmp_path_factory.mktemp("index") / "index")


def document(text, language="python"):
    return Document(id="a", language=language, text=text)


def test_a_copied_program_is_dropped(step):
    text = FILLER + samples.HUMANEVAL["prompt"] + samples.HUMANEVAL["canonical_solution"] + FILLER
    assert step(document(text)).startswith("decontaminate: ")
    assert "humaneval/900" in step(document(text))


def test_layout_and_line_ends_do_not_matter(step):
    text = samples.MBPP["code"].replace("\r\n", "\n").replace("    ", "\t")
    assert "mbpp/901" in step(document(FILLER + text, "java"))


def test_half_a_program_is_enough_and_a_few_lines_are_not(step):
    lines = (samples.HUMANEVAL["prompt"] + samples.HUMANEVAL["canonical_solution"]).splitlines()
    assert step(document("\n".join(lines[:11]), "text")) is not None
    assert step(document("\n".join(lines[:3]), "text")) is None


def test_other_names_constants_and_documentation_do_not_hide_a_function(step):
    text = samples.MBPP["code"].replace("\r", "")
    for old, new in (
        ("word", "s"),
        ("total", "n"),
        ("'aeiou'", "VOWELS_"),
        ("count_after_double", "f"),
    ):
        text = re.sub(rf"\b{re.escape(old)}\b" if old[0] != "'" else old, new, text)
    text = text.replace("VOWELS_", "'xyz'").replace("    n = 0", '    """Doc."""\n    n = 0', 1)
    assert step(document(FILLER + text)) == "decontaminate: function of mbpp/901 in mbpp/mbpp.jsonl"
    assert step(document(FILLER + text, "java")) is None


def test_what_a_function_calls_counts(step):
    text = (
        samples.HUMANEVAL["canonical_solution"].replace("sorted", "ordered").replace("zip", "pairs")
    )
    renamed = re.sub(r"\b(kept|widest|low|high|reading)\b", r"\1_", text)
    assert step(document(f"def f(readings, floor):\n{renamed}")) is None


def test_a_question_is_found_among_comments_of_any_language(step):
    words = samples.GSM["question"].split()
    text = "".join(f"// {' '.join(words[i : i + 5])}\n" for i in range(0, len(words), 5))
    assert "gsm8k" in step(document(text, "java"))
    assert "humaneval/900" in step(document(FILLER + samples.HUMANEVAL["prompt"].upper()))


def test_a_short_question_is_found_whole_and_only_whole(tmp_path):
    folder = tmp_path / "short"
    folder.mkdir()
    (folder / "short.jsonl").write_text(
        '{"question": "How can I kill a sleeping Python process?"}\n'
    )
    step = decontaminate(benchmarks=folder, index=tmp_path / "index")
    assert step(document("# how can i kill\n# a sleeping python process\n")) is not None
    assert step(document("# how can i kill a sleeping process of python\n")) is None


def test_a_signature_is_counted_and_drops_generated_data_alone(step, benchmarks):
    text = FILLER + "def widest_gap(a, b):\n    return a + b\n"
    assert step(document(text)) is None
    assert {overlap.rule for overlap in step.overlaps(document(text))} == {"signature"}
    strict = decontaminate(benchmarks=benchmarks, index=step.index, signatures=True)
    assert strict(document(text)).startswith("decontaminate: signature of humaneval/900")
    assert strict(document(text.replace("(a, b)", "(a)"))) is None


def test_overlap_with_some_folders_can_be_counted_alone(step, benchmarks):
    lenient = decontaminate(benchmarks=benchmarks, index=step.index, counted=("gsm8k",))
    found = document(samples.GSM["question"], "text")
    assert step(found) is not None
    assert lenient(found) is None
    assert lenient.overlaps(found) == step.overlaps(found)


def test_overlaps_are_counted_by_file_and_rule(step):
    texts = [samples.GSM["question"], samples.GSM["question"] + " x", FILLER]
    met = Met(step=step)
    assert [met(document(text, "text")) is None for text in texts] == [False, False, True]
    assert met.table() == {
        "gsm8k/test.json": {"program": 0, "prose": 2, "function": 0, "signature": 0},
    }


def test_the_step_is_one_value_on_every_machine(step, benchmarks, tmp_path):
    other = decontaminate(benchmarks=benchmarks, index=tmp_path / "elsewhere")
    assert repr(other) == repr(step)
    assert str(tmp_path) not in repr(other)
    copy = pickle.loads(pickle.dumps(step))
    assert copy(document(samples.GSM["question"])) == step(document(samples.GSM["question"]))


def test_without_benchmarks_one_says_so(tmp_path):
    assert decontaminate(benchmarks=None, index=tmp_path / "index") == KeepAll()
    with pytest.raises(DataError, match=r"folder of benchmarks is missing.*benchmarks=None"):
        decontaminate(benchmarks=tmp_path / "nowhere", index=tmp_path / "index")
    with pytest.raises(DataError, match="no benchmark file"):
        decontaminate(benchmarks=tmp_path, index=tmp_path / "index")


def shapes(text):
    return [trees.shape(function)[0] for function in functions(text)]


def test_shapes_keep_what_a_function_does():
    same = ["def f(a, b):\n    return a - b * 2\n", "def g(x, y):\n    return x - y * 7\n"]
    other = ["def f(a, b):\n    return b - a * 2\n", "def f(a, b):\n    return a - b\n"]
    assert shapes(same[0]) == shapes(same[1])
    assert shapes(same[0]) not in [shapes(text) for text in other]


def test_equal_shapes_have_equal_frames():
    texts = ["def f(a):\n    '''Doc.'''\n    for b in a:\n        print(b)\n    return a\n"]
    texts.append("def g(x: int) -> int:\n    for y in x:\n        print(y)\n    return x\n")
    first, second = (functions(text)[0] for text in texts)
    assert trees.shape(first) == trees.shape(second)
    assert trees.frame(first) == trees.frame(second)


def test_every_kind_of_statement_has_a_shape():
    text = (
        "async def f(a, *b, c=1, **d):\n    global e\n    async with a as g:\n        yield g\n"
        "    try:\n        from x import y as z\n"
        "    except (A, B) as h:\n        raise h from None\n"
        "    match a:\n        case [1, *i] | {'k': i, **j}:\n            del i\n"
        "    def k(): nonlocal a\n    class L: pass\n    return (m := [n for n in a if n])\n"
    )
    ast.parse(text)
    assert len(set(shapes(text))) == 2


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="no benchmark data beside the checkout")
def test_the_standard_library_survives_and_every_problem_is_found(tmp_path):
    step = decontaminate(benchmarks=REAL, index=tmp_path / "index", counted=("cyberseceval",))
    library = Path(sysconfig.get_path("stdlib"))
    texts = [path.read_text() for path in sorted(library.glob("*.py"))]
    assert [reason for text in texts if (reason := step(document(text)))] == []
    for line in samples.gzip.open(REAL / "humaneval" / "HumanEval.jsonl.gz", "rt"):
        row = samples.json.loads(line)
        assert step(document(FILLER + row["prompt"] + row["canonical_solution"])), row["task_id"]
