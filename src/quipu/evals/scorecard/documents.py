"""Python text that no model of ours was trained on, for the tasks whose files are the user's.

By default it comes from RepoBench's sample: pieces of 20 repositories. Decontamination keeps it out
of training data, as all benchmark files. From documents the scorecard makes rows in the formats of
the three tasks: next lines, docstrings, and texts for perplexity.
"""

import ast
import io
import json
import tokenize
from collections.abc import Iterator, Sequence
from pathlib import Path

from quipu.errors import DataError
from quipu.evals.data import Source, read_sources
from quipu.evals.tasks import docstring, lcc
from quipu.evals.tasks.lines import rows
from quipu.evals.tasks.perplexity import Perplexity

REPOBENCH = Source(
    path="repobench/p_python.jsonl",
    sha256="5c7b4b0d365ebf6c552e0c0976e561e2b1a09f1bce715beea92705f360c2ec81",
    licence="CC-BY-4.0",
)
_SHORTEST = 400  # characters of a document
_LONGEST = 20_000
_WORDS = 4  # of a docstring's first line, at least


def own(path: Path) -> list[str]:
    """Texts of the user's file of JSON lines. Raises DataError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"documents {path}", got=error.strerror or error) from error
    return [str(row["text"]) for row in rows(path.name, data, ("text",))]


def sample(folder: Path | None) -> list[str]:
    """Texts of RepoBench's sample: files, and the pieces that they use. Raises DataError."""
    found: dict[str, None] = {}
    for row in rows(
        REPOBENCH.name,
        read_sources([REPOBENCH], folder)[REPOBENCH.name],
        ("import_statement", "code", "context"),
    ):
        found[f"{row['import_statement']}\n{row['code']}{row.get('next_line', '')}\n"] = None
        found |= dict.fromkeys(str(piece["snippet"]) for piece in json.loads(str(row["context"])))
    return [text[:_LONGEST] for text in found if len(text) >= _SHORTEST]


def write(texts: Sequence[str], folder: Path) -> None:
    """The files of the three tasks below a data folder; equal texts give equal bytes."""
    files = {
        lcc.Lcc(language="python").source: lcc.held_out(texts),
        docstring.SOURCE: _documented(texts),
        Perplexity().source: ({"text": text} for text in texts),
    }
    for source, lines in files.items():
        path = folder / source.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def _documented(texts: Sequence[str]) -> Iterator[dict[str, object]]:
    """Functions with a docstring, as CodeXGLUE has them."""
    for text in texts:
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError):
            continue
        for node in ast.walk(tree):
            said = ast.get_docstring(node) if isinstance(node, ast.FunctionDef) else None
            first = (said or "").partition("\n")[0].strip()
            code = ast.get_source_segment(text, node) if said else None
            if code and len(first.split()) >= _WORDS and first.isascii():
                yield {"code": code, "docstring_tokens": _words(first)}


def _words(text: str) -> list[str]:
    try:
        found = tokenize.generate_tokens(io.StringIO(text).readline)
        return [token.string for token in found if token.string.strip()]
    except (tokenize.TokenError, SyntaxError):
        return text.split()
