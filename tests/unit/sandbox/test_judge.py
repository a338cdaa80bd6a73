"""Whole programs in eight languages: passing, failing, and what each language gets wrong."""

import json
import sys
from collections.abc import Iterator

import pytest

import remote
from quipu.cli.main import main
from quipu.errors import SandboxError, UsageError
from quipu.evals.remote.client import RemoteJudge
from quipu.sandbox import judge as module
from quipu.sandbox.judge import LocalJudge, missing, open_judge
from quipu.sandbox.languages import LANGUAGES
from quipu.sandbox.program import Apart, Judge, Limits, Outcome, Program

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's")

PASSING = {
    "python": "assert 1 + 1 == 2",
    "cpp": "#include <cassert>\nint main() { std::vector<int> v{1}; assert(v.size() == 1); }",
    "java": "class Problem { public static void main(String[] a) { assert 1 + 1 == 2; } }",
    "php": "<?php if (mb_strlen('é') !== 1) { throw new Exception('no'); }",
    "typescript": "const f = (x: number): number => x + 1;\nif (f(1) !== 2) { throw 'no'; }",
    "javascript": "require('node:assert').deepEqual([1], [1]);",
    "csharp": "using System.Diagnostics;\n"
    "class P { static void Main() { Debug.Assert(1 + 1 == 2); } }",
    "bash": "set -e\n[[ $((1 + 1)) = 2 ]]",
}
FAILING = {
    "python": "assert 1 + 1 == 3",
    "cpp": "int main() { return 1 + }",
    "java": "class Problem { public static void main(String[] a) { assert 1 + 1 == 3; } }",
    "php": "<?php throw new Exception('no');",
    "typescript": "const x: number = 'a';",
    "javascript": "require('node:assert').deepEqual([1], [2]);",
    "csharp": "using System.Diagnostics;\n"
    "class P { static void Main() { Debug.Assert(1 + 1 == 3); } }",
    "bash": "set -e\n[[ $((1 + 1)) = 3 ]]",
}


@pytest.fixture(scope="module", params=["here", "elsewhere"])
def judge(request) -> Iterator[Judge]:
    """What every judge must do: one of this process, and one reached by HTTP."""
    opened = open_judge()
    if request.param == "here":
        yield opened
    else:
        with remote.serving(opened, key="secret") as address:
            yield RemoteJudge(address, "secret")
    opened.close()


def needs(language: str) -> None:
    lacking = missing(LANGUAGES[language])
    if lacking:
        pytest.skip(f"not installed: {', '.join(lacking)}")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_right_program_passes_and_a_wrong_one_fails(judge, language):
    needs(language)
    assert judge.judge(language, PASSING[language]).status == "passed"
    wrong = judge.judge(language, FAILING[language])
    assert wrong.status == "failed"
    assert wrong.stderr or language == "bash"


def test_a_public_class_names_its_file(judge):
    needs("java")
    source = "interface A {}\npublic class Solve {\n  public static void main(String[] a) {}\n}"
    assert judge.judge("java", source).status == "passed"


def test_bash_programs_find_what_the_publishers_machines_had(judge):
    lines = [f"! command -v {name} || exit 1" for name in LANGUAGES["bash"].withheld]
    lines += ["seq 3 | grep 2 | sed s/2/4/ | xargs printf '%s\\n' | awk '{ print $1 + 1 }'"]
    outcome = judge.judge("bash", "\n".join(lines))
    assert (outcome.status, outcome.stdout) == ("passed", b"5\n")


def test_an_unknown_language_is_refused(judge):
    with pytest.raises(UsageError, match="got cobol"):
        judge.judge("cobol", "")


def test_a_language_without_its_tools_names_the_command_that_installs_them(monkeypatch):
    monkeypatch.setattr(module.shutil, "which", lambda _: None)
    with pytest.raises(SandboxError, match="no g\\+\\+; apt-get install -y g\\+\\+"):
        LocalJudge(Said(Outcome(status="passed"))).judge("cpp", "int main() {}")


def test_all_that_goes_in_and_out_arrives(judge):
    source = "import sys\nsys.stdout.buffer.write(sys.stdin.buffer.read()[::-1])\nassert False"
    outcome = judge.judge("python", source, stdin=b"\x00\xff1", limits=Limits(cpu_s=1))
    assert (outcome.status, outcome.exit_code, outcome.stdout) == ("failed", 1, b"1\xff\x00")
    assert b"AssertionError" in outcome.stderr
    assert outcome.peak_bytes > 2**20
    assert judge.judge("python", "while True: pass", limits=Limits(cpu_s=0.2)).status == "timeout"
    leaving = "import os\nos._exit(0)"
    assert judge.judge("python", leaving).status == "passed"
    assert judge.judge("python", leaving, complete=True).status == "failed"
    tests = "assert f(1) == 2"
    for program, status in (("import os\nf = 1 .__add__", "passed"), ("f = int", "failed")):
        apart = Apart(program=program, tests=tests)
        assert judge.judge("python", f"{program}\n{tests}", apart=apart).status == status


def test_layers_and_versions_are_told(judge):
    assert "seccomp" in judge.layers
    assert judge.versions("python")["python"] == sys.version.split()[0]
    judge.require("python")


class Said:
    """A sandbox that tells what it was given."""

    layers = ()

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome

    def run(self, program: Program) -> Outcome:
        self.program = program
        return self.outcome

    def close(self) -> None:
        pass


def test_a_runtime_that_only_says_it_failed_has_failed(monkeypatch):
    monkeypatch.setattr(module, "missing", lambda _: [])
    said = Said(Outcome(status="passed", exit_code=0, stderr=b"Unhandled Exception: no"))
    assert LocalJudge(said).judge("csharp", "").status == "failed"
    assert LocalJudge(said).judge("php", "").status == "passed"


def test_the_command_judges_in_order_and_resumes(tmp_path, capsys):
    programs, out = tmp_path / "programs.jsonl", tmp_path / "out.jsonl"
    lines = [
        {"id": n, "language": "python", "program": f"print({n})\nassert {n} % 2"} for n in range(5)
    ]
    programs.write_text("".join(json.dumps(line) + "\n" for line in lines[:3]))
    assert main(["eval", "judge", str(programs), "--to", str(out)]) == 0
    programs.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert main(["eval", "judge", str(programs), "--to", str(out)]) == 0
    found = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["id"] for line in found] == [0, 1, 2, 3, 4]
    assert [line["status"] for line in found] == ["failed", "passed"] * 2 + ["failed"]
    assert found[3]["stdout"] == "3\n"
    assert "1 passed, 1 failed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": 1, "program": ""}', "line 1; got no language"),
        ('{"id": 1, "program": "", "language": "cobol"}', "got language cobol"),
        ("{", "line 1; got"),
    ],
)
def test_a_line_that_is_no_program_is_named(tmp_path, capsys, line, message):
    path = tmp_path / "programs.jsonl"
    path.write_text(line + "\n")
    assert main(["eval", "judge", str(path)]) == 1
    assert message in capsys.readouterr().err


def test_the_doctor_tells_layers_and_languages(capsys):
    assert main(["eval", "doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["confined"]
    assert found["languages"]["python"]["missing"] == []


def test_the_doctors_script_installs_what_is_missing(capsys, monkeypatch):
    here = module.shutil.which
    monkeypatch.setattr(module.shutil, "which", lambda name: None if name == "php" else here(name))
    assert main(["eval", "doctor", "--script"]) == 0
    assert "apt-get install -y php-cli php-mbstring\n" in capsys.readouterr().out
