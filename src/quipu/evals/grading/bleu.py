"""BLEU-4 of one text against one reference, smoothed as CodeXGLUE's docstring benchmark has it.

One is added to counts and totals from bigrams on; the brevity penalty compares lengths plus one;
the benchmark's score is the mean over its texts. Texts are in lower case, and punctuation is split
off. An empty text is left with its brevity penalty alone, a quirk that is kept. `lines` is the same
for code, whose case counts, and where an empty line scores nothing.
"""

import math
import re
import sys
from collections import Counter
from collections.abc import Sequence

_WORD = re.compile(r"\w+|[^\s\w]")
_ORDER = 4


def smoothed(found: str, wanted: str) -> float:
    """From 0 to 1."""
    return _bleu(_WORD.findall(found.strip().lower()), _WORD.findall(wanted.strip().lower()))


def lines(found: str, wanted: str) -> float:
    """The same for lines of code: upper and lower case differ."""
    return _bleu(_WORD.findall(found), _WORD.findall(wanted)) if found.strip() else 0.0


def _bleu(found: Sequence[str], wanted: Sequence[str]) -> float:
    total = 0.0
    for order in range(1, _ORDER + 1):
        ours, theirs = _grams(found, order), _grams(wanted, order)
        extra = 1 if order > 1 else 0
        shared = sum((ours & theirs).values()) + extra
        count = ours.total() + extra
        total += math.log(shared + sys.float_info.min) - math.log(count + sys.float_info.min)
    short = min(0.0, 1 - (len(wanted) + 1) / (len(found) + 1))
    return math.exp(total / _ORDER + short)


def _grams(words: Sequence[str], order: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[i : i + order]) for i in range(len(words) - order + 1))
