"""Where a text holds keys, tokens and passwords: well-known formats first, then names.

Every pattern is bounded, so a text is searched in linear time whatever is in it. Precise rather
than eager: hashes, UUIDs, placeholders and the constants of examples are no secrets.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator

Span = tuple[int, int, str]  # start, end, placeholder

# Texts without any of these hold no secret of a known format; searching for them is fast.
_HINTS = re.compile(
    r"AKIA|ASIA|AIza|ghp_|gho_|ghu_|ghs_|ghr_|github_pat_|glpat-|xox[abprs]-|sk_live_|rk_live_|"
    r"sk-|pypi-AgEI|npm_|SG\.|eyJ|hooks\.slack\.com|hf_|dop_v1_|PRIVATE KEY-----|ya29\.|AccountKey="
)
_KNOWN = re.compile(
    r"""(?<![A-Za-z0-9_/+])(?:
      (?:AKIA|ASIA)[A-Z0-9]{16}
    | AIza[0-9A-Za-z_-]{35}
    | gh[pousr]_[A-Za-z0-9]{36,255}
    | github_pat_[A-Za-z0-9_]{60,255}
    | glpat-[A-Za-z0-9_-]{20,64}
    | xox[abprs]-[0-9A-Za-z-]{10,250}
    | [sr]k_live_[0-9A-Za-z]{16,200}
    | sk-(?:proj-|ant-api\d\d-)?[A-Za-z0-9_-]{32,200}
    | pypi-AgEI[A-Za-z0-9_-]{50,1000}
    | npm_[A-Za-z0-9]{36}
    | SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}
    | hf_[A-Za-z]{34}
    | dop_v1_[0-9a-f]{64}
    | ya29\.[0-9A-Za-z_-]{30,300}
    | eyJ[A-Za-z0-9_-]{10,2000}\.eyJ[A-Za-z0-9_-]{10,4000}\.[A-Za-z0-9_-]{10,1000}
    )(?![A-Za-z0-9_])
    | (?<=hooks\.slack\.com/services/)T[A-Z0-9]{6,12}/B[A-Z0-9]{6,12}/[A-Za-z0-9]{20,30}
    | (?<=AccountKey=)[A-Za-z0-9+/]{86}==
    """,
    re.VERBOSE,
)
_KEY_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----")
_KEY_END = re.compile(r"-----END [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----")
_KEY_LONGEST = 20_000  # characters between the two
_URL_PASSWORD = re.compile(
    r"://[^\s:@/'\"<>(){}$%`]{1,64}:([^\s:@/'\"<>(){}$%`]{6,128})@"
    r"(?!(?:[a-z0-9-]{1,60}\.){0,3}example\b|localhost)[A-Za-z0-9]"
)
# name = "value", name: 'value', "name": "value"; what is named is looked at afterwards.
_ASSIGNED = re.compile(r"""[:=]>?[ \t]{0,4}["']([^\s"'<>{}$%()\\]{12,200})["']""")
_SECRET_NAME = re.compile(
    r"""(pass(?:word|wd|phrase)|pwd|secret|token|api_?key|access_?key|auth_?key|account_?key
        |private_?key|encryption_?key|credentials?)(?:_?(?:key|id|value))?["']?[ \t]{0,4}:?$""",
    re.VERBOSE | re.IGNORECASE,
)
_NAME_LONGEST = 40  # characters before the sign of assignment in which the name ends
_PASSWORD = re.compile(r"pass|pwd", re.IGNORECASE)
_HARMLESS = re.compile(
    r"example|sample|dummy|test|fake|changeme|change_me|placeholder|redacted|secret|password|passwd"
    r"|your|xxx|\*\*\*|\.\.\.|1234|abcd|none|null|true|false|foo|bar|hunter2|qwerty|todo",
    re.IGNORECASE,
)
_HASH = re.compile(
    r"(?:[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{56}|[0-9a-f]{64}|[0-9a-f]{96}|[0-9a-f]{128})", re.I
)
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
LEAST_BITS = 3.5  # per character of an assigned value: words have less, random tokens more


def secrets(text: str) -> Iterator[Span]:
    """Spans to replace, in no order; they may overlap."""
    if _HINTS.search(text):
        yield from ((*m.span(), "<KEY>") for m in _KNOWN.finditer(text) if _real(m.group()))
    if "PRIVATE KEY" in text:
        yield from _key_blocks(text)
    if "://" in text:
        for match in _URL_PASSWORD.finditer(text):
            if not match.group(1).isalpha() and not _HARMLESS.search(match.group(1)):
                yield (*match.span(1), "<PASSWORD>")
    for match in _ASSIGNED.finditer(text):
        if not _random(match.group(1)):
            continue
        before = text[max(0, match.start() - _NAME_LONGEST) : match.start()]
        if name := _SECRET_NAME.search(before):
            placeholder = "<PASSWORD>" if _PASSWORD.match(name.group(1)) else "<KEY>"
            yield (*match.span(1), placeholder)


def _real(key: str) -> bool:
    """Whether a key of a known format is one: documentation spells out that it is not."""
    return not re.search(r"EXAMPLE|xxxx|\*\*\*|0000000000|1234567890|abcdefgh", key, re.IGNORECASE)


def _key_blocks(text: str) -> Iterator[Span]:
    end = 0
    for begin in _KEY_BEGIN.finditer(text):
        if begin.start() < end:
            continue
        close = _KEY_END.search(text, begin.end(), begin.end() + _KEY_LONGEST)
        inside = text[begin.end() : close.start()] if close else ""
        if close and sum(c.isalnum() for c in inside) > 100:
            end = close.end()
            first, last = _first_and_last_line(inside)
            yield (begin.end() + first, begin.end() + last, "<KEY>")


def _first_and_last_line(inside: str) -> tuple[int, int]:
    """The part of a key block that is the key: between its first and last character of it."""
    letters = [match.start() for match in re.finditer(r"[A-Za-z0-9+/=]", inside)]
    return letters[0], letters[-1] + 1


def _random(value: str) -> bool:
    """Whether an assigned value looks drawn at random, not written by a person."""
    if (
        len(value) < 12
        or _HARMLESS.search(value)
        or _UUID.fullmatch(value)
        or _HASH.fullmatch(value)
    ):
        return False
    if not (any(map(str.isdigit, value)) and any(map(str.isalpha, value))):
        return False
    if any(mark in value for mark in (".", "/", ":", " ", ",")) and not re.search(r"[+=]", value):
        return False  # names of things: modules, paths, addresses
    return entropy(value) >= LEAST_BITS


def entropy(text: str) -> float:
    """Bits per character, from the text's own frequencies."""
    shares = (count / len(text) for count in Counter(text).values())
    return -sum(share * math.log2(share) for share in shares)
