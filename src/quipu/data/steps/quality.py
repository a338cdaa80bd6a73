"""A number for how much there is to learn from a file: documented, typed, short, well named.

It ranks documents of one group among themselves (what a cap keeps, which of two near duplicates
stays); it is no reason to drop one.
"""

import ast
import re
from dataclasses import dataclass, replace

from quipu.data.documents import Document
from quipu.data.steps.shape import shape
from quipu.data.steps.subject import is_prose, is_python, language_of
from quipu.data.steps.syntax import Function, documented, functions, parsed

SHORT, LONG = 15, 80  # lines of a function: what earns everything, what earns nothing
_COMMENT = re.compile(r"^[ \t]*(?:#(?!!)|//|/\*|\*(?=[ /\n])|--)", re.MULTILINE)
_DOC = re.compile(r"/\*\*(?=\s)|^[ \t]*///(?!/)", re.MULTILINE)
_FUNCTION = re.compile(  # a head of a function in a language with braces; every part is bounded
    r"""^[ \t]*
    (?:(?:export|public|private|protected|internal|static|async|inline|virtual|default)[ \t]+){0,6}
    (?: function\b[^\n(]{0,80}\(
      | [\w:<>,*&\[\]?]{1,80}[ \t]+[*&]{0,2}[\w:~]{1,80}[ \t]*\([^\n;)]{0,200}\)[^\n;()]{0,60}$
      | [\w-]{1,80}\(\)[ \t]*\{ )""",
    re.MULTILINE | re.VERBOSE,
)
_TYPED = re.compile(r"[\w)\]]\??: ?(?:string|number|boolean|void|any|unknown|[A-Z]\w*)")
_HEADING = re.compile(r"^(?:#{1,6} |[=~^-]{4,}$)", re.MULTILINE)
_EXAMPLE = re.compile(r"^(?:```|    \S|\.\. code)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Quality:
    """Sets the quality of a document, from 0 to 1, to four decimal places."""

    def __call__(self, document: Document) -> Document:
        return replace(document, quality=round(_score(document), 4))


def _score(document: Document) -> float:
    if not document.text:
        return 0.0
    if is_python(document):
        tree = parsed(document.text).tree
        return 0.0 if tree is None else _python(document.text, tree)
    return _prose(document.text) if is_prose(document) else _code(document)


def _python(text: str, tree: ast.Module) -> float:
    found = functions(text)
    score = 0.10 * documented(tree) + 0.15 * _comments(text)
    if not found:
        return score
    score += 0.30 * sum(map(documented, found)) / len(found)
    score += 0.20 * sum(map(_typed, found)) / len(found)
    score += 0.20 * sum(map(_shortness, found)) / len(found)
    return score + 0.05 * sum(len(node.name.strip("_")) > 2 for node in found) / len(found)


def _typed(function: Function) -> float:
    """Share of parameters and result that are annotated; `self` needs none."""
    every = function.args.posonlyargs + function.args.args + function.args.kwonlyargs
    wanted = [argument for argument in every if argument.arg not in ("self", "cls")]
    typed = sum(argument.annotation is not None for argument in wanted)
    return (typed + (function.returns is not None)) / (len(wanted) + 1)


def _shortness(function: Function) -> float:
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    return min(1.0, max(0.0, (LONG - lines) / (LONG - SHORT)))


def _comments(text: str) -> float:
    """1 for a share of comment lines that explains; less for none, and for nothing else."""
    share = sum(1 for _ in _COMMENT.finditer(text)) / max(1, shape(text).lines)
    return min(1.0, share / 0.05) if share <= 0.4 else max(0.0, (0.9 - share) / 0.5)


def _code(document: Document) -> float:
    text = document.text
    counts = shape(text)
    found = sum(1 for _ in _FUNCTION.finditer(text))
    score = 0.25 * _comments(text)
    if found:
        score += 0.30 * min(1.0, sum(1 for _ in _DOC.finditer(text)) / found)
        score += 0.25 * min(1.0, max(0.0, (LONG - counts.lines / found) / (LONG - SHORT)))
    if language_of(document) == "typescript":
        score += 0.20 * min(1.0, 4 * sum(1 for _ in _TYPED.finditer(text)) / max(1, counts.lines))
    elif language_of(document) not in ("javascript", "bash", "php"):
        score += 0.20  # the language has types for everything
    return score


def _prose(text: str) -> float:
    """Headings, examples, and letters rather than marks."""
    counts = shape(text)
    headings = sum(1 for _ in _HEADING.finditer(text)) / max(1, counts.lines)
    examples = sum(1 for _ in _EXAMPLE.finditer(text)) / max(1, counts.lines)
    letters = counts.letters / max(1, counts.visible)
    return (
        0.3 * min(1.0, 20 * headings)
        + 0.3 * min(1.0, 20 * examples)
        + 0.3 * min(1.0, max(0.0, (letters - 0.5) / 0.4))
        + 0.1 * min(1.0, counts.characters / 5_000)
    )
