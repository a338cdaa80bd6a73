"""The texts of a folder of benchmarks: programs, tests, questions, published answers.

Every file is read that holds problems; the table below says which values of a row are texts. A
problem that many files speak of (HumanEval in eighteen languages, in four kinds of infilling, with
the programs of other models) has one name in all of them.
"""

import csv
import gzip
import hashlib
import io
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quipu.errors import DataError

Row = Any  # a value of JSON

# Values of a row that a person or a program would answer to, or with. Other values are ids,
# paths, verdicts and settings.
_PROGRAMS = frozenset(
    (
        *("prompt", "canonical_solution", "code", "test", "tests", "gpt_solution", "completion"),
        *("solution", "origin_code", "context", "Insecure_code", "Prompt", "programs", "contract"),
    )
)
_WORDS = frozenset(
    (
        *("text", "question", "answer", "test_case_prompt", "mutated_prompt", "user_prompt"),
        *("user_input", "Question", "Best Answer", "line", "type_text", "completion_text"),
        *("LLM-generated NL Prompt", "Manually-fixed NL Prompt"),
    )
)
# Programs of real repositories: their comments are licences and their names are anybody's.
_REPOSITORIES = ("repobench/", "cyberseceval/", "security-prompts/")
_ANSWERS = "check-vectors/"
_NOT_PROBLEMS = re.compile(
    r"(?:.*/)?(?:SOURCE\.txt|README\.md|LICEN[CS]E[^/]*|metadata\.json|input_output\.json)"
    r"|tokenizer/.*|.*\.(?:ya?ml|jar|model|out|inp|parquet|md)|.*(?:_eval_|all_)?results\.json"
    r"|cruxeval/sample_.*|xstest/labels/.*"
)
_PROBLEM = re.compile(r"(humaneval|mbpp)[-_/ ](?:humaneval[_/])?(\d+)", re.IGNORECASE)
_COMMENTS = re.compile(
    r'"""(.*?)"""|\'\'\'(.*?)\'\'\'|/\*(.*?)\*/|^[ \t]*(?://+|#|--|;+|%)(?!!)([^\n]*)',
    re.DOTALL | re.MULTILINE,
)
_COMMENT_BLOCK = re.compile(r"/\*.*?\*/|(?:^[ \t]*(?:#|//)[^\n]*\n?)+", re.DOTALL | re.MULTILINE)
_LICENCE = re.compile(r"licen[cs]e|copyright", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Text:
    """A text that must not be trained on."""

    file: str  # below the folder of benchmarks
    problem: str  # the same in every file that speaks of it
    words: bool  # prose rather than a program
    comment: bool  # the prose of a program, not a text of its own
    public: bool  # its names are anybody's: from a real repository, not written as a problem
    answer: bool  # a model's: the functions in it may be anybody's
    text: str


def files(folder: Path) -> dict[str, str]:
    """The sha256 of every benchmark file, by its path; DataError if there is none."""
    if not folder.is_dir():
        raise DataError(
            "the folder of benchmarks is missing",
            got=folder,
            allowed="a folder with benchmark files (.jsonl, .jsonl.gz, .json, .csv, .txt)",
            remedy="name the folder, or say that there is none: benchmarks=None",
        )
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not _NOT_PROBLEMS.fullmatch(name):
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    if not found:
        raise DataError(
            "no benchmark file in the folder",
            got=folder,
            allowed=".jsonl, .jsonl.gz, .json, .csv, .txt below it",
            remedy="name the folder, or say that there is none: benchmarks=None",
        )
    return found


def texts(folder: Path, file: str) -> Iterator[Text]:
    """The texts of one file, each once for a problem."""
    seen: set[tuple[str, bool, bytes]] = set()
    public, answer = file.startswith(_REPOSITORIES), file.startswith(_ANSWERS)

    def text_of(problem: str, words: bool, text: str, comment: bool = False) -> Text:
        return Text(
            file=file,
            problem=problem,
            words=words,
            comment=comment,
            public=public,
            answer=answer,
            text=text,
        )

    for number, row in enumerate(_rows(folder / file)):
        problem = _problem(file, row, number)
        for words, found in _texts_of(row, file):
            text = without_licences(found) if public else found
            mark = (problem, words, hashlib.sha256(text.encode("utf-8", "replace")).digest())
            if mark in seen or not text.strip():
                continue
            seen.add(mark)
            yield text_of(problem, words, text)
            if not words and not public:
                yield text_of(problem, True, comments(text), comment=True)


def comments(program: str) -> str:
    """Docstrings and comments of a program in any language, joined."""
    return "\n".join("".join(filter(None, found)) for found in _COMMENTS.findall(program))


def without_licences(program: str) -> str:
    """A program without the comments that state a licence: half of all files begin with one."""
    return _COMMENT_BLOCK.sub(lambda m: "" if _LICENCE.search(m.group()) else m.group(), program)


def _rows(path: Path) -> Iterator[Row]:
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        text = data.decode("utf-8")
        name = path.name.removesuffix(".gz")
        if name.endswith(".csv"):
            csv.field_size_limit(sys.maxsize)
            yield from csv.DictReader(io.StringIO(text))
        elif name.endswith(".json"):
            yield from _json_rows(text)
        elif name.endswith(".jsonl"):
            yield from map(json.loads, filter(str.strip, text.split("\n")))
        elif name == "question.txt":
            yield {"question": text}
        elif name.endswith(".txt"):
            yield from ({"line": line} for line in text.split("\n"))
        else:
            yield {"code": text}
    except (OSError, ValueError, csv.Error, EOFError) as error:
        raise DataError(
            f"{path} cannot be read as a benchmark",
            got=error,
            remedy="fetch it anew, or take it out of the folder",
        ) from error


def _json_rows(text: str) -> Iterator[Row]:
    """Rows of a list, values of an object with their keys, or one object in each line."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        yield from map(json.loads, filter(str.strip, text.split("\n")))
        return
    if isinstance(value, list):
        yield from ({"programs": row} if isinstance(row, str | list) else row for row in value)
    elif isinstance(value, dict) and all(isinstance(v, list | dict) for v in value.values()):
        yield from ({"task_id": key, "rows": row} for key, row in value.items())
    else:
        yield value


def _problem(file: str, row: Row, number: int) -> str:
    """What the problem is called everywhere: mbpp/17 whichever file, language and spelling."""
    row = row if isinstance(row, dict) else {}
    names = (row.get(key) for key in ("name", "task_id", "id", "ID", "Prompt ID", "prompt_id"))
    name = next((str(value) for value in names if value is not None), str(number))
    known = _PROBLEM.search(f"{name}")
    if known:
        return f"{known.group(1).lower()}/{known.group(2)}"
    if file.startswith("mbpp/"):
        return f"mbpp/{name}"
    folder = file.rpartition("/")[0] if file.startswith("apps/") else file
    return f"{folder}#{name}" if not file.startswith("apps/") else folder


def _texts_of(row: Row, file: str) -> Iterator[tuple[bool, str]]:
    """Whether it is prose, and the text, for every text of a row."""
    if not isinstance(row, dict):
        return
    parts = [row.get(key) for key in ("prompt", "canonical_solution", "suffix")]
    whole = "".join(part for part in parts if isinstance(part, str))
    infilling = isinstance(row.get("suffix"), str)
    if whole:
        yield False, whole
    for key, value in row.items():
        part = infilling and key in ("prompt", "canonical_solution")
        if not part and (key in _PROGRAMS or key in _WORDS):
            prose = key in _WORDS and not (key == "test_case_prompt" and "autocomplete" in file)
            prose |= key == "prompt" and file.startswith(("mbpp/", "xstest/"))
            yield from ((prose, text) for text in _strings(value))
        elif isinstance(value, dict | list):
            for inner in _dicts(value):
                yield from _texts_of(inner, file)
            if file.startswith("bold/"):
                yield from ((True, text) for text in _strings(value))


def _dicts(value: Row) -> Iterator[Row]:
    """The outermost objects inside a value."""
    if isinstance(value, dict):
        yield value
    elif isinstance(value, list):
        for inner in value:
            yield from _dicts(inner)


def _strings(value: Row) -> Iterator[str]:
    """Every string inside a value; a string that is a list in JSON counts as that list."""
    if isinstance(value, str):
        if value.startswith('[{"'):
            try:
                value = json.loads(value)
            except ValueError:
                yield value
                return
        else:
            yield value
            return
    inner = value.values() if isinstance(value, dict) else value
    if isinstance(value, dict | list):
        for one in inner:
            yield from _strings(one)
