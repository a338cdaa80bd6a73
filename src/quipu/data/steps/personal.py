"""Where a text holds personal data: e-mail addresses, public IP addresses, telephone numbers.

A telephone number counts only where it is called one. Every pattern is bounded.
"""

import ipaddress
import re
from collections.abc import Iterator

from quipu.data.steps.secrets import Span

_EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+/@:$-])[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@"
    r"((?:[A-Za-z0-9-]{1,63}\.){1,6}([A-Za-z]{2,12}))(?![A-Za-z0-9@_(=-]|\.[A-Za-z0-9_])"
)
# What follows an `@` in code is often no domain: only known ends count, and every country.
_KNOWN_ENDS = """com org net edu gov mil int info biz name dev io ai app xyz tech online site cloud
    me tv cc co uk de fr nl be ch at it es pt se no dk fi is ie pl cz sk hu ro bg gr hr si rs ua by
    ru lt lv ee us ca mx br ar cl pe ve au nz jp cn kr tw hk sg my th vn ph id in pk lk bd ir il tr
    sa ae eg za ng ke ma tn kz eu asia"""
_ENDS = frozenset(_KNOWN_ENDS.split())
_NOBODY = re.compile(
    r"(?:^|\.)(?:example|test|invalid|localhost|local|domain|email|foo|bar|acme|company|mail|host|"
    r"server|yourdomain|mydomain|site|somewhere|nowhere)(?:\.[a-z]{2,12}){0,2}$|(?:^|\.)example\.",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"(?<![\w.^~<>=-])(?:\d{1,3}\.){3}\d{1,3}(?![\w.-]|/\d)")
_THREE_NUMBERS = re.compile(r"\.\d{1,3}\.\d")  # quick to look for; most texts have none
_VERSION_BEFORE = re.compile(
    r"(?:version|ver|release|v|since|rfc|section|oid|§)[\s:=\"'v(]{0,4}$", re.I
)
_PHONE_WORDS = ("phone", "tel", "mobile", "fax", "whatsapp")
_PHONE = re.compile(
    r"(?i:\b(?:phone|telephone|tel|mobile|fax|whatsapp)\b)[\"']?"
    r"(?:[ \t]{0,3}(?:no|number|nr)\b)?\.?[ \t]{0,3}[:=][ \t]{0,3}"
    r"[\"']?(\+?\(?\d[\d ()./-]{7,20}\d)(?!\d)"
)
# Well-known resolvers in every tutorial.
_WELL_KNOWN = frozenset(
    {"1.1.1.1", "1.0.0.1", "8.8.8.8", "8.8.4.4", "9.9.9.9", "1.2.3.4", "4.3.2.1"}
)


def personal(text: str) -> Iterator[Span]:
    """Spans to replace, in no order; they may overlap."""
    if "@" in text:
        for match in _EMAIL.finditer(text):
            if match.group(2).lower() in _ENDS and not _NOBODY.search(match.group(1)):
                yield (*match.span(), "<EMAIL>")
    for match in _ADDRESS.finditer(text) if _THREE_NUMBERS.search(text) else ():
        if _public(match.group()) and not _VERSION_BEFORE.search(
            text, max(0, match.start() - 16), match.start()
        ):
            yield (*match.span(), "<IP>")
    lowered = text.lower()
    for match in _PHONE.finditer(text) if any(w in lowered for w in _PHONE_WORDS) else ():
        digits = [c for c in match.group(1) if c.isdigit()]
        if 8 <= len(digits) <= 15 and len(set(digits)) > 3 and "555" not in match.group(1):
            yield (*match.span(1), "<PHONE>")


def _public(address: str) -> bool:
    """Whether somebody could have the address; versions have small numbers, examples few."""
    try:
        found = ipaddress.IPv4Address(address)
    except ValueError:
        return False
    numbers = [int(part) for part in address.split(".")]
    version = max(numbers) < 100 or max(numbers[:2]) < 16  # 11.3.244.8 is one of V8
    example = len(set(numbers)) < 3 or address in _WELL_KNOWN
    if version or example or numbers[0] < 2 or numbers[3] == 0:
        return False
    return found.is_global and not found.is_multicast
