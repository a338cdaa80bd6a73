"""Licences as expressions, and the step that keeps the allowed ones."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quipu.data.documents import Document
from quipu.data.licences import (
    OURS,
    PERMISSIVE,
    PERMISSIVE_BECAUSE,
    PROPRIETARY,
    PUBLIC_DOMAIN,
    SOME_APACHE,
    SOME_BSD,
    Licences,
    normalise,
    permits,
)


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ("MIT", "MIT"), ("mit", "MIT"), ("MIT License", "MIT"), ("The MIT License (MIT)", "MIT"),
        ("Expat", "MIT"), ("MIT/X11", "MIT"), ("MIT MIT", "MIT"), ("", ""), ("?", ""),
        ("Apache 2.0", "Apache-2.0"), ("Apache License, Version 2.0", "Apache-2.0"),
        ("Apache Software License 2.0", "Apache-2.0"), ("ASL 2.0", "Apache-2.0"),
        ("Apache-2", "Apache-2.0"), ("Apache", SOME_APACHE),
        ("BSD", SOME_BSD), ("BSD License", SOME_BSD), ("BSD-3-clause", "BSD-3-Clause"),
        ("3-Clause BSD License", "BSD-3-Clause"), ("New BSD License", "BSD-3-Clause"),
        ("BSD 2-Clause", "BSD-2-Clause"), ("Simplified BSD", "BSD-2-Clause"),
        ("PSF", "PSF-2.0"), ("Python Software Foundation License", "PSF-2.0"),
        ("GPL", "GPL-1.0-or-later"), ("GPLv2", "GPL-2.0-only"), ("GPL-2+", "GPL-2.0-or-later"),
        ("GPL v3 or later", "GPL-3.0-or-later"), ("LGPL-2.1+", "LGPL-2.1-or-later"),
        ("GNU General Public License v3 (GPLv3)", "GPL-3.0-only"),
        ("GNU Lesser General Public License v2 or later (LGPLv2+)", "LGPL-2.0-or-later"),
        ("GNU Affero General Public License v3", "AGPL-3.0-only"),
        ("GPL-2+ with OpenSSL exception", "GPL-2.0-or-later"),
        ("GPL-2.0-or-later WITH Classpath-exception-2.0",
         "GPL-2.0-or-later WITH Classpath-exception-2.0"),
        ("Apache-2.0 with LLVM exception", "Apache-2.0 WITH LLVM-exception"),
        ("(MIT OR Apache-2.0)", "Apache-2.0 OR MIT"), ("MIT/Apache-2.0", "Apache-2.0 OR MIT"),
        ("Apache-2.0 or MIT", "Apache-2.0 OR MIT"), ("MIT, BSD-2-Clause", "BSD-2-Clause AND MIT"),
        ("Expat or GPL-2+, and BSD-3-clause", "BSD-3-Clause AND (GPL-2.0-or-later OR MIT)"),
        ("Expat, and GPL-1+ or Artistic", "MIT AND (Artistic-1.0 OR GPL-1.0-or-later)"),
        ("Expat or GPL-2+ or ISC, or Zlib", "GPL-2.0-or-later OR ISC OR MIT OR Zlib"),
        ("BSD-3-Clause and Zlib", "BSD-3-Clause AND Zlib"),
        ("MIT OR Whatever-1.0", ""), ("MIT AND MIT", "MIT"),
        ("MPL 2.0", "MPL-2.0"), ("Mozilla Public License 2.0 (MPL 2.0)", "MPL-2.0"),
        ("public-domain", PUBLIC_DOMAIN), ("UNLICENSED", PROPRIETARY), ("Unlicense", "Unlicense"),
        ("Unlicensed", PROPRIETARY), ("0BSD", "0BSD"), ("zlib/libpng", "Zlib"),
        ("Boost-1.0", "BSL-1.0"), ("Artistic or GPL-1+", "Artistic-1.0 OR GPL-1.0-or-later"),
        ("(((((", ""), ("AND", ""), ("MIT WITH", ""), ("WITH MIT", ""),
    ],
)  # fmt: skip
def test_what_packages_declare_becomes_spdx_or_nothing(declared, expected):
    assert normalise(declared) == expected


@pytest.mark.parametrize(
    ("classifiers", "expected"),
    [
        (["License :: OSI Approved :: MIT License", "Topic :: Games"], "MIT"),
        (["License :: OSI Approved", "License :: OSI Approved :: BSD License"], SOME_BSD),
        (["License :: OSI Approved :: Apache Software License"], SOME_APACHE),
        (["License :: OSI Approved :: Python Software Foundation License"], "PSF-2.0"),
        (["License :: OSI Approved :: ISC License (ISCL)"], "ISC"),
        (["License :: Public Domain"], PUBLIC_DOMAIN),
        (["License :: OSI Approved :: zlib/libpng License"], "Zlib"),
        (["License :: OSI Approved :: The Unlicense (Unlicense)"], "Unlicense"),
        (["License :: OSI Approved :: Boost Software License 1.0 (BSL-1.0)"], "BSL-1.0"),
        (["License :: CC0 1.0 Universal (CC0 1.0) Public Domain Dedication"], "CC0-1.0"),
        (["License :: OSI Approved :: GNU General Public License v2 or later (GPLv2+)"],
         "GPL-2.0-or-later"),
        (["License :: OSI Approved :: GNU Library or Lesser General Public License (LGPL)"],
         "LGPL-2.0-or-later"),
        (["License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)"], "MPL-2.0"),
        (["License :: OSI Approved :: MIT License",
          "License :: OSI Approved :: GNU General Public License v3 (GPLv3)"],
         "GPL-3.0-only AND MIT"),
        (["License :: Other/Proprietary License"], PROPRIETARY),
        (["License :: OSI Approved :: MIT License", "License :: Free To Use"], ""),
        (["Programming Language :: Python"], ""),
        ([], ""),
    ],
)  # fmt: skip
def test_classifiers_become_spdx_and_several_hold_together(classifiers, expected):
    assert normalise(classifiers) == expected


MIT_TEXT = (
    """Copyright (c) 2020 Somebody

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal in it.

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.
"""
    + "THE SOFTWARE IS PROVIDED AS IS. " * 5
)
BSD_TEXT = (
    """Redistribution and use in source and binary forms, with or without
modification, are permitted provided that the following conditions are met:
 * Redistributions in binary form must reproduce the above copyright notice.
"""
    + "THIS SOFTWARE IS PROVIDED AS IS. " * 8
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (MIT_TEXT, "MIT"),
        (MIT_TEXT.replace("\n", "\n// "), "MIT"),
        (BSD_TEXT, "BSD-2-Clause"),
        (BSD_TEXT + "Neither the name of the holder nor the names of its contributors may be used "
         "to endorse or promote products derived from this software without permission.",
         "BSD-3-Clause"),
        (MIT_TEXT + BSD_TEXT, "BSD-2-Clause AND MIT"),
        ("GNU GENERAL PUBLIC LICENSE\n Version 2, June 1991\n" + "x\n" * 200 + "under the terms of "
         "the GNU General Public License as published by the Free Software Foundation",
         "GPL-2.0-only"),
        ("This is free software under the terms of the GNU Lesser General Public\n# License as "
         "published by the Free Software Foundation" + " x" * 200, "LGPL-2.1-or-later"),
        ("All rights reserved. " * 40, ""),
    ],
)  # fmt: skip
def test_the_text_of_a_licence_is_recognised(text, expected):
    assert normalise(text) == expected


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True), ("GPL-3.0-only", False), ("MIT OR GPL-3.0-only", True),
        ("MIT AND GPL-3.0-only", False), ("MIT AND (GPL-2.0-only OR ISC)", True),
        ("(MIT AND GPL-2.0-only) OR MPL-2.0", False), ("Apache-2.0 WITH LLVM-exception", True),
        ("GPL-2.0-or-later WITH Classpath-exception-2.0", False), (SOME_BSD, True),
        (PUBLIC_DOMAIN, True), (PROPRIETARY, False), ("", False), ("LicenseRef-mine", False),
        ("MIT OR LicenseRef-mine", False), ("((", False),
    ],
)  # fmt: skip
def test_one_may_choose_at_or_and_must_hold_to_all_at_and(expression, allowed):
    assert permits(expression, PERMISSIVE) is allowed


def test_an_exception_can_be_allowed_by_itself():
    expression = "GPL-2.0-or-later WITH Classpath-exception-2.0"
    assert permits(expression, (expression,))
    assert not permits("GPL-2.0-or-later", (expression,))


def test_the_step_names_the_licence_and_pickles():
    step = pickle.loads(pickle.dumps(Licences()))
    assert step == Licences()
    assert step(Document(id="a", text="", licence="MIT")) is None
    assert step(Document(id="a", text="", licence="The MIT License")) is None
    assert step(Document(id="a", text="", licence="GPL-3.0-only")) == "licence: GPL-3.0-only"
    assert step(Document(id="a", text="")) == "licence: unknown"
    assert Licences(allowed=("GPL-3.0-only",))(Document(id="a", text="", licence="GPLv3")) is None


def test_every_permissive_licence_has_a_reason_and_is_spdx_or_ours():
    assert set(PERMISSIVE) == set(PERMISSIVE_BECAUSE)
    assert all(PERMISSIVE_BECAUSE.values())
    for licence in PERMISSIVE:
        assert normalise(licence) == licence
        assert permits(licence, PERMISSIVE)
    assert OURS & set(PERMISSIVE) == {SOME_BSD, SOME_APACHE}
    assert not [name for name in PERMISSIVE if "GPL" in name or "MPL" in name]


_ATOMS = st.sampled_from(["MIT", "ISC", "GPL-2.0-only", "MPL-2.0", SOME_BSD])
_TREES = st.recursive(
    _ATOMS, lambda inner: st.tuples(st.sampled_from(["AND", "OR"]), st.lists(inner, min_size=2,
                                                                            max_size=3)),
    max_leaves=8,
)  # fmt: skip


def written(tree):
    if isinstance(tree, str):
        return tree
    return "(" + f" {tree[0]} ".join(map(written, tree[1])) + ")"


def slow_permits(tree):
    if isinstance(tree, str):
        return tree in PERMISSIVE
    return (any if tree[0] == "OR" else all)(map(slow_permits, tree[1]))


@given(tree=_TREES)
def test_expressions_mean_what_their_trees_mean_also_once_normalised(tree):
    text = written(tree)
    assert permits(text, PERMISSIVE) is slow_permits(tree)
    assert permits(normalise(text), PERMISSIVE) is slow_permits(tree)
    assert normalise(normalise(text)) == normalise(text)


@given(st.one_of(st.text(), st.text("()MIT ORAND,/+-with&|\n", max_size=30)))
def test_any_declaration_is_normalised_once_and_for_all(text):
    assert normalise(normalise(text)) == normalise(text)
    permits(text, PERMISSIVE)
