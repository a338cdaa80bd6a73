"""MultiPL-E: HumanEval and MBPP translated to seven languages (arXiv 2208.08227).

Protocol of the Code Llama paper, table 4: zero-shot, greedy, the data's prompts to the byte,
answers cut at the data's stop strings. A program is prompt + answer + a line break + tests; the
tests of C++, Java, C# and Bash begin by closing the function. What the paper leaves open: the most
tokens of an answer (here 512), and MBPP, which it does not report in these languages.

The C# tests of this release compare lists and a dictionary by reference, and call `Equals` on null
where null is right: 47 of HumanEval's 158 problems can never pass. `multipl-e-cs` is that set as it
is, since the published numbers are its own; `multipl-e-cs-repaired` is the edition that repairs 44
of them, with the other three repaired here. The two are never mixed. MBPP's C# file has the same
defect and is as released.

The data has no solutions. "Python" of the paper's table 11 is a translation of HumanEval to Python
that is not among these files.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quipu.evals.data import Source
from quipu.evals.task import (
    Complete,
    Declaration,
    Decoding,
    Grade,
    Problem,
    Prompt,
    Published,
    Trial,
)
from quipu.evals.tasks.lines import rows
from quipu.sandbox.languages import LANGUAGES

PAPER = "arXiv 2308.12950, table 4"
_KEYS = ("name", "prompt", "tests", "stop_tokens")
_LICENCE = "BSD-3-Clause with a clause against use as training data"
NAMES = {  # in the benchmark's file names: language of the sandbox
    "cpp": "cpp",
    "java": "java",
    "php": "php",
    "ts": "typescript",
    "js": "javascript",
    "cs": "csharp",
    "sh": "bash",
}
_TITLES = {
    "cpp": "C++",
    "java": "Java",
    "php": "PHP",
    "ts": "TypeScript",
    "js": "JavaScript",
    "cs": "C#",
    "sh": "Bash",
}
_SHA256 = {
    "humaneval-cpp": "19e17080c1bdeb347940d2f3a99f85d768531bbac91dbfb844c8677e3594963a",
    "humaneval-java": "f0d0322d2b32df5305dad57176660903d195233ab21b3ce5acc62a87e7046e01",
    "humaneval-php": "365fdec4caa7dca0b07a3a76259e4ea42e360ed6cd79034d47d6192c260c778c",
    "humaneval-ts": "bb73d5f574c893d62cec3e0c5ec964ce5259176ca17f77f7465ada36a3efe456",
    "humaneval-js": "511a840924b32cf474b756581195d44fa21bc2adbf5a65b6fdad5e304f387f8b",
    "humaneval-cs": "02181c2093ec08a0507d821ac7eb7a3615e5c9b8c35280f611286b3c2fcb7abb",
    "humaneval-sh": "f55931c415e3472aca627274f5b0a93766180326ef3d10bbf49a82271d383bb3",
    "mbpp-cpp": "0721ff75106040a99bb2c65c12f3d1029e6d97fa7231184a8658f43b0e03202a",
    "mbpp-java": "5cb82ab1df24cb89fd494b1bb2da92d9c4215861e9ba219b749a41c3a2fd9ed4",
    "mbpp-php": "12d749f509b222481bb8666f53ebfcc7d297fd8e3955e1bf7739b2d86a1c94cd",
    "mbpp-ts": "45ff7e4ea21e1b51c95e70509cd89acbc7cdad27986a929a9bf98ec199626e22",
    "mbpp-js": "2380b9b8477ceabb135af6fbf40ba3676388546a570da0a2d5ff3420224b3324",
    "mbpp-cs": "3fdaac04341fcf9917f98ed69eba12f091280961f2b1e491bd7ccec98cf441f3",
    "mbpp-sh": "f90c0d1f7488356cc32829fdc09c6c25fbd240bb3beab7fffb60899ddcee1d4a",
}
_REPAIRED = Source(
    path="multipl-e/deepseek-fixed/humaneval-cs.jsonl",
    sha256="1c3fe18be10addc2d0b96311f4db192ae3232e08628d17768d889d6ab87be224",
    url="https://github.com/deepseek-ai/DeepSeek-Coder/raw/2f9fd85927c669dae3c0fbb2d607274023af243e/Evaluation/HumanEval/data/humaneval-cs.jsonl",
    licence=_LICENCE,
)
_SCORES = {  # pass@1 of cpp, java, php, ts, cs, sh
    "Code Llama 7B": (28.6, 34.2, 24.2, 33.3, 25.3, 12.0),
    "Code Llama 13B": (39.1, 38.0, 34.2, 29.6, 27.3, 15.2),
    "Code Llama 34B": (47.8, 45.6, 44.1, 33.3, 30.4, 17.1),
    "Code Llama 70B": (52.8, 51.9, 50.9, 49.1, 38.0, 29.1),
    "Code Llama - Instruct 7B": (31.1, 30.4, 28.6, 32.7, 21.6, 10.1),
    "Code Llama - Instruct 13B": (42.2, 40.5, 32.3, 39.0, 24.0, 13.9),
    "Code Llama - Instruct 34B": (45.3, 43.7, 36.6, 40.3, 31.0, 19.6),
    "Code Llama - Instruct 70B": (53.4, 58.2, 58.4, 39.0, 36.7, 29.7),
    "Code Llama - Python 7B": (32.3, 35.4, 32.3, 23.9, 24.7, 16.5),
    "Code Llama - Python 13B": (39.1, 37.3, 33.5, 35.2, 29.8, 13.9),
    "Code Llama - Python 34B": (42.2, 44.9, 42.9, 34.3, 31.7, 14.6),
    "Code Llama - Python 70B": (54.7, 57.6, 53.4, 44.0, 34.8, 25.3),
}
_COLUMNS = ("cpp", "java", "php", "ts", "cs", "sh")
# A statement that no compiler takes, or that fails when run.
_MUTANTS = {
    "php": "    throw new Exception('mutant');\n}\n",
    "js": "    throw new Error('mutant');\n}\n",
    "ts": "    throw new Error('mutant');\n}\n",
    "sh": "    exit 1\n",
}
_REPAIRS = (  # whole words of the three problems that the other edition leaves as they are
    ("HumanEval_12_longest", "Longest((new List<string>())).Equals(null)", "Longest((new"
     " List<string>())) == null"),
    ("HumanEval_162_string_to_md5", 'StringToMd5(("")).Equals(null)', 'StringToMd5(("")) == null'),
)  # fmt: skip
_HISTOGRAM = "HumanEval_111_histogram"


@dataclass(frozen=True, kw_only=True)
class MultiplE:
    """Implements `Task`: one of the sets in one language."""

    language: str  # of NAMES
    origin: str = "humaneval"  # or mbpp
    repaired: bool = False  # HumanEval in C# alone

    @property
    def source(self) -> Source:
        """The set's file."""
        if self.repaired:
            return _REPAIRED
        name = f"{self.origin}-{self.language}"
        path = f"multipl-e/clean/{name}.jsonl"
        return Source(path=path, sha256=_SHA256[name], licence=_LICENCE)

    @property
    def declaration(self) -> Declaration:
        mbpp = "-mbpp" if self.origin == "mbpp" else ""
        edition = ", tests repaired" if self.repaired else ""
        return Declaration(
            name=f"multipl-e{mbpp}-{self.language}{'-repaired' if self.repaired else ''}",
            title=f"MultiPL-E {'MBPP' if mbpp else 'HumanEval'}, {_TITLES[self.language]}{edition}",
            protocol="zero-shot; the prompt to the byte; cut at the data's stop strings;"
            " prompt + answer + line break + tests must build and end with 0" + self._note(),
            source=PAPER if self.origin == "humaneval" else "arXiv 2208.08227",
            measure="pass@k",
            decoding=Decoding(max_tokens=512, stop=LANGUAGES[NAMES[self.language]].stop),
            data=(self.source,),
            ks=(1, 10, 100),
            published=self._published(),
        )

    def _note(self) -> str:
        if self.repaired:
            return (
                "; lists and dictionaries compared by their elements, null by ==; an unhandled"
                " exception fails (DeepSeek's and Qwen's harnesses count it as passing)"
            )
        if self.language == "cs":
            return "; tests as released: lists compared by reference, so many can never pass"
        if self.language == "sh":
            withheld = ", ".join(LANGUAGES["bash"].withheld)
            return f"; programs do not find {withheld}, which MultiPL-E's container has not"
        return ""

    def _published(self) -> tuple[Published, ...]:
        if self.origin != "humaneval" or self.language not in _COLUMNS:
            return ()
        column = _COLUMNS.index(self.language)
        note = "the set as released, whose defects bound it by 70.3" if self.repaired else ""
        return tuple(
            Published(
                model=model, measure="pass@1", value=values[column], source=PAPER, protocol=note
            )
            for model, values in _SCORES.items()
        )

    def problems(self, files: Mapping[str, bytes]) -> Sequence[Problem]:
        found = rows(self.source.name, files[self.source.name], _KEYS)
        problems = [Problem(id=str(r["name"]), facts={k: r[k] for k in _KEYS}) for r in found]
        # The repaired edition is not in the order of the numbers.
        return (
            sorted(problems, key=lambda p: int(p.id.split("_")[1])) if self.repaired else problems
        )

    def prompt(self, problem: Problem) -> Prompt:
        return Complete(text=str(problem.facts["prompt"]))

    def grade(self, problem: Problem, answer: str) -> Grade:
        facts = problem.facts
        stops = facts["stop_tokens"]
        assert isinstance(stops, list)
        tests = str(facts["tests"])
        if self.repaired:
            tests = repaired(problem.id, tests)
        text = f"{facts['prompt']}{cut(answer, stops)}\n{tests}"
        return Trial(language=NAMES[self.language], program=text)

    def solution(self, problem: Problem) -> str | None:
        return None

    def mutant(self, problem: Problem) -> str | None:
        return _MUTANTS.get(self.language, "    this is no program;\n")


def cut(answer: str, stops: Sequence[str]) -> str:
    """An answer up to the first of the stop strings in it."""
    ends = [answer.find(stop) for stop in stops]
    return answer[: min((end for end in ends if end >= 0), default=len(answer))]


def repaired(name: str, tests: str) -> str:
    """Tests of the C# edition whose three last defects are repaired too."""
    for problem, before, after in _REPAIRS:
        if name == problem:
            return tests.replace(before, after)
    if name != _HISTOGRAM:
        return tests
    # An unordered comparison: as many keys, and each with its value.
    lines = tests.replace("Debug.Assert(Histogram(", "Debug.Assert(SameEntries(Histogram(")
    lines = lines.replace(")).Equals((new Dictionary", ")), (new Dictionary")
    same = (
        "    static bool SameEntries(Dictionary<string,long> a, Dictionary<string,long> b) {\n"
        "    return a.Count == b.Count && !a.Except(b).Any();\n    }\n"
    )
    return lines.replace("    }\n", f"    }}\n{same}", 1)
