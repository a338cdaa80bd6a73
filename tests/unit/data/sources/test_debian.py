"""Debian source packages: their files, and the licence of each file."""

import gzip
import hashlib
import io
import lzma
import re
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quipu.data.documents import Document
from quipu.data.sources.deb822 import paragraphs
from quipu.data.sources.debian import copyright_licences, listed_parts
from quipu.data.sources.packages import Skipped
from quipu.data.sources.reader import read
from unit.data.sources.archives import archive_of, tar

COPYRIGHT = """\
Format: copyright-format/1.0

Files: *
Copyright: 2020 Somebody
License: Expat

Files: src/*.c
 include/?.h
License: GPL-2+ with OpenSSL exception
 This is free.

Files: src/odd\\*.c
License: BSD-3-clause or Apache-2.0

Files: contrib/*
License: Expat and Theirs-1

License: Theirs-1
 This is free and unencumbered software released into the public domain.
"""


def debian_set(folder, files, copyright_text=COPYRIGHT, **more):
    """A source package of format 3.0 (quilt)."""
    tar(folder / "x_1.orig.tar.gz", {f"x-1/{name}": text for name, text in files.items()})
    tar(folder / "x_1-2.debian.tar.xz", {"debian/copyright": copyright_text.encode(), **more})
    lines = [
        f" {hashlib.sha256(path.read_bytes()).hexdigest()} {path.stat().st_size} {path.name}"
        for path in sorted(folder.glob("*.tar.*"))
    ]
    dsc = folder / "x_1-2.dsc"
    head = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n"
    tail = "\n-----BEGIN PGP SIGNATURE-----\n\nabc=\n-----END PGP SIGNATURE-----\n"
    fields = "Format: 3.0 (quilt)\nSource: x\nVersion: 1-2\nChecksums-Sha256:\n"
    dsc.write_text(head + fields + "\n".join(lines) + "\n" + tail)
    return dsc


def test_each_file_has_the_licence_that_the_last_matching_stanza_gives(tmp_path):
    names = ["a.py", "src/b.c", "src/deep/c.c", "src/odd*.c", "include/d.h", "contrib/e.sh"]
    dsc = debian_set(tmp_path, dict.fromkeys(names, b"x = 1\n"))
    found = {f.path: f for f in read(archive_of(dsc, "debian"), tmp_path)}
    licences = {path: f.licence for path, f in found.items() if isinstance(f, Document)}
    assert licences == {
        "a.py": "MIT",
        "contrib/e.sh": "MIT AND Unlicense",
        "include/d.h": "GPL-2.0-or-later",
        "src/b.c": "GPL-2.0-or-later",
        "src/deep/c.c": "GPL-2.0-or-later",
        "src/odd*.c": "Apache-2.0 OR BSD-3-Clause",
    }
    assert isinstance(found["debian/copyright"], Skipped)
    assert found["a.py"].id == "debian/x/1.0/a.py"


def test_a_free_form_copyright_file_that_points_to_the_gpl_is_no_permission(tmp_path):
    mit = "Permission is hereby granted, free of charge, to any person obtaining a copy\n"
    mit += "of this software. Keep this permission notice.\n"
    text = f"{mit}\nSee /usr/share/common-licenses/GPL-2 for the rest.\n"
    dsc = debian_set(tmp_path, {"a.py": b"x = 1\n"}, text)
    (document,) = [f for f in read(archive_of(dsc, "debian"), tmp_path) if type(f) is Document]
    assert document.licence == "GPL-1.0-or-later AND MIT"


def test_further_upstream_tarballs_unpack_into_folders_of_their_own(tmp_path):
    tar(tmp_path / "x_1.orig-more.tar.gz", {"more-1/b.py": b"x = 1\n"})
    dsc = debian_set(tmp_path, {"a.py": b"x = 1\n"})
    found = [f.path for f in read(archive_of(dsc, "debian"), tmp_path) if type(f) is Document]
    assert found == ["a.py", "more/b.py"]


def test_a_missing_tarball_is_skipped_and_the_rest_is_read(tmp_path):
    dsc = debian_set(tmp_path, {"a.py": b"x = 1\n"})
    (tmp_path / "x_1.orig.tar.gz").unlink()
    reasons = [f.reason for f in read(archive_of(dsc, "debian"), tmp_path)]
    assert reasons == ["licence text", "archive: broken, No such file or directory"]


def test_a_list_of_files_that_leaves_its_folder_is_not_followed():
    dsc = f"Checksums-Sha256:\n {'0' * 64} 1 ../../etc/x.tar.gz\n {'0' * 64} 1 x.tar.gz\n junk\n"
    assert [part.file for part in listed_parts(dsc)] == ["x.tar.gz"]


def test_a_native_package_in_the_old_compression_is_read_too(tmp_path):
    with lzma.open(tmp_path / "x_1.tar.lzma", "w", format=lzma.FORMAT_ALONE) as packed:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            info = tarfile.TarInfo("x-1/a.py")
            info.size = 6
            archive.addfile(info, io.BytesIO(b"x = 1\n"))
        packed.write(buffer.getvalue())
    dsc = tmp_path / "x_1.dsc"
    dsc.write_text(f"Version: 1\nChecksums-Sha256:\n {'0' * 64} 1 x_1.tar.lzma\n")
    assert [f.path for f in read(archive_of(dsc, "debian"), tmp_path)] == ["a.py"]


def test_an_old_package_has_its_licences_in_its_diff(tmp_path):
    tar(tmp_path / "x_1.orig.tar.gz", {"x-1/src/a.c": b"int a;\n", "x-1/b.c": b"int b;\n"})
    added = "".join(f"+{line}\n" for line in COPYRIGHT.splitlines())
    diff = f"--- x-1.orig/debian/copyright\n+++ x-1/debian/copyright\n@@ -0,0 +1,3 @@\n{added}"
    (tmp_path / "x_1-1.diff.gz").write_bytes(
        gzip.compress(
            f"{diff}--- x-1.orig/debian/rules\n+++ x-1/debian/rules\n+Files: *\n".encode()
        )
    )
    dsc = tmp_path / "x_1-1.dsc"
    files = "".join(f" {'0' * 64} 1 {name}\n" for name in ("x_1.orig.tar.gz", "x_1-1.diff.gz"))
    dsc.write_text(f"Version: 1-1\nChecksums-Sha256:\n{files}")
    found = {f.path: f.licence for f in read(archive_of(dsc, "debian"), tmp_path)}
    assert found == {"b.c": "MIT", "src/a.c": "GPL-2.0-or-later"}


def test_paragraphs_pass_over_comments_and_lines_that_are_no_field():
    text = "# note\nA: 1\n more\n.\nb : 2\n\n\nC:\n\tx\njunk\n"
    assert list(paragraphs(text)) == [{"a": "1\nmore", "b": "2"}, {"c": "\nx"}]


@given(st.text())
def test_any_text_has_paragraphs_and_licences(text):
    list(paragraphs(text))
    copyright_licences(text)("a/b.c")
    listed_parts(text)


def slow_match(glob, path):
    """A glob of debian/copyright, character by character."""
    if not glob:
        return not path
    if glob[0] == "*":
        return any(slow_match(glob[1:], path[i:]) for i in range(len(path) + 1))
    if glob[0] == "\\" and glob[1:2] and glob[1] in "*?\\":
        return path[:1] == glob[1] and slow_match(glob[2:], path[1:])
    return bool(path) and glob[0] in ("?", path[0]) and slow_match(glob[1:], path[1:])


@given(glob=st.text("ab*?\\/.[", min_size=1, max_size=6), path=st.text("ab*?\\/.[", max_size=6))
def test_globs_match_as_their_slow_twin_does(glob, path):
    found = copyright_licences(f"Files: {glob}\nLicense: MIT\n")(path)
    assert (found == "MIT") == slow_match(re.sub(r"^\./", "", glob), path)


@pytest.mark.parametrize("text", ["", "Files: *\n", "License: MIT\n", "Files:\nLicense: MIT\n"])
def test_a_copyright_file_without_stanzas_says_nothing(text):
    assert copyright_licences(text)("a.c") is None
