"""Which language a file is in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quipu.data.languages import GROUPS, OTHER, group_of, language_of, other_by_name


@pytest.mark.parametrize(
    ("path", "language"),
    [
        ("a.py", "python"), ("a.pyi", "python"), ("SConstruct", "python"), ("a.ipynb", "python"),
        ("a.c", "cpp"), ("a.h", "cpp"), ("A.HPP", "cpp"), ("a.cc", "cpp"), ("x/a.inl", "cpp"),
        ("A.java", "java"), ("a.php", "php"), ("a.cs", "csharp"), ("a.sh", "bash"),
        ("a.ts", "typescript"), ("a.d.ts", "typescript"), ("a.jsx", "javascript"),
        ("a.mjs", "javascript"), (".bashrc", "bash"), ("a.rst", "rst"), ("a.md", "markdown"),
        ("README", "text"), ("ChangeLog", "text"), ("NEWS", "text"), ("CHANGES.txt", "text"),
        ("doc/words/a.txt", "text"), ("README-build.txt", "text"),
        ("words.txt", ""), ("docs/requirements.txt", ""), ("CMakeLists.txt", ""), ("install", ""),
        ("docs/CMakeLists.txt", ""), ("install-sh", ""), ("a", ""), ("a.json", ""), ("a.py.in", ""),
    ],
)  # fmt: skip
def test_names_tell_the_language(path, language):
    assert language_of(path, "a\n") == language


@pytest.mark.parametrize(
    ("line", "language"),
    [
        ("#!/bin/sh", "bash"), ("#! /usr/bin/env bash", "bash"), ("#!/bin/bash -e", "bash"),
        ("#!/usr/bin/python3.11", "python"), ("#!/usr/bin/env -S python3 -u", "python"),
        ("#!/usr/bin/env node", "javascript"), ("#!/usr/bin/env LANG=C php", "php"),
        ("#!/usr/bin/env -S deno run", "typescript"), ("#!/usr/bin/perl", ""), ("#!", ""),
        ("# !/bin/sh", ""), ("", ""),
    ],
)  # fmt: skip
def test_the_first_line_tells_it_where_the_name_does_not(line, language):
    assert language_of("bin/tool", f"{line}\nx\n") == language
    assert language_of("bin/tool.json", f"{line}\nx\n") == ""


def test_every_language_has_a_group_and_javascript_is_weighed_with_typescript():
    assert group_of("javascript") == group_of("typescript") == "typescript"
    assert {group_of(name) for name in ("markdown", "rst", "text")} == {"text"}
    assert group_of("cobol") == ""


@pytest.mark.parametrize(
    ("path", "language"),
    [
        ("cmd/main.go", "go"), ("src/lib.rs", "rust"), ("Dockerfile", "docker"), ("a.KT", "kotlin"),
        ("CMakeLists.txt", "cmake"), ("a.py", ""), ("a.json", ""), (".go", ""), ("go", ""),
    ],
)  # fmt: skip
def test_other_languages_are_known_by_name_and_are_one_group(path, language):
    assert other_by_name(path) == language
    assert language_of(path, "a\n") in ("", "python")
    assert group_of(language) == (OTHER if language else "")


@given(path=st.text(), text=st.text())
def test_every_file_has_a_language_of_ours_or_none(path, text):
    assert language_of(path, text) in {*GROUPS, ""}
