"""MultiPL-E by hand-made rows: programs to the byte, editions kept apart, repairs."""

import json

import pytest

from quipu.evals.task import Complete, Trial
from quipu.evals.tasks.multipl_e import NAMES, MultiplE, cut, repaired

ROW = {
    "name": "HumanEval_0_one",
    "prompt": "long one() {\n",
    "tests": "}\nint main() {}\n",
    "stop_tokens": ["\n}"],
}


def files(task, *rows):
    return {task.source.name: "".join(json.dumps(row) + "\n" for row in rows).encode()}


@pytest.mark.parametrize("origin", ["humaneval", "mbpp"])
@pytest.mark.parametrize("language", NAMES)
def test_a_program_is_prompt_cut_answer_line_break_and_tests(language, origin):
    task = MultiplE(language=language, origin=origin)
    (problem,) = task.problems(files(task, ROW))
    assert task.prompt(problem) == Complete(text="long one() {\n")
    trial = task.grade(problem, "    return 1;\n}\nlong more() {\n}\n")
    assert isinstance(trial, Trial)
    assert trial.language == NAMES[language]
    assert trial.program == "long one() {\n    return 1;\n}\nint main() {}\n"
    assert task.solution(problem) is None


def test_the_editions_of_c_sharp_have_names_and_files_of_their_own():
    upstream, fixed = MultiplE(language="cs"), MultiplE(language="cs", repaired=True)
    assert upstream.declaration.name == "multipl-e-cs"
    assert fixed.declaration.name == "multipl-e-cs-repaired"
    assert upstream.source.sha256 != fixed.source.sha256
    assert not upstream.declaration.published[0].protocol
    assert fixed.declaration.published[0].protocol


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        (
            "HumanEval_12_longest",
            "Assert(Longest((new List<string>())).Equals(null));",
            "Assert(Longest((new List<string>())) == null);",
        ),
        (
            "HumanEval_162_string_to_md5",
            'Assert(StringToMd5(("")).Equals(null));',
            'Assert(StringToMd5(("")) == null);',
        ),
        (
            "HumanEval_111_histogram",
            '    }\nDebug.Assert(Histogram(("a")).Equals((new Dictionary<string,long>())));\n',
            "    }\n    static bool SameEntries(Dictionary<string,long> a,"
            " Dictionary<string,long> b) {\n"
            "    return a.Count == b.Count && !a.Except(b).Any();\n    }\n"
            'Debug.Assert(SameEntries(Histogram(("a")), (new Dictionary<string,long>())));\n',
        ),
        ("HumanEval_1_other", "Assert(F().Equals(null));", "Assert(F().Equals(null));"),
    ],
)
def test_three_defects_are_repaired_and_nothing_else(name, before, after):
    assert repaired(name, before) == after


def test_an_answer_is_cut_at_the_first_stop_string():
    assert cut("a\n//b\nfunction", ["\nfunction", "\n//"]) == "a"
    assert cut("whole", ["\n}"]) == "whole"


def test_table_4_is_attached_and_there_is_none_for_javascript():
    published = MultiplE(language="cpp").declaration.published
    assert ("Code Llama 7B", 28.6) in [(p.model, p.value) for p in published]
    assert not MultiplE(language="js").declaration.published
    assert not MultiplE(language="cpp", origin="mbpp").declaration.published
