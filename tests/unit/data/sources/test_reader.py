"""Archives as documents: what is read, what is skipped, and why."""

import hashlib
import json
import random

import pytest

from quipu.data.documents import Document
from quipu.data.sources.limits import Limits
from quipu.data.sources.packages import Skipped
from quipu.data.sources.reader import read
from unit.data.sources.archives import METADATA, archive_of, tar, zipped

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
