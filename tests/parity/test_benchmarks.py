"""Benchmarks on their real files: sizes, solutions, and verdicts that were published with them."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from quipu.evals.data import read_sources
from quipu.evals.registry import TASKS
from quipu.evals.runner.judging import tried
from quipu.evals.task import Measured, Score, Task
from quipu.evals.tasks.apps import SAMPLE as APPS_SAMPLE
from quipu.evals.tasks.apps import Apps
from quipu.evals.tasks.cruxeval import CruxEval
from quipu.evals.tasks.multipl_e import MultiplE
from quipu.evals.tasks.plus import Plus
from quipu.sandbox.judge import missing, open_judge
from quipu.sandbox.languages import LANGUAGES
from quipu.sandbox.program import Judge, Limits

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
VECTORS = DATA / "check-vectors/1.5b-base"
SIZES = {
    "humaneval": 164,
    "humaneval-plus-mini": 164,
    "mbpp": 500,
    "multipl-e-cpp": 161,
    "multipl-e-java": 158,
    "multipl-e-php": 161,
    "multipl-e-ts": 159,
    "multipl-e-js": 161,
    "multipl-e-cs": 158,
    "multipl-e-sh": 158,
    "multipl-e-cs-repaired": 158,
    "multipl-e-mbpp-cpp": 397,
    "multipl-e-mbpp-java": 386,
    "multipl-e-mbpp-php": 397,
    "multipl-e-mbpp-ts": 390,
    "multipl-e-mbpp-js": 397,
    "multipl-e-mbpp-cs": 386,
    "multipl-e-mbpp-sh": 382,
    "santacoder-py-psm": 1043,
    "santacoder-java-psm": 1780,
    "santacoder-js-psm": 1969,
    "cruxeval-input": 800,
    "cruxeval-output": 800,
    "gsm8k": 1319,
    "repobench-python": 20,
    "repobench-java": 20,
}
JUDGED = ("humaneval-plus-mini", "cruxeval-input", "cruxeval-output", "gsm8k")
SAMPLE = 6
EVERY = 61  # of CRUXEval's problems whose published verdicts are compared

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's"),
    pytest.mark.skipif(not DATA.is_dir(), reason="no ../shared/data"),
]


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    opened = open_judge(data=DATA, workers=2)
    yield opened
    opened.close()


def problems(task):
    lacking = [source.path for source in task.declaration.data if not (DATA / source.path).exists()]
    if lacking:
        pytest.skip(f"no {', '.join(lacking)}")
    return task.problems(read_sources(task.declaration.data, DATA))


def passes(judge, task, problem, answer):
    grade = task.grade(problem, answer)
    if isinstance(grade, Score):
        return grade.value == 1
    outcome = tried(judge, grade, Limits())
    assert outcome.status != "sandbox_error", outcome.detail
    return outcome.status == "passed"


def named(name) -> Task:
    task = TASKS[name]
    assert not isinstance(task, Measured)
    return task


@pytest.mark.parametrize("name", SIZES)
def test_a_set_has_its_size_and_ids_of_its_own(name):
    found = problems(named(name))
    assert len(found) == len({problem.id for problem in found}) == SIZES[name]


@pytest.mark.parametrize("name", JUDGED)
def test_solutions_pass_and_mutants_fail(judge, name):
    task = named(name)
    for problem in problems(task)[:SAMPLE]:
        assert passes(judge, task, problem, task.solution(problem)), problem.id
        assert not passes(judge, task, problem, task.mutant(problem)), problem.id


@pytest.mark.parametrize(
    "name", [name for name in SIZES if name.startswith(("santacoder", "repobench"))]
)
def test_every_line_matches_itself_and_no_other(name):
    task = named(name)
    for problem in problems(task):
        assert passes(None, task, problem, task.solution(problem))
        assert not passes(None, task, problem, task.mutant(problem))


@pytest.mark.parametrize("name", [name for name in SIZES if name.startswith("multipl-e")])
def test_stop_strings_are_the_data_s_own(name):
    task = named(name)
    stops = {tuple(problem.facts["stop_tokens"]) for problem in problems(task)}
    assert stops == {task.declaration.decoding.stop}


@pytest.mark.parametrize("language", ["java", "ts", "js", "sh"])
def test_programs_are_the_published_ones_to_the_byte(language):
    task = MultiplE(language=language)
    found = {problem.id: problem for problem in problems(task)}
    path = VECTORS / f"multipl-e/humaneval-{language}-details.json"
    if not path.exists():
        pytest.skip(f"no {path.name}")
    for runs in json.loads(path.read_text()).values():
        code = runs[0][1]["code"].rstrip()
        problem = found[runs[0][1]["task_id"]]
        prompt, tests = str(problem.facts["prompt"]), str(problem.facts["tests"]).rstrip()
        answer = code[len(prompt) : len(code) - len(tests)].removesuffix("\n")
        assert task.grade(problem, answer).program.rstrip() == code


REPAIRED = {
    "HumanEval_12_longest": "        if (strings.Count == 0) return null;\n"
    "        return strings.OrderByDescending(s => s.Length).First();",
    "HumanEval_162_string_to_md5": '        if (text == "") return null;\n'
    "        using (var m = MD5.Create()) {\n"
    "            var bytes = m.ComputeHash(Encoding.ASCII.GetBytes(text));\n"
    '            return string.Concat(bytes.Select(b => b.ToString("x2")));\n        }',
    "HumanEval_111_histogram": "        var d = new Dictionary<string,long>();\n"
    "        var words = test.Split(new char[]{' '}, StringSplitOptions.RemoveEmptyEntries);\n"
    "        foreach (var w in words) { d[w] = d.ContainsKey(w) ? d[w] + 1 : 1; }\n"
    "        var most = d.Where(x => x.Value == d.Values.Max());\n"
    "        return most.ToDictionary(x => x.Key, x => x.Value);",
}


@pytest.mark.parametrize("name", REPAIRED)
def test_a_right_answer_passes_the_repaired_tests_and_not_the_released_ones(judge, name):
    if missing(LANGUAGES["csharp"]):
        pytest.skip("no C#")
    for repaired in (True, False):
        task = MultiplE(language="cs", repaired=repaired)
        problem = next(problem for problem in problems(task) if problem.id == name)
        assert passes(judge, task, problem, REPAIRED[name]) is repaired
    assert not passes(judge, MultiplE(language="cs", repaired=True), problem, "return null;")


@pytest.mark.parametrize("asks", ["input", "output"])
def test_cruxeval_verdicts_are_the_published_ones(judge, asks):
    task = CruxEval(asks=asks)
    path = DATA / f"cruxeval/sample_scored_codellama-7b_temp0.2_{asks}.json"
    if not path.exists():
        pytest.skip(f"no {path.name}")
    scored = json.loads(path.read_text())
    for problem in problems(task)[::EVERY]:
        answers = scored["raw_generations"][problem.id]
        verdicts = dict(zip(answers, scored["raw_scored_generations"][problem.id], strict=True))
        for answer, verdict in verdicts.items():
            assert passes(judge, task, problem, answer) is verdict, (problem.id, answer)


def test_evalplus_verdicts_on_original_inputs_are_the_published_ones(judge):
    task = Plus(kind="humaneval-mini", base=True)
    path = VECTORS / "evalplus-humaneval/generated_eval_results.json"
    if not path.exists():
        pytest.skip("no published verdicts")
    published = json.loads(path.read_text())["eval"]
    for problem in problems(task)[::20]:
        (run,) = published[problem.id]
        verdict = passes(judge, task, problem, f"\n{run['solution']}")
        assert verdict is (run["base_status"] == "pass"), problem.id


def test_solutions_of_the_sample_of_apps_pass(judge):
    if not (DATA / APPS_SAMPLE.path).is_dir():
        pytest.skip(f"no {APPS_SAMPLE.path}")
    task = Apps(source=APPS_SAMPLE, zero_shot=True)
    found = task.problems(read_sources([APPS_SAMPLE], DATA))
    assert len(found) == 5
    for problem in found:
        assert passes(judge, task, problem, task.solution(problem)), problem.id
        assert not passes(judge, task, problem, task.mutant(problem)), problem.id
