"""Steps that look at lines and characters, whatever the language.

Thresholds are those of BigCode (longest line 1000, mean line 100) and OpenCoder (digits 20 %,
letters), looser where people do write that way: a paragraph of prose may be one line.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from quipu.data.documents import Document
from quipu.data.steps.subject import is_prose, language_of, path_of

_MINIFIED_NAME = re.compile(r"[^/]*[.-]min\.[a-z]+|[^/]*\.(?:bundle|chunk)\.[a-z]+")
_SCRIPTS = frozenset({"javascript", "typescript", "php"})
_LITERAL_LINE = re.compile(r"""^[ \t]*(?:[-+]?\d|["'(\[{])[^\n]*[,\]})][ \t]*$""", re.MULTILINE)
_LETTERS = np.zeros(256, np.bool_)
_LETTERS[[*range(ord("A"), ord("Z") + 1), *range(ord("a"), ord("z") + 1), *range(0xC2, 256)]] = True
_DIGITS = np.zeros(256, np.bool_)
_DIGITS[ord("0") : ord("9") + 1] = True
_WHITE = np.zeros(256, np.bool_)
_WHITE[[9, 10, 11, 12, 13, 32]] = True
_BASE64 = np.zeros(256, np.bool_)
_BASE64[[*b"+/", *np.flatnonzero(_LETTERS[:128]), *np.flatnonzero(_DIGITS)]] = True


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Counts of a text, in characters."""

    characters: int
    lines: int  # that are not empty
    longest: int  # line
    mean: float  # of the lines that are not empty
    letters: int  # every character beyond ASCII counts as one
    digits: int
    white: int
    encoded: int  # in long runs of base64 or hexadecimal characters

    @property
    def visible(self) -> int:
        """Characters that are not white space."""
        return self.characters - self.white


@lru_cache(maxsize=2)
def shape(text: str) -> Shape:
    """The counts of a text; several steps ask for the same one."""
    data = np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8)
    if len(data) != len(text):
        data = data[(data & 0xC0) != 0x80]  # one byte for each character
    counts = np.bincount(data, minlength=256)
    ends = np.flatnonzero(data == ord("\n"))
    lengths = np.diff(ends, prepend=-1, append=len(data)) - 1
    lengths = lengths[lengths > 0]
    return Shape(
        characters=len(data),
        lines=len(lengths),
        longest=int(lengths.max(initial=0)),
        mean=float(lengths.mean()) if len(lengths) else 0.0,
        letters=int(counts[_LETTERS].sum()),
        digits=int(counts[_DIGITS].sum()),
        white=int(counts[_WHITE].sum()),
        encoded=_encoded(data),
    )


def _encoded(data: np.ndarray[tuple[int], np.dtype[np.uint8]], least: int = 50) -> int:
    """Characters in runs that mix letters and digits as encoded bytes do and names do not."""
    breaks = np.flatnonzero(~_BASE64[data])
    starts = np.concatenate([[0], breaks + 1])
    lengths = np.concatenate([breaks, [len(data)]]) - starts
    total = 0
    for run in np.flatnonzero(lengths >= least):
        part = data[starts[run] : starts[run] + lengths[run]]
        digits = int(_DIGITS[part].sum())
        if digits >= len(part) // 16 and digits < len(part):
            total += len(part)
    return total


@dataclass(frozen=True, kw_only=True)
class TooShort:
    """Drops texts with hardly anything in them."""

    characters: int = 100
    lines: int = 3  # that are not empty

    def __call__(self, document: Document) -> str | None:
        found = shape(document.text)
        if found.characters < self.characters:
            return f"too short: fewer than {self.characters} characters"
        return None if found.lines >= self.lines else f"too short: fewer than {self.lines} lines"


@dataclass(frozen=True, kw_only=True)
class LongLines:
    """Drops texts with a line that no person wrote, or with long lines throughout."""

    longest: int = 1_000
    mean: int = 100
    prose: int = 5  # times as much is allowed where a line is a paragraph

    def __call__(self, document: Document) -> str | None:
        found, factor = shape(document.text), self.prose if is_prose(document) else 1
        if found.longest > factor * self.longest:
            return f"long lines: one beyond {factor * self.longest}"
        if found.mean > factor * self.mean:
            return f"long lines: mean beyond {factor * self.mean}"
        return None


@dataclass(frozen=True, kw_only=True)
class Minified:
    """Drops scripts without the white space that people need to read them."""

    mean: int = 80  # line
    white: float = 0.10  # share of characters
    scripts_white: float = 0.06  # in scripts, whatever their lines

    def __call__(self, document: Document) -> str | None:
        name = path_of(document).rpartition("/")[2].lower()
        if _MINIFIED_NAME.fullmatch(name):
            return "minified: file name"
        found = shape(document.text)
        if is_prose(document) or found.characters < 200:
            return None
        scripted = language_of(document) in _SCRIPTS
        if found.white < self.scripts_white * found.characters and scripted:
            return "minified: little white space"
        if found.mean > self.mean and found.white < self.white * found.characters:
            return "minified: long lines, little white space"
        return None


@dataclass(frozen=True, kw_only=True)
class DataLike:
    """Drops data in the clothes of code: tables, encoded bytes, long lists of literals."""

    letters: float = 0.40  # least share of visible characters
    loose_letters: float = 0.35  # where marks are many: prose with tables, shell
    digits: float = 0.20  # largest share of visible characters
    encoded: float = 0.10  # largest share of visible characters in base64 or hexadecimal runs
    literals: float = 0.60  # largest share of lines that are literals and nothing else
    literal_lines: int = 60  # so many are always allowed

    def __call__(self, document: Document) -> str | None:
        found = shape(document.text)
        loose = is_prose(document) or language_of(document) == "bash"
        least = self.loose_letters if loose else self.letters
        if found.letters < least * found.visible:
            return "data-like: few letters"
        if found.digits > self.digits * found.visible:
            return "data-like: many digits"
        if found.encoded > max(400, self.encoded * found.visible):
            return "data-like: encoded bytes"
        if found.lines <= self.literal_lines or is_prose(document):
            return None
        literals = sum(1 for _ in _LITERAL_LINE.finditer(document.text))
        if literals > max(self.literal_lines, self.literals * found.lines):
            return "data-like: literals"
        return None
