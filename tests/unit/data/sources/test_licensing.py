"""Which licence a file has: its own words, then its folder's, then its package's."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quipu.data.licences import PROPRIETARY, SOME_APACHE, SOME_BSD, UNKNOWN
from quipu.data.sources.licensing import licences_of, readme
from unit.data.test_licences import BSD_TEXT, MIT_TEXT

GPL_NOTICE = """# This program is free software: you can redistribute it and/or modify
# it under the terms of the GNU General Public License as published by
# the Free Software Foundation.
"""
APACHE_TEXT = (
    "Apache License\nVersion 2.0, January 2004\n3. Grant of Patent License. " + "word " * 80
)


def licence(facts, path="x/a.py", text="a = 1\n", ecosystem="pypi"):
    return licences_of(ecosystem, {k: v.encode() for k, v in facts.items()})(path, text)


def metadata(*lines):
    return "\n".join(["Metadata-Version: 2.4", "Name: x", *lines, "", "License: GPL-3.0-only", ""])


BSD = "Classifier: License :: OSI Approved :: BSD License"
APACHE = "Classifier: License :: OSI Approved :: Apache Software License"
LONG = "License: " + (BSD_TEXT + "\n" + GPL_NOTICE).replace("\n", "\n        ")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["License-Expression: MIT OR Apache-2.0", "License: GPL"], "Apache-2.0 OR MIT"),
        (["License-Expression: LicenseRef-Mine", "License: MIT"], UNKNOWN),
        (["License: MIT", BSD], "MIT"),
        (["License: see the file", BSD], SOME_BSD),
        (["License: BSD", APACHE], SOME_APACHE),
        (["License: BSD-3-Clause", BSD], "BSD-3-Clause"),
        ([LONG, BSD], "BSD-2-Clause"),
        ([LONG], "BSD-2-Clause AND GPL-1.0-or-later"),
        (["License: UNKNOWN"], ""),
        ([], ""),
    ],
)
def test_the_clearest_word_of_core_metadata_counts(lines, expected):
    assert licence({"x-1.dist-info/METADATA": metadata(*lines)}) == expected
    assert licence({"PKG-INFO": metadata(*lines)}) == expected


def test_a_licence_text_says_which_of_a_family_is_meant():
    vague = metadata(BSD)
    for place in ("LICENSE", "x-1.dist-info/LICENSE", "x-1.dist-info/licenses/x/COPYING.txt"):
        facts = {"x-1.dist-info/METADATA": vague, place: BSD_TEXT}
        assert licence(facts) == "BSD-2-Clause"
        assert licence({**facts, "x-1.dist-info/LICENSE.more": MIT_TEXT}) == "BSD-2-Clause"
        assert licence({**facts, place: MIT_TEXT}) == SOME_BSD
    facts = {"PKG-INFO": metadata(APACHE), "LICENSE": APACHE_TEXT}
    assert licence(facts) == "Apache-2.0"


def test_without_a_word_in_metadata_all_texts_at_the_top_hold():
    assert licence({"LICENSE": MIT_TEXT}) == "MIT"
    assert licence({"LICENSE": MIT_TEXT, "COPYING": BSD_TEXT}) == "BSD-2-Clause AND MIT"
    assert licence({"LICENSE": "Mine. " * 100}) == ""
    assert licence({}) == ""


def test_licences_of_others_say_nothing_of_the_files_beside_them():
    facts = {"PKG-INFO": metadata(BSD), "LICENSE": BSD_TEXT}
    facts |= {"LICENSES_bundled.txt": MIT_TEXT, "x/LICENSE-3RD-PARTY.txt": MIT_TEXT}
    assert licence(facts) == "BSD-2-Clause"


def test_a_folder_with_a_text_of_its_own_has_that_licence_and_all_below_it_too():
    facts = {"PKG-INFO": metadata("License: MIT"), "x/vendor/LICENSE": BSD_TEXT}
    assert licence(facts, "x/vendor/deep/b.py") == "BSD-2-Clause"
    assert licence(facts, "x/vendored.py") == "MIT"
    assert licence(facts, "a.py") == "MIT"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# SPDX-License-Identifier: Apache-2.0\na = 1\n", "Apache-2.0"),
        ("/* SPDX-License-Identifier: (GPL-2.0 OR BSD-3-Clause) */\n",
         "BSD-3-Clause OR GPL-2.0-only"),
        ("<!-- SPDX-License-Identifier: MIT -->\n", "MIT"),
        (" * SPDX-License-Identifier: MIT\n * SPDX-License-Identifier: ISC\n", "ISC AND MIT"),
        ("// SPDX-License-Identifier: LicenseRef-Mine\n", ""),
        ("tag = 'SPDX-License-Identifier: ISC'\n", "MIT"),
        ("a\n" * 3000 + "# SPDX-License-Identifier: ISC\n", "MIT"),
        (GPL_NOTICE, "GPL-1.0-or-later"),
        ("# The GNU General Public License is long.\n", "MIT"),
    ],
)  # fmt: skip
def test_a_file_speaks_for_itself_in_its_first_lines(text, expected):
    assert licence({"PKG-INFO": metadata("License: MIT")}, text=text) == expected


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ({"license": "MIT"}, "MIT"),
        ({"license": "(MIT OR Apache-2.0)"}, "Apache-2.0 OR MIT"),
        ({"license": {"type": "BSD-3-Clause", "url": "x"}}, "BSD-3-Clause"),
        ({"licenses": [{"type": "MIT"}, {"type": "GPL-2.0"}]}, "GPL-2.0-only OR MIT"),
        ({"licenses": ["MIT", "Apache-2.0"]}, "Apache-2.0 OR MIT"),
        ({"license": "SEE LICENSE IN LICENSE.txt"}, "MIT"),
        ({"license": "SEE LICENSE IN <./LICENSE.txt>"}, "MIT"),
        ({"license": "SEE LICENSE IN terms.txt"}, UNKNOWN),
        ({"license": "UNLICENSED"}, PROPRIETARY),
        ({"license": 1}, "MIT"),
        ({"license": ["MIT", 1]}, "MIT"),
        ({}, "MIT"),
        ([], "MIT"),
    ],
)
def test_npm_and_composer_declare_a_name_an_object_or_a_choice(declared, expected):
    facts = {"LICENSE.txt": MIT_TEXT}
    for name, ecosystem in (("package.json", "npm"), ("composer.json", "git")):
        assert licence({**facts, name: json.dumps(declared)}, ecosystem=ecosystem) == expected


@pytest.mark.parametrize(
    ("toml", "expected"),
    [
        ('[project]\nlicense = "MIT"', "MIT"),
        ('[project]\nlicense = {text = "ISC"}', "ISC"),
        ('[project]\nlicense = {file = "COPYING"}', "BSD-2-Clause"),
        ('[project]\nclassifiers = ["License :: OSI Approved :: ISC License (ISCL)"]', "ISC"),
        ("[project", "BSD-2-Clause"),
        ("project = 1", "BSD-2-Clause"),
        ("", "BSD-2-Clause"),
    ],
)
def test_pyproject_declares_an_expression_a_text_or_classifiers(toml, expected):
    assert licence({"pyproject.toml": toml, "COPYING": BSD_TEXT}, ecosystem="git") == expected


@pytest.mark.parametrize(
    ("kind", "language"),
    [
        ("text/markdown; charset=UTF-8", "markdown"), ("text/x-rst", "rst"), ("text/plain", "text"),
        ("", "rst"),
    ],
)  # fmt: skip
def test_the_description_in_core_metadata_is_the_readme(kind, language):
    assert readme(f"Name: x\nDescription-Content-Type: {kind}\n\n\nWords.\n\n") == (
        "Words.\n", language
    )  # fmt: skip


@given(
    name=st.sampled_from(["METADATA", "PKG-INFO", "package.json", "pyproject.toml", "LICENSE"]),
    text=st.one_of(st.text(), st.text("[]{}\"':=\n license", max_size=40)),
)
def test_any_metadata_give_some_licence_or_none(name, text):
    assert isinstance(licence({name: text}, text=text), str)
    readme(text)
