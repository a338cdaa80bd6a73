"""Licences by their text: sentences that stand in one licence and in no other.

A file may hold several licences, one after another; all that are found hold together.
"""

import re
from functools import lru_cache

# Licence -> sentences that must all be there, in the form `_plain` gives text.
_MIT = "permission is hereby granted free of charge to any person obtaining a copy of this software"
_NOTICE = "the above copyright notice and this permission notice shall be included in all copies"
_BSD = (
    "redistribution and use in source and binary forms with or without modification are permitted"
)
_BINARY = "redistributions in binary form must reproduce the above copyright notice"
_ENDORSE = "may be used to endorse or promote products derived from this software without"
_AS_PUBLISHED = "general public license as published by the free software foundation"
_ISC = (
    "permission to use copy modify and or distribute this software for any purpose with or without"
)
_ISC_NOTICE = (
    "provided that the above copyright notice and this permission notice appear in all copies"
)
FINGERPRINTS: dict[str, tuple[str, ...]] = {
    "MIT": (_MIT, "this permission notice"),
    "MIT-0": (_MIT, "furnished to do so the software is provided as is"),
    "NCSA": (_MIT, "redistributions of source code must retain the above copyright notice"),
    "X11": (_MIT, _NOTICE, "except as contained in this notice the name"),
    "BSD-2-Clause": (_BSD, _BINARY),
    "BSD-3-Clause": (_BSD, _BINARY, _ENDORSE),
    "BSD-4-Clause": (_BSD, _BINARY, "all advertising materials mentioning features or use"),
    "Apache-2.0": ("apache license version 2.0 january 2004", "grant of patent license"),
    "Apache-2.0 WITH LLVM-exception": (
        "apache license version 2.0 january 2004",
        "llvm exceptions to the apache 2.0 license",
    ),
    "ISC": (_ISC, _ISC_NOTICE),
    "0BSD": (_ISC, "fee is hereby granted the software is provided as is"),
    "PSF-2.0": ("python software foundation license version 2",),
    "Python-2.0": (
        "python software foundation license version 2",
        "beopen.com license agreement for python 2.0",
    ),
    "MPL-2.0": ("mozilla public license version 2.0", "covered software"),
    "Zlib": (
        "permission is granted to anyone to use this software for any purpose",
        "altered source versions must be plainly marked as such",
    ),
    "Unlicense": ("this is free and unencumbered software released into the public domain",),
    "BSL-1.0": ("boost software license version 1.0 august 17th 2003",),
    "CC0-1.0": ("cc0 1.0 universal", "waiver"),
    "PHP-3.01": ("the php license version 3.01",),
    "PHP-3.0": ("the php license version 3.0",),
    "GPL-2.0-only": ("gnu general public license version 2 june 1991",),
    "GPL-3.0-only": ("gnu general public license version 3 29 june 2007",),
    "LGPL-2.0-only": ("gnu library general public license version 2 june 1991",),
    "LGPL-2.1-only": ("gnu lesser general public license version 2.1 february 1999",),
    "LGPL-3.0-only": ("gnu lesser general public license version 3 29 june 2007",),
    "AGPL-3.0-only": ("gnu affero general public license version 3 19 november 2007",),
    # Not the text, but a notice that points to it.
    "GPL-1.0-or-later": (f"the gnu {_AS_PUBLISHED}",),
    "LGPL-2.1-or-later": (f"the gnu lesser {_AS_PUBLISHED}",),
    "LGPL-2.0-or-later": (f"the gnu library {_AS_PUBLISHED}",),
    "AGPL-3.0-or-later": (f"the gnu affero {_AS_PUBLISHED}",),
}
_GNU = re.compile(r"general\W+public\W+licen[sc]e", re.IGNORECASE)
# Debian's short copyright files name the text that every machine has.
_SHELF = {
    "gpl": "GPL-1.0-or-later",
    "lgpl": "LGPL-2.0-or-later",
    "gfdl": "GFDL-1.1-or-later",
    "artistic": "Artistic-1.0-Perl",
    "apache 2.0": "Apache-2.0",
    "mpl 1.1": "MPL-1.1",
    "mpl 2.0": "MPL-2.0",
    "bsd": "BSD-3-Clause",
}
_ON_SHELF = re.compile(
    r" usr share common licenses (gpl|lgpl|gfdl|artistic|apache 2.0|mpl [12].[01]|bsd)"
)
# A licence's text may contain all of another's; then it is not the other one.
_NOT_THE_OTHER = {
    "NCSA": {"MIT"},
    "X11": {"MIT"},
    "BSD-3-Clause": {"BSD-2-Clause"},
    "BSD-4-Clause": {"BSD-2-Clause", "BSD-3-Clause"},
    "Apache-2.0 WITH LLVM-exception": {"Apache-2.0"},
    "Python-2.0": {"PSF-2.0"},
    "PHP-3.01": {"PHP-3.0"},
    "GPL-2.0-only": {"GPL-1.0-or-later"},
    "GPL-3.0-only": {"GPL-1.0-or-later"},
    "LGPL-2.0-only": {"LGPL-2.0-or-later"},
    "LGPL-2.1-only": {"LGPL-2.1-or-later"},
    "AGPL-3.0-only": {"AGPL-3.0-or-later"},
}


def _plain(text: str) -> str:
    """Lower-case words, without punctuation, comment marks and markup."""
    text = re.sub(r"<[^<>]{1,80}>", " ", text.lower())
    return " ".join(re.sub(r"[^a-z0-9.]+", " ", re.sub(r"\.(?!\d|com\b)", " ", text)).split())


def copyleft_notice(header: str) -> str:
    """The GNU licence that the first lines of a file point to, "" for none."""
    if "eneral" not in header or not _GNU.search(header):
        return ""
    found = recognised(header)
    return found if "GPL" in found else ""


def recognised(text: str) -> str:
    """SPDX expression of the licences whose text this is, "" for none that is known."""
    return _recognised(text)


@lru_cache(maxsize=64)
def _recognised(text: str) -> str:
    plain = f" {_plain(text)} "
    found = {
        licence
        for licence, sentences in FINGERPRINTS.items()
        if all(f" {sentence}" in plain for sentence in sentences)
    }
    found |= {_SHELF[match[1]] for match in _ON_SHELF.finditer(plain)}
    for licence in sorted(found):
        found -= _NOT_THE_OTHER.get(licence, set())
    return " AND ".join(sorted(found))
