"""Exercises that are a benchmark's problem in other words: whoever can do one can do the other.

Neither shared words nor equal syntax trees need tell it, so the function itself is tried: what
passes all tests of a problem of HumanEval or MBPP, called with values of the same kinds, is that
problem.
"""

import ast
import gzip
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from quipu.data.corpus.jobs import write_whole
from quipu.errors import DataError
from quipu.exercises.run import Job, Runner

HUMANEVAL, MBPP = "humaneval/HumanEval.jsonl.gz", "mbpp/mbpp.jsonl"


def collect(benchmarks: Path, target: Path) -> Path:
    """Write the tests of all problems to a file that workers can read; its path.

    Raises DataError if a benchmark is not there or its rows are not what they should be.
    """
    found = [*_humaneval(_rows(benchmarks / HUMANEVAL)), *_mbpp(_rows(benchmarks / MBPP))]
    target.parent.mkdir(parents=True, exist_ok=True)
    write_whole(target, json.dumps(found) + "\n")
    return target.resolve()


@dataclass(frozen=True, kw_only=True)
class Suspect:
    """A function, and the kinds of arguments with which a problem must call it to be tried.

    `any N` are those of all problems that give N arguments.
    """

    code: str
    name: str
    kinds: tuple[str, ...]


def likenesses(
    suspects: Sequence[Suspect], problems: Path, runner: Runner, dropped: Counter[str]
) -> list[bool]:
    """Of each, whether it solves a problem of the file, or cannot be tried; counted by reason."""
    jobs = [
        Job(code=one.code, calls=(str(problems), one.name, kinds), kind="likeness", free=True)
        for one in suspects
        for kinds in one.kinds
    ]
    outcomes = iter(runner.run(jobs))
    found = []
    for one in suspects:
        mine = [next(outcomes) for _ in one.kinds]
        failed = any(not outcome.ok for outcome in mine)
        solves = any(outcome.ok and outcome.values for outcome in mine)
        if solves or failed:
            why = "passes a benchmark's tests" if solves else "error"
            dropped[f"likeness: {why}"] += 1
        found.append(solves or failed)
    return found


def kinds_of_longest(calls: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Kinds of the longest call's arguments: empty lists do not tell what they are lists of."""
    call = max(calls, key=lambda arguments: sum(map(len, arguments)), default=())
    return (_kinds([ast.parse(argument, mode="eval").body for argument in call]),)


def kinds_of_any(function: ast.FunctionDef) -> tuple[str, ...]:
    """As many as a function may be called with, whatever they are."""
    most = len(function.args.args)
    return tuple(f"any {count}" for count in range(most - len(function.args.defaults), most + 1))


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        data = path.read_bytes()
        text = gzip.decompress(data) if path.suffix == ".gz" else data
        return [json.loads(line) for line in text.decode().splitlines() if line.strip()]
    except (OSError, EOFError, ValueError) as error:
        raise DataError(
            f"benchmark file {path}", got=error, remedy="give the folder of benchmarks, or none"
        ) from error


def _humaneval(rows: list[dict[str, str]]) -> Iterator[dict[str, object]]:
    for row in rows:
        test = f"{row['test']}\ncheck(candidate)\n"
        name = row["entry_point"]
        yield from _problem(row["task_id"], name, test, {"candidate", name})


def _mbpp(rows: list[dict[str, str]]) -> Iterator[dict[str, object]]:
    for row in rows:
        test = "\n".join([row["test_setup_code"], *row["test_list"]])
        defined = {
            node.name
            for node in ast.walk(ast.parse(row["code"]))
            if isinstance(node, ast.FunctionDef | ast.ClassDef)
        }
        yield from _problem(f"MBPP/{row['task_id']}", "", test, defined)


def _problem(id: str, name: str, test: str, names: set[str]) -> Iterator[dict[str, object]]:
    """A problem by the first call of one of its names; none where nothing is called."""
    for node in ast.walk(ast.parse(test)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
            kinds = _kinds(node.args)
            yield {"id": id, "name": name or node.func.id, "kinds": kinds, "test": test}
            return


def _kinds(arguments: Sequence[ast.expr]) -> str:
    """What sort of value each argument is; lists pass for tuples, and numbers for each other."""
    return " ".join(map(_kind, arguments))


def _kind(argument: ast.expr) -> str:
    try:
        return _kind_of(ast.literal_eval(argument))
    except (ValueError, TypeError, SyntaxError):
        return "other"


def _kind_of(value: object) -> str:
    if isinstance(value, list | tuple):
        return f"sequence of {_kind_of(value[0])}" if value else "sequence"
    return "number" if isinstance(value, int | float) else type(value).__name__
