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
from pathlib import Path

from quipu.data.corpus.jobs import write_whole
from quipu.errors import DataError
from quipu.exercises.drafts import Checked
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


def unlike(
    items: Sequence[Checked], problems: Path, runner: Runner, dropped: Counter[str]
) -> list[Checked]:
    """Those that solve no problem of the file."""
    jobs = [
        Job(
            code=item.draft.code.text(),
            calls=(str(problems), item.draft.name, _kinds(_longest(item.draft.calls))),
            kind="likeness",
            free=True,
        )
        for item in items
    ]
    kept = []
    for item, outcome in zip(items, runner.run(jobs), strict=True):
        if outcome.ok and not outcome.values:
            kept.append(item)
        else:
            dropped[
                "likeness: passes a benchmark's tests" if outcome.ok else "likeness: error"
            ] += 1
    return kept


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


def _longest(calls: Sequence[Sequence[str]]) -> list[ast.expr]:
    """Arguments of the longest call: empty lists do not tell what they are lists of."""
    call = max(calls, key=lambda arguments: sum(map(len, arguments)), default=())
    return [ast.parse(argument, mode="eval").body for argument in call]


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
