"""Licences as SPDX expressions, and the step that keeps documents under allowed ones.

What packages say about themselves comes in three forms, and `normalise` takes each: an expression
or a name in free words, a list of trove classifiers, the text of a licence. What cannot be told for
certain is "", never a guess.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from quipu.data.documents import Document
from quipu.data.sources.licence_texts import recognised
from quipu.errors import DataError

PUBLIC_DOMAIN = "LicenseRef-scancode-public-domain"
# A family without saying which of it: all of these permit the same.
SOME_BSD = "LicenseRef-some-BSD"
SOME_APACHE = "LicenseRef-some-Apache"
PROPRIETARY = "LicenseRef-proprietary"
UNKNOWN = "LicenseRef-unknown"  # an expression is declared, but not one that we know
OURS = frozenset({SOME_BSD, SOME_APACHE, PROPRIETARY, UNKNOWN})
LONGEST_EXPRESSION = 300  # characters; what is longer is the text of a licence

# What each asks of those who use the code. None restricts use, and none reaches into works that
# were made with the code, which licences with copyleft (GPL, LGPL, MPL, EPL, CC-BY-SA) do.
_NOTICE = "keep the notice"
_PATENTS = "keep the notice; patents are granted"
_NOTHING = "nothing"
PERMISSIVE_BECAUSE = {
    **dict.fromkeys(
        ("MIT", "X11", "MIT-CMU", "ISC", "NCSA", "HPND", "PostgreSQL", "curl"), _NOTICE
    ),
    **dict.fromkeys(("BSD-2-Clause", "BSD-3-Clause", "BSD-1-Clause", SOME_BSD), _NOTICE),
    **dict.fromkeys(("BSD-2-Clause-Views", "BSD-Source-Code", "MIT-Modern-Variant"), _NOTICE),
    **dict.fromkeys(("Zlib", "Libpng", "libpng-2.0", "bzip2-1.0.6", "TCL", "ICU"), _NOTICE),
    **dict.fromkeys(("Unicode-3.0", "Unicode-DFS-2016", "Unicode-DFS-2015"), _NOTICE),
    **dict.fromkeys(("BSL-1.0", "BlueOak-1.0.0", "FSFAP", "NTP", "W3C"), _NOTICE),
    **dict.fromkeys(("PSF-2.0", "Python-2.0", "Python-2.0.1", "CNRI-Python"), _NOTICE),
    **dict.fromkeys(("PHP-3.0", "PHP-3.01", "ZPL-2.1", "Apache-1.1"), "keep the notice and name"),
    SOME_APACHE: "keep the notice and name",
    **dict.fromkeys(("Apache-2.0", "BSD-2-Clause-Patent", "UPL-1.0", "MulanPSL-2.0"), _PATENTS),
    **dict.fromkeys(("0BSD", "MIT-0", "Unlicense", "CC0-1.0", "WTFPL", PUBLIC_DOMAIN), _NOTHING),
}
PERMISSIVE = tuple(PERMISSIVE_BECAUSE)

_PREFIX = "License :: "
_GENERIC = ("osi approved", "free for non-commercial use", "freely distributable")
# Free words to SPDX, after `_words`: lower case, without punctuation, "the", "licence", "version".
_NAMES = {
    **dict.fromkeys(("mit", "mit mit", "expat", "mit expat", "mit x11", "expat mit"), "MIT"),
    **dict.fromkeys(("mit style", "mit like"), ""),
    **dict.fromkeys(("bsd", "bsd style", "bsd like"), SOME_BSD),
    **dict.fromkeys(("bsd 3 clause", "3 clause bsd", "new bsd", "modified bsd"), "BSD-3-Clause"),
    **dict.fromkeys(("revised bsd", "bsd 3", "bsd3", "bsd new", "new bsd bsd"), "BSD-3-Clause"),
    **dict.fromkeys(("bsd 2 clause", "2 clause bsd", "simplified bsd", "bsd 2"), "BSD-2-Clause"),
    **dict.fromkeys(("bsd2", "freebsd", "bsd simplified"), "BSD-2-Clause"),
    **dict.fromkeys(("apache", "asl", "apache style"), SOME_APACHE),
    **dict.fromkeys(("apache 2.0", "apache 2", "apache2", "apache2.0", "asl 2.0"), "Apache-2.0"),
    **dict.fromkeys(("asl 2", "apache 2.0 apache 2.0", "al 2.0", "apl 2.0"), "Apache-2.0"),
    **dict.fromkeys(("isc", "isc iscl", "iscl"), "ISC"),
    **dict.fromkeys(("psf", "python", "python foundation", "psfl", "python psf"), "PSF-2.0"),
    **dict.fromkeys(("mpl 2.0", "mpl 2", "mpl2", "mozilla public 2.0"), "MPL-2.0"),
    **dict.fromkeys(("mozilla public 2.0 mpl 2.0", "mpl2.0"), "MPL-2.0"),
    **dict.fromkeys(("mpl 1.1", "mozilla public 1.1 mpl 1.1", "mozilla public 1.1"), "MPL-1.1"),
    **dict.fromkeys(("zlib", "zlib libpng"), "Zlib"),
    **dict.fromkeys(("boost", "boost 1.0", "boost 1.0 bsl 1.0"), "BSL-1.0"),
    **dict.fromkeys(("unlicense", "unlicense unlicense"), "Unlicense"),
    **dict.fromkeys(("cc0", "cc0 1.0", "cc0 1.0 universal"), "CC0-1.0"),
    **dict.fromkeys(("cc0 1.0 universal cc0 1.0 public domain dedication",), "CC0-1.0"),
    **dict.fromkeys(("public domain", "publicdomain", "pd"), PUBLIC_DOMAIN),
    **dict.fromkeys(("php", "php 3.01"), "PHP-3.01"),
    **dict.fromkeys(("zpl 2.1", "zope public", "zpl"), "ZPL-2.1"),
    **dict.fromkeys(("historical permission notice and disclaimer hpnd", "hpnd"), "HPND"),
    **dict.fromkeys(("universal permissive upl", "upl"), "UPL-1.0"),
    **dict.fromkeys(("eclipse public 2.0 epl 2.0", "epl 2.0"), "EPL-2.0"),
    **dict.fromkeys(("unlicensed", "other proprietary", "proprietary", "commercial"), PROPRIETARY),
    "mit no attribution mit 0": "MIT-0",
    "wtfpl": "WTFPL",
    "gnu library or lgpl lgpl": "LGPL-2.0-or-later",
    "0bsd": "0BSD",
    "artistic": "Artistic-1.0",
    "x11": "X11",
}
_GNU = re.compile(
    r"(?:gnu )?(a|l|)gpl ?(?:(\d)(?:\.(\d))?(?:\.0)?)? ?(\+|only|)(?: [al]?gpl ?\d?\+?)?"
)
_LATER = re.compile(r",?\s*\(?\bor\s+(?:\(at your option\)\s+)?(?:any\s+)?(?:later|newer|above)"
                    r"(?:\s+versions?)?\b\)?", re.IGNORECASE)  # fmt: skip
_TOKEN = re.compile(r"\s*(\(|\)|,|/|&|\||\b(?:and|or|with)\b(?!-))\s*", re.IGNORECASE)
_FILLER = re.compile(r"\b(?:the|licen[sc]ed?|licen[sc]es|under|software|version|of|a)\b")


def normalise(declared: str | Sequence[str]) -> str:
    """The SPDX expression of an expression, a name, a licence's text, or trove classifiers.

    "" when nothing certain can be said. Parts of an expression are sorted, so that equal licences
    are equal strings.
    """
    if not isinstance(declared, str):
        return _of_classifiers(tuple(declared))
    text = declared.strip()
    if len(text) > LONGEST_EXPRESSION or text.count("\n") > 3:
        return recognised(text)
    return _of_words(" ".join(text.split()))


@lru_cache(maxsize=4096)
def _of_words(text: str) -> str:
    """A short declaration: an expression as it stands, or names in free words joined by and/or."""
    if not text:
        return ""
    found = _parsed(text)
    if found is None and (name := _named(text)) is not None:
        found = _parsed(name) if name else None
    if found is None:
        # "A or B, and C": the comma says what belongs together.
        parts = re.split(r",\s*(and|or)\s+", text, flags=re.IGNORECASE)
        grouped = len(parts) > 1 and "(" not in text
        found = _parsed(
            " ".join(
                part.upper() if place % 2 else f"({_translated(part)})"
                for place, part in enumerate(parts)
            )
            if grouped
            else _translated(text)
        )
    return "" if found is None else str(found.simplify())


def _of_classifiers(classifiers: Sequence[str]) -> str:
    """All licence classifiers together: nothing says that one may choose between them."""
    names = [c.removeprefix(_PREFIX) for c in classifiers if c.startswith(_PREFIX)]
    names = [name.removeprefix("OSI Approved :: ") for name in names]
    names = sorted({name for name in names if name.lower() not in _GENERIC})
    found = [_of_words(re.sub(r"\s+", " ", name.replace(" :: ", " "))) for name in names]
    if not found or not all(found):
        return ""
    return _of_words(" AND ".join(f"({expression})" for expression in found))


def _named(text: str) -> str | None:
    """SPDX of one licence named in free words; None when the words are not known."""
    words = _words(text)
    if words in _NAMES:
        return _NAMES[words]
    if gnu := _GNU.fullmatch(words):
        kind, major, minor, later = gnu.groups()
        oldest = {"": "1", "l": "2", "a": "3"}[kind]
        number = f"{major or oldest}.{minor or '0'}"
        suffix = "or-later" if later == "+" or not major else "only"
        return f"{kind.upper()}GPL-{number}-{suffix}"
    return None


def _words(text: str) -> str:
    text = _LATER.sub("+", text.lower())
    text = re.sub(r"(?:(lesser|library)|(affero)) general public",
                  lambda m: "lgpl" if m[1] else "agpl", text)  # fmt: skip
    text = re.sub(r"general public", "gpl", text)
    text = re.sub(r"(?<![a-z])v\.?\s*(?=\d)|(?<=[a-z]pl)v(?=\d)", " ", text)
    text = _FILLER.sub(" ", re.sub(r"[^a-z0-9.+]+", " ", text))
    return " ".join(text.split())


def _translated(text: str) -> str:
    """Names in free words joined by and, or, with, commas and slashes, as an SPDX expression."""
    tokens = [token for token in _TOKEN.split(_LATER.sub("+", text)) if token.strip()]
    out: list[str] = []
    for place, token in enumerate(tokens):
        low = token.lower()
        after = tokens[place + 1].lower() if place + 1 < len(tokens) else ""
        if low == ",":  # "A, B" is both; in "A, or B" the other word says it
            out += [] if after in ("and", "or", "") else ["AND"]
        elif low in ("/", "|", "or"):
            out += ["OR"]
        elif low in ("&", "and"):
            out += ["AND"]
        elif low in ("(", ")", "with"):
            out += [token.upper()]
        elif len(out) > 1 and out[-1] == "WITH":
            # An exception permits more; one that is not known is as good as none.
            known = _parsed(f"{out[-2]} WITH {token}") or _parsed(
                f"{out[-2]} WITH {_hyphenated(token)}-exception"
            )
            out = [*out[:-2], str(known) if known is not None else out[-2]]
        else:
            out += [_named(token) or token]
    return " ".join(out)


def _hyphenated(token: str) -> str:
    return "-".join(
        word for word in token.split() if word.lower() not in ("exception", "exceptions")
    )


def _parsed(text: str) -> Any:
    """The expression, if every licence in it is known; else None."""
    try:
        found = _licensing().parse(text)
        unknown = set(_licensing().unknown_license_keys(found))
    except (_errors(), AssertionError, RecursionError, AttributeError, TypeError, IndexError):
        return None  # the parser of expressions stumbles over some texts, such as "(&0"
    if found is None or unknown - OURS:
        return None
    return found


@lru_cache(maxsize=1)
def _licensing() -> Any:
    try:
        from license_expression import get_spdx_licensing
    except ImportError as error:
        raise DataError(
            "licences need the package license-expression",
            remedy="install quipu-code with the extra `data`",
        ) from error
    return get_spdx_licensing()


def _errors() -> type[Exception]:
    from license_expression import ExpressionError

    return ExpressionError  # type: ignore[no-any-return]


def permits(expression: str, allowed: Sequence[str]) -> bool:
    """Whether one can use a work under allowed licences alone.

    `A OR B` is our choice, `A AND B` binds to both. An exception (`A WITH E`) only adds permission,
    so `A` allows it too.
    """
    found = _parsed(expression) if expression else None
    return found is not None and _permits(found, frozenset(allowed))


def _permits(node: Any, allowed: frozenset[str]) -> bool:
    from license_expression import LicenseWithExceptionSymbol

    parts = getattr(node, "args", ())
    if parts:
        operator = node.operator.strip().upper()
        results = (_permits(part, allowed) for part in parts)
        return any(results) if operator == "OR" else all(results)
    if isinstance(node, LicenseWithExceptionSymbol):
        return str(node) in allowed or str(node.license_symbol.key) in allowed
    return str(node.key) in allowed


@dataclass(frozen=True, kw_only=True)
class Licences:
    """Step: drops documents that cannot be used under the allowed licences."""

    allowed: tuple[str, ...] = PERMISSIVE

    def __call__(self, document: Document) -> str | None:
        if _allowed(document.licence, self.allowed):
            return None
        return f"licence: {document.licence or 'unknown'}"


@lru_cache(maxsize=4096)
def _allowed(expression: str, allowed: tuple[str, ...]) -> bool:
    return permits(normalise(expression), allowed)
