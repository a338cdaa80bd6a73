"""Archives as documents: what is read, what is skipped, and why."""

import hashlib
import json
import random
import struct
import tarfile
import zipfile
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quipu.data.documents import Document
from quipu.data.sources.limits import Limits
from quipu.data.sources.packages import Skipped
from quipu.data.sources.reader import read
from unit.data.sources.archives import METADATA, archive_of, special, tar, zipped

CODE = b"def f():\n    return 1\n"


def documents(path, ecosystem="pypi", take=(), **limits):
    found = read(archive_of(path, ecosystem, take), path.parent, Limits(**limits))
    return {d.path: d for d in found if isinstance(d, Document)}


def reasons(path, ecosystem="pypi", take=(), **limits):
    found = read(archive_of(path, ecosystem, take), path.parent, Limits(**limits))
    return {s.path: s.reason for s in found if isinstance(s, Skipped)}


def test_a_document_of_a_wheel_has_its_whole_provenance(tmp_path):
    path = zipped(
        tmp_path / "x-1.0-py3-none-any.whl", {"x/a.py": CODE, "x-1.0.dist-info/METADATA": METADATA}
    )
    (document,) = documents(path).values()
    assert document == Document(
        id="pypi/x/1.0/x/a.py",
        text=CODE.decode(),
        path="x/a.py",
        package="pypi/x",
        version="1.0",
        licence="MIT",
        language="python",
        group="python",
        sha256=hashlib.sha256(CODE).hexdigest(),
    )


@pytest.mark.parametrize("end", ["tar", "tar.gz", "tar.xz", "tar.bz2", "tgz"])
def test_an_sdist_is_read_below_its_top_folder(tmp_path, end):
    path = tar(tmp_path / f"x-1.0.{end}", {"x-1.0/PKG-INFO": METADATA, "x-1.0/src/a.py": CODE})
    assert documents(path)["src/a.py"].licence == "MIT"


def test_a_tar_packed_with_zstandard_is_read(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    plain = tar(tmp_path / "plain.tar", {"x-1.0/a.py": CODE}).read_bytes()
    path = tmp_path / "x-1.0.tar.zst"
    with pyarrow.CompressedOutputStream(str(path), "zstd") as file:
        file.write(plain)
    assert list(documents(path)) == ["a.py"]


def test_an_npm_tarball_is_read_below_its_top_folder_whatever_that_is_called(tmp_path):
    facts = json.dumps({"license": "(MIT OR Apache-2.0)"}).encode()
    path = tar(tmp_path / "x.tgz", {"node/package.json": facts, "node/src/a.ts": b"let a = 1;\n"})
    (document,) = documents(path, "npm").values()
    assert (document.path, document.group) == ("src/a.ts", "typescript")
    assert document.licence == "Apache-2.0 OR MIT"


def test_everything_comes_sorted_by_path_and_the_same_again(tmp_path):
    names = [f"x-1.0/{i}.{end}" for i in range(20) for end in ("py", "bin")]
    random.Random(0).shuffle(names)
    path = tar(tmp_path / "x-1.0.tar.gz", dict.fromkeys(names, CODE))
    archive = archive_of(path)
    found = list(read(archive, tmp_path))
    assert [item.path for item in found] == sorted(name[6:] for name in names)
    assert list(read(archive, tmp_path)) == found


def test_only_what_the_recipe_takes_is_read(tmp_path):
    files = ("x-1.0/src/a.py", "x-1.0/src2/b.py", "x-1.0/lib/deep/c.py")
    path = tar(tmp_path / "x-1.0.tar.gz", dict.fromkeys(files, CODE))
    assert list(documents(path, take=("src", "lib/*.py"))) == ["lib/deep/c.py", "src/a.py"]
    assert reasons(path, take=("src", "lib/*.py")) == {"src2/b.py": "take: not asked for"}


def test_line_ends_are_unix_ones_and_a_byte_order_mark_goes_while_the_hash_is_of_the_bytes(
    tmp_path,
):
    raw = b"\xef\xbb\xbfa = 1\r\nb = 2\r"
    (document,) = documents(zipped(tmp_path / "x.whl", {"a.py": raw})).values()
    assert document.text == "a = 1\nb = 2\n"
    assert document.sha256 == hashlib.sha256(raw).hexdigest()


def test_a_wheel_gives_its_readme_out_of_its_metadata(tmp_path):
    facts = METADATA + b"Description-Content-Type: text/markdown\n\n# x\n\nDoes things.\n"
    (document,) = documents(zipped(tmp_path / "x.whl", {"x-1.dist-info/METADATA": facts})).values()
    assert (document.text, document.language) == ("# x\n\nDoes things.\n", "markdown")
    assert document.licence == "MIT"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"name = '\xe9'\n", "encoding: not UTF-8"),
        ("a = 1\n".encode("utf-16"), "encoding: not UTF-8"),
        (b"a = '\0'\n", "encoding: NUL"),
        (b" \n", "empty"),
        (b"", "empty"),
    ],
)
def test_what_is_no_text_is_skipped(tmp_path, content, reason):
    assert reasons(zipped(tmp_path / "x.whl", {"a.py": content})) == {"a.py": reason}


def test_files_in_no_language_of_ours_are_skipped_and_qt_translations_with_them(tmp_path):
    files = {"a.rb": CODE, "b.ts": b"<?xml version='1.0'?>\n<TS></TS>\n", "LICENSE.md": b"MIT\n"}
    assert reasons(zipped(tmp_path / "x.whl", files)) == {
        "LICENSE.md": "licence text",
        "a.rb": "language: none of ours",
        "b.ts": "language: none of ours",
    }


def test_a_single_line_of_a_hundred_megabytes_is_skipped_for_its_size(tmp_path):
    line = b"x" * 100_000_000
    path = zipped(tmp_path / "x.whl", {"a.js": line, "b.js": b"let a = 1;\n"})
    assert reasons(path, free_bytes=2**30) == {"a.js": "size: over 1000 kB"}
    assert list(documents(path)) == ["b.js"]


def test_links_and_devices_are_skipped_and_never_followed(tmp_path):
    path = tar(
        tmp_path / "x.tar.gz",
        {
            "x/a.py": CODE,
            "x/soft.py": special("x/soft.py", tarfile.SYMTYPE, "/etc/passwd"),
            "x/hard.py": special("x/hard.py", tarfile.LNKTYPE, "x/a.py"),
            "x/zero.py": special("x/zero.py", tarfile.CHRTYPE),
            "x/pipe.py": special("x/pipe.py", tarfile.FIFOTYPE),
        },
    )
    assert list(documents(path)) == ["a.py"]
    assert reasons(path) == {
        "soft.py": "link", "hard.py": "link", "zero.py": "device", "pipe.py": "device"
    }  # fmt: skip


def test_a_link_in_a_zip_is_skipped(tmp_path):
    info = zipfile.ZipInfo("a.py")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "x.whl", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    assert reasons(tmp_path / "x.whl") == {"a.py": "link"}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("/etc/a.py", "name: absolute path"),
        ("C:/a.py", "name: absolute path"),
        ("x/../../a.py", "name: leaves the archive"),
        ("x\\a.py", "name: backslash"),
        ("x/a\n.py", "name: control character"),
        ("x/" + "a" * 300 + ".py", "name: too long"),
        ("d/" * 600 + "a.py", "name: too long"),
        ("x/\udce9.py", "name: not UTF-8"),
    ],
)
def test_odd_names_are_skipped_and_shown_in_valid_unicode(tmp_path, name, reason):
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT, errors="surrogateescape") as archive:
        info = tarfile.TarInfo(name)
        archive.addfile(info)
    (found,) = [s for s in read(archive_of(path), tmp_path) if isinstance(s, Skipped)]
    assert found.reason == reason
    assert found.path.isprintable()
    assert len(found.path.encode()) <= 1000


def test_a_name_with_a_nul_in_a_zip_is_skipped(tmp_path):
    path = zipped(tmp_path / "x.whl", {"a!b.py": CODE})
    path.write_bytes(path.read_bytes().replace(b"a!b.py", b"a\0b.py"))
    assert reasons(path) == {r"a\x00b.py": "name: control character"}


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_the_first_of_two_equal_names_stays_also_when_only_case_differs(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.whl", "w") as archive:
        for name, text in (("a.py", "1"), ("a.py", "2"), ("A.py", "3")):
            archive.writestr(name, f"a = {text}\n")
    found = list(read(archive_of(tmp_path / "x.whl"), tmp_path))
    assert [f.reason if isinstance(f, Skipped) else f.text for f in found] == [
        "name: differs from another in case only", "name: twice", "a = 1\n"
    ]  # fmt: skip


def test_an_encrypted_file_is_skipped(tmp_path):
    path = zipped(tmp_path / "x.whl", {"a.py": CODE})
    raw = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.index(signature) + flags] |= 1
    path.write_bytes(raw)
    assert reasons(path) == {"a.py": "encrypted"}


def test_a_bomb_stops_at_the_limit_and_what_came_before_it_stays(tmp_path):
    files = {"x/a.py": CODE, "x/zeros.bin": b"\0" * 4_000_000, "x/z.py": CODE}
    path = tar(tmp_path / "x.tar.gz", files)
    assert list(documents(path, free_bytes=1_000_000)) == ["a.py"]
    assert reasons(path, free_bytes=1_000_000)["x.tar.gz"] == (
        "archive: unpacks to more than 300 times its size"
    )
    assert "archive: " in reasons(path, unpacked_bytes=1_000_000)["x.tar.gz"]
    assert list(documents(path)) == ["a.py", "z.py"]


def test_a_zip_of_many_files_that_share_their_bytes_stops_at_the_limit(tmp_path):
    files = {f"{i}.py": b"#" * 900_000 for i in range(20)}
    path = zipped(tmp_path / "x.whl", files)
    assert 0 < len(documents(path, free_bytes=5_000_000)) < 20
    assert reasons(path, members=3)["x.whl"] == "archive: more than 3 members"
    assert reasons(path, kept_bytes=2_000_000)["2.py"] == "archive: too much text"


def test_a_tar_header_that_would_fill_the_memory_stops_the_archive(tmp_path):
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 2**33
    path = tmp_path / "x.tar"
    path.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(2048))
    assert reasons(path) == {"x.tar": f"archive: a tar header of {2**33} bytes"}


@pytest.mark.parametrize("end", ["tar.gz", "tar.xz", "tar.bz2", "tar"])
def test_a_truncated_archive_gives_what_it_has_and_says_that_it_is_broken(tmp_path, end):
    noise = random.Random(0).randbytes(300_000)
    path = tar(tmp_path / f"x.{end}", {"x/a.py": CODE, "x/noise.bin": noise, "x/b.py": CODE})
    path.write_bytes(path.read_bytes()[:200_000])
    assert "x/b.py" not in documents(path)
    assert reasons(path)[path.name].startswith("archive: broken")


def test_a_bad_header_in_the_middle_is_no_end(tmp_path):
    path = tar(tmp_path / "x.tar", {"x/a.py": CODE, "x/b.py": CODE})
    raw = bytearray(path.read_bytes())
    raw[1024 : 1024 + 512] = b"\xff" * 512
    path.write_bytes(raw)
    assert list(documents(path)) == ["a.py"]
    assert reasons(path) == {"x.tar": "archive: broken, a bad header in the middle"}


@pytest.mark.parametrize("raw", [b"", b"no archive at all" * 100, b"PK\x03\x04 nor this"])
def test_what_is_no_archive_is_skipped_whole(tmp_path, raw):
    path = tmp_path / "x.tar.gz"
    path.write_bytes(raw)
    assert documents(path) == {}
    assert len(reasons(path)) == 1


def test_an_archive_that_is_gone_is_skipped_whole(tmp_path):
    archive = archive_of(tar(tmp_path / "x.tar", {}))
    (tmp_path / "x.tar").unlink()
    assert [found.reason for found in read(archive, tmp_path)] == [
        "archive: broken, No such file or directory"
    ]


@pytest.mark.parametrize(("name", "ecosystem"), [("x.jsonl", "jsonl"), ("x.dsc", "debian")])
def test_lines_and_lists_of_files_that_are_gone_are_skipped_whole(tmp_path, name, ecosystem):
    (found,) = read(archive_of(tmp_path / name, ecosystem), tmp_path)
    assert (found.path, found.reason[:15]) == (name, "archive: broken")


def test_a_member_with_a_wrong_checksum_is_skipped_and_the_others_are_read(tmp_path):
    path = zipped(tmp_path / "x.whl", {"a.py": CODE, "b.py": CODE})
    raw = path.read_bytes()
    where = raw.index(b"PK\x01\x02") + 16
    path.write_bytes(raw[:where] + struct.pack("<I", 1) + raw[where + 4 :])
    assert list(documents(path)) == ["b.py"]
    assert reasons(path)["a.py"].startswith("archive: broken member, Bad CRC-32")


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(["tar", "tar.gz", "whl"]),
    places=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_no_damage_to_an_archive_is_an_error(tmp_path_factory, kind, places):
    folder = tmp_path_factory.mktemp("damaged")
    files = {"x/a.py": CODE * 20, "x/LICENSE": b"MIT", "x/package.json": b"{}", "x/b.sh": b"echo\n"}
    path = folder / f"x.{kind}"
    raw = bytearray((zipped if kind == "whl" else tar)(path, files).read_bytes())
    for place, value in places:
        raw[int(place * (len(raw) - 1))] = value
    path.write_bytes(raw)
    first = list(read(archive_of(path), folder))
    assert list(read(archive_of(path), folder)) == first


_NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)


@settings(max_examples=60, deadline=None)
@given(names=st.lists(st.one_of(_NAMES, _NAMES.map(lambda n: f"x/../{n}.py")), max_size=6))
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_every_file_of_an_archive_is_a_document_or_skipped_once(tmp_path_factory, names):
    folder = tmp_path_factory.mktemp("names")
    with tarfile.open(folder / "x.tar", "w") as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(name))
    found = list(read(archive_of(folder / "x.tar"), folder))
    folders = sum(name.endswith("/") for name in names)
    assert len(names) - folders <= len(found) <= len(names)
    for item in found:
        item.path.encode()
        if isinstance(item, Document):
            assert ".." not in item.path.split("/")
            assert not item.path.startswith("/")


def test_documents_come_out_of_lines_with_what_the_lines_say(tmp_path):
    path = tmp_path / "x.jsonl"
    lines = [
        {"id": "a", "text": "def f(): pass\n", "path": "a.py", "licence": "MIT", "more": 1},
        {"id": "b", "text": "Once upon a time.\n"},
        {"id": "", "text": "x"},
        {"id": "c", "text": 1},
        {"id": "d", "text": "\ud800"},
        {"id": "a", "text": "again"},
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines) + "{\n[1]\n" + "x" * 5000
    path.write_text(text)
    found = list(read(archive_of(path, "jsonl"), tmp_path, Limits(file_bytes=1000)))
    first, second, *rest = found
    assert (first.language, first.licence, first.package) == ("python", "MIT", "jsonl/x")
    assert (second.language, second.group, second.version) == ("text", "prose", "1.0")
    assert [(s.path, s.reason) for s in rest] == [
        ("line 3", "line: id and text must be strings"),
        ("line 4", "line: id and text must be strings"),
        ("line 5", "encoding: not Unicode"),
        ("line 6", "name: twice"),
        ("line 7", "line: bad JSON"),
        ("line 8", "line: not an object"),
        ("line 9", "size: the line is too long"),
    ]


def test_later_files_of_a_large_archive_wait_compressed_and_come_out_the_same(
    tmp_path, monkeypatch
):
    files = {f"{i}.py": b"a = %d\n" % i * 50 for i in range(20)}
    path = zipped(tmp_path / "x.whl", files)
    expected = list(read(archive_of(path), tmp_path))
    monkeypatch.setattr("quipu.data.sources.shelf.PLAIN_BYTES", 1000)
    assert list(read(archive_of(path), tmp_path)) == expected


def test_other_languages_are_read_where_the_recipe_asks_for_them(tmp_path):
    files = {"x/main.go": b"package main\n", "x/a.py": CODE, "x/b.json": b"[]"}
    archive = archive_of(tar(tmp_path / "x-1.0.tgz", files), "npm", ())
    assert {one.path for one in read(archive, tmp_path) if isinstance(one, Document)} == {"a.py"}
    asked = replace(archive, package=replace(archive.package, others=True))
    found = {one.path: one for one in read(asked, tmp_path) if isinstance(one, Document)}
    assert set(found) == {"main.go", "a.py"}
    assert (found["main.go"].language, found["main.go"].group) == ("go", "other")
    assert found["a.py"].group == "python"
