"""Fetching packages: from local indexes and through the registries' clients, each once."""

import dataclasses
import errno
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from quipu.data.documents import Document
from quipu.data.sources.fetching import fetch
from quipu.data.sources.lock import Lock, sha256_of
from quipu.data.sources.packages import Archive, Failure, Package, parsed
from quipu.data.sources.reader import read
from quipu.errors import DataError, QuipuError, UsageError
from unit.data.sources.archives import METADATA, tar, zipped
from unit.data.sources.clients import calls, install

FILES = {"x/a.py": b"a = 1\n", "x-1.0.dist-info/METADATA": METADATA}
PIP = """
dest = Path(after("--dest"))
name, _, version = args[-1].partition("==")
if name == "gone": fail("ERROR: No matching distribution found for gone")
if name == "offline": fail("Failed to establish a new connection: [Errno 101]")
if name == "changed": fail("THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.")
if name == "full": fail("OSError: [Errno 28] No space left on device")
if name == "odd": fail("Traceback\\nError: cannot write /root/secret/place")
if name == "silent": sys.exit(0)
if name == "sdistonly" and "--only-binary" in args: fail("No matching distribution found")
end = "-py3-none-any.whl" if "--only-binary" in args else ".tar.gz"
(dest / f"{name}-{version or '2.0'}{end}").write_bytes(b"wheel of " + name.encode())
"""


def package(name, version="1.0", ecosystem="pypi", **more):
    return Package(ecosystem=ecosystem, name=name, version=version, **more)


def fetched(folder, *packages, indexes=()):
    return list(fetch(packages, folder, indexes, pause=lambda: None))


@pytest.fixture
def index(tmp_path):
    """A local index with a page for each project."""
    files, simple = tmp_path / "files", tmp_path / "simple"
    files.mkdir()

    def add(project, file, make=zipped, published=None):
        path = make(files / file, FILES)
        page = simple / project / "index.html"
        page.parent.mkdir(parents=True, exist_ok=True)
        link = f'<a href="../../files/{file}#sha256={published or sha256_of(path)}">{file}</a>\n'
        with page.open("a") as opened:
            opened.write(link)
        return path

    add("x", "x-1.0-py3-none-any.whl")
    add("x", "X-1.10-cp311-cp311-manylinux_2_28_x86_64.whl")
    add("x", "x-1.9-py3-none-any.whl")
    add("x", "x-2.0rc1-py3-none-any.whl")
    add("two", "two-1.0.tar.gz", tar)
    add("two", "two-1.0-py3-none-any.whl")
    add("bad", "bad-1.0-py3-none-any.whl", published="0" * 64)
    add("lost", "lost-1.0-py3-none-any.whl").unlink()
    return simple


def test_a_package_comes_out_of_the_local_index_with_its_hash(tmp_path, index):
    (archive,) = fetched(tmp_path / "to", package("x"), indexes=[str(index)])
    path = tmp_path / "to" / "pypi/x/x-1.0-py3-none-any.whl"
    assert archive == Archive(
        package=package("x"),
        file="pypi/x/x-1.0-py3-none-any.whl",
        sha256=sha256_of(path),
        bytes=path.stat().st_size,
        origin="local index",
    )
    assert [f.id for f in read(archive, tmp_path / "to") if isinstance(f, Document)] == [
        "pypi/x/1.0/x/a.py"
    ]
    assert str(tmp_path) not in (tmp_path / "to/lock.jsonl").read_text()


@pytest.mark.parametrize("form", ["{}", "file://{}", "{}/.."])
def test_an_index_is_a_path_or_a_file_address_or_the_folder_around_it(tmp_path, index, form):
    (archive,) = fetched(tmp_path / "to", package("x"), indexes=[form.format(index)])
    assert isinstance(archive, Archive)


def test_a_flat_folder_of_wheels_is_an_index_too(tmp_path):
    (tmp_path / "flat").mkdir()
    zipped(tmp_path / "flat/Some_Name-1.0.0-py3-none-any.whl", FILES)
    (archive,) = fetched(
        tmp_path / "to", package("some.name", "1.0"), indexes=[str(tmp_path / "flat")]
    )
    assert archive.origin == "local index"


def test_an_sdist_is_preferred_to_a_wheel_in_a_local_index(tmp_path, index):
    (archive,) = fetched(tmp_path / "to", package("two"), indexes=[str(index)])
    assert archive.file.endswith(".tar.gz")


def test_without_a_version_the_newest_release_is_fetched(tmp_path, index):
    (archive,) = fetched(tmp_path / "to", package("x", ""), indexes=[str(index)])
    assert archive.package.version == "1.10"
    (again,) = fetched(tmp_path / "to", package("x", ""))
    assert again == archive


def test_an_index_that_is_no_folder_is_an_error_of_the_user(tmp_path):
    with pytest.raises(UsageError, match="index"):
        fetched(tmp_path, package("x"), indexes=[str(tmp_path / "none")])


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("bad", "hash: not what the index publishes"),
        ("lost", "not found: the index names a file that is not there"),
        ("gone", "not found: no such package or version, or withdrawn"),
        ("offline", "network: pip could not reach its registry"),
        ("changed", "hash: not what the index publishes"),
        ("odd", "client: pip failed, Error: cannot write …"),
        ("silent", "client: wrote 0 files where one was expected"),
    ],
)
def test_what_cannot_be_had_is_a_failure_and_the_others_are_fetched(
    tmp_path, index, monkeypatch, name, reason
):
    install(tmp_path, monkeypatch, pip=PIP)
    found = fetched(tmp_path / "to", package(name), package("x"), indexes=[str(index)])
    assert found[0] == Failure(package=package(name), reason=reason)
    assert isinstance(found[1], Archive)
    assert sorted(p.name for p in (tmp_path / "to").iterdir()) == ["lock.jsonl", "pypi"]


def test_a_client_that_is_not_installed_is_a_failure(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    (failure,) = fetched(tmp_path / "to", package("x"))
    assert failure.reason == "client: pip is not installed"


def test_a_client_that_hangs_is_a_failure(tmp_path, monkeypatch):
    install(tmp_path, monkeypatch, pip="import subprocess; subprocess.run(['sleep', '60'])")
    monkeypatch.setattr("quipu.data.sources.clients.TIMEOUT_S", 0.3)
    (failure,) = fetched(tmp_path / "to", package("x"))
    assert failure.reason == "network: pip took longer than 0.3 s"


def test_pip_fetches_a_wheel_and_an_sdist_where_there_is_none(tmp_path, monkeypatch):
    log = install(tmp_path, monkeypatch, pip=PIP)
    found = fetched(tmp_path / "to", package("x"), package("sdistonly", ""))
    assert [a.file.rpartition("/")[2] for a in found] == [
        "x-1.0-py3-none-any.whl", "sdistonly-2.0.tar.gz"
    ]  # fmt: skip
    assert [a.package.version for a in found] == ["1.0", "2.0"]
    assert [a.origin for a in found] == ["pypi", "pypi"]
    assert all("--no-deps" in call for call in calls(log))


def test_what_the_lock_has_is_not_fetched_again(tmp_path, monkeypatch):
    log = install(tmp_path, monkeypatch, pip=PIP)
    first = fetched(tmp_path / "to", package("x"), package("y"))
    asked = len(calls(log))
    taken = dataclasses.replace(package("x"), take=("src",))
    assert fetched(tmp_path / "to", package("y"), taken) == [
        first[1], dataclasses.replace(first[0], package=taken)
    ]  # fmt: skip
    assert len(calls(log)) == asked


def test_a_file_that_was_spoiled_or_lost_is_fetched_again(tmp_path, monkeypatch):
    install(tmp_path, monkeypatch, pip=PIP)
    (archive,) = fetched(tmp_path / "to", package("x"))
    path = tmp_path / "to" / archive.file
    whole = path.read_bytes()
    for spoil in (lambda: path.write_bytes(b"spoiled"), path.unlink):
        spoil()
        assert fetched(tmp_path / "to", package("x")) == [archive]
        assert path.read_bytes() == whole
    assert len((tmp_path / "to/lock.jsonl").read_text().splitlines()) == 1


def test_another_file_under_the_same_version_is_a_failure(tmp_path, monkeypatch):
    install(tmp_path, monkeypatch, pip=PIP)
    (archive,) = fetched(tmp_path / "to", package("x"))
    (tmp_path / "to" / archive.file).unlink()
    (tmp_path / "bin/pip").write_text((tmp_path / "bin/pip").read_text().replace("wheel", "other"))
    (failure,) = fetched(tmp_path / "to", package("x"))
    assert failure.reason == "hash: not what was fetched before under the same version"
    assert not (tmp_path / "to" / archive.file).exists()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_stops_with_a_clear_error_and_keeps_what_is_there(
    tmp_path, index, monkeypatch, code
):
    (first,) = fetched(tmp_path / "to", package("x"), indexes=[str(index)])

    def full(*_):
        raise OSError(code, "full")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", full)
        with pytest.raises(DataError, match=r"disk .* is full; make room and run the same"):
            fetched(tmp_path / "to", package("x"), package("two"), indexes=[str(index)])
    assert sorted(p.name for p in (tmp_path / "to").iterdir()) == ["lock.jsonl", "pypi"]
    found = fetched(tmp_path / "to", package("x"), package("two"), indexes=[str(index)])
    assert found[0] == first
    assert isinstance(found[1], Archive)


def test_a_client_that_finds_the_disk_full_stops_everything_too(tmp_path, monkeypatch):
    install(tmp_path, monkeypatch, pip=PIP)
    with pytest.raises(DataError, match=rf"the disk of {tmp_path}/to is full"):
        fetched(tmp_path / "to", package("full"))


def test_half_a_line_and_half_a_download_of_a_killed_run_are_no_trouble(tmp_path, index):
    to = tmp_path / "to"
    fetched(to, package("x"), indexes=[str(index)])
    with (to / "lock.jsonl").open("a") as file:
        file.write('{"ecosystem": "py')
    (to / ".partial-abc").mkdir()
    assert len(fetched(to, package("x"), package("two"), indexes=[str(index)])) == 2
    assert [a.package.name for a in Lock(to).archives()] == ["x", "two"]
    assert not list(to.glob(".partial-*"))


@pytest.mark.parametrize("line", ['{"name": "x"}', "[]", "{"])
def test_a_lock_that_was_spoiled_says_which_line(tmp_path, line):
    (tmp_path / "lock.jsonl").write_text(line + "\n")
    with pytest.raises(QuipuError, match=r"lock\.jsonl"):
        fetched(tmp_path, package("x"))


NPM = """
name, _, version = args[1].rpartition("@")
if not name: name, version = args[1], "3.0"
if name == "gone": fail("npm error code E404")
if name == "offline": fail("npm error code ENOTFOUND")
content = b"tarball of " + name.encode()
file = Path(after("--pack-destination")) / f"{name.strip('@').replace('/', '-')}-{version}.tgz"
file.write_bytes(content)
digest = hashlib.sha512(content if name != "changed" else b"").digest()
found = {"version": version, "integrity": "sha512-" + base64.b64encode(digest).decode()}
print(json.dumps({name: found} if name == "newer" else [found]))
"""


def test_npm_packs_packages_and_scopes_do_not_collide(tmp_path, monkeypatch):
    log = install(tmp_path, monkeypatch, npm=NPM)
    names = ("a-b", "@a/b", "newer")
    found = fetched(tmp_path / "to", *(package(name, "1.0", "npm") for name in names))
    assert [a.file for a in found] == [
        "npm/a-b/a-b-1.0.tgz", "npm/@a/b/a-b-1.0.tgz", "npm/newer/newer-1.0.tgz"
    ]  # fmt: skip
    assert found[0].sha256 != found[1].sha256
    assert calls(log)[1].startswith("npm pack @a/b@1.0 --json --ignore-scripts")
    assert fetched(tmp_path / "to", package("c", "", "npm"))[0].package.version == "3.0"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("gone", "not found: no such package or version, or withdrawn"),
        ("offline", "network: npm could not reach its registry"),
        ("changed", "hash: not what the index publishes"),
    ],
)
def test_what_npm_cannot_give_is_a_failure(tmp_path, monkeypatch, name, reason):
    install(tmp_path, monkeypatch, npm=NPM)
    (failure,) = fetched(tmp_path / "to", package(name, "1.0", "npm"))
    assert failure.reason == reason


APT_CONFIG = "print(\"LIST='{0}/sources.list'\\nPARTS='{0}/sources.list.d'\")"
APT = """
conf = Path(after("-c")).read_text()
state = Path(after("-c")).parent
if "update" in args:
    texts = [p.read_text() for p in sorted((state / "sources").iterdir())]
    (state / "seen").write_text("\\n".join(texts))
    sys.exit(0)
name, _, version = args[-1].partition("=")
if name == "gone": fail("E: Unable to find a source package for gone")
def write(file, content):
    Path(file).write_bytes(content)
    return f" {hashlib.sha256(content).hexdigest()} {len(content)} {file}\\n"
listed = write(f"{name}_1.orig.tar.gz", b"orig") + write(f"{name}_1-2.debian.tar.xz", b"debian")
if name == "changed": Path(f"{name}_1.orig.tar.gz").write_bytes(b"other")
Path(f"{name}_1-2.dsc").write_text(f"Version: 1:1-2\\nChecksums-Sha256:\\n{listed}")
"""


@pytest.fixture
def apt(tmp_path, monkeypatch):
    """A machine with two kinds of lists of archives."""
    etc = tmp_path / "etc"
    (etc / "sources.list.d").mkdir(parents=True)
    lines = "# old\ndeb [arch=amd64] http://a/ s main\ndeb-src http://b/ s\n"
    (etc / "sources.list").write_text(lines)
    text = "Types: deb\nURIs: http://c/\nSuites: s\n"
    (etc / "sources.list.d/c.sources").write_text(text)
    (etc / "sources.list.d/d.sources.disabled").write_text(text)
    return install(tmp_path, monkeypatch, apt_get=APT, apt_config=APT_CONFIG.format(etc))


def test_apt_fetches_source_packages_with_lists_of_its_own(tmp_path, apt):
    found = fetched(tmp_path / "to", package("x", "1:1-2", "debian"), package("y", "", "debian"))
    assert [(a.file, a.bytes > 10, a.package.version) for a in found] == [
        ("debian/x/x_1-2.dsc", True, "1:1-2"), ("debian/y/y_1-2.dsc", True, "1:1-2")
    ]  # fmt: skip
    private = tmp_path / "to/.apt"
    assert (private / "seen").read_text() == (
        "deb-src [arch=amd64] http://a/ s main\ndeb-src http://b/ s\n\n"
        "Types: deb-src\nURIs: http://c/\nSuites: s\n"
    )
    assert f'Dir::State::Lists "{private}/lists"' in (private / "apt.conf").read_text()
    asked = [call.split(" ", 3)[-1] for call in calls(apt) if call.startswith("apt_get")]
    assert asked == [
        "update -o APT::Update::Error-Mode=any",
        "source --download-only --only-source x=1:1-2",
        "source --download-only --only-source y",
    ]


@pytest.mark.usefixtures("apt")
def test_every_file_of_a_source_package_is_checked_when_it_is_used_again(tmp_path):
    fetched(tmp_path / "to", package("x", "1:1-2", "debian"))
    orig = tmp_path / "to/debian/x/x_1.orig.tar.gz"
    orig.write_bytes(b"spoiled")
    fetched(tmp_path / "to", package("x", "1:1-2", "debian"))
    assert orig.read_bytes() == b"orig"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("gone", "not found: no such package or version, or withdrawn"),
        ("changed", "hash: not what the index publishes"),
    ],
)
@pytest.mark.usefixtures("apt")
def test_what_apt_cannot_give_is_a_failure(tmp_path, name, reason):
    (failure,) = fetched(tmp_path / "to", package(name, "1", "debian"))
    assert failure.reason == reason


def test_a_folder_is_packed_as_it_is_without_following_links(tmp_path):
    root = tmp_path / "notes"
    (root / "deep").mkdir(parents=True)
    (root / "deep/a.py").write_text("a = 1\n")
    (root / "link.py").symlink_to("/etc/passwd")
    (root / "loop").symlink_to(root)
    asked = parsed(f"folder:{root}")
    (first,) = fetched(tmp_path / "to", asked)
    (root / "deep/a.py").touch()
    for name in (".git", "deep/__pycache__"):
        (root / name).mkdir()
        (root / name / "b.py").write_text("b = 1\n")
    environment = root / "env" / "lib"
    environment.mkdir(parents=True)
    (root / "env" / "pyvenv.cfg").touch()
    (environment / "c.py").write_text("c = 1\n")
    assert fetched(tmp_path / "to", asked) == [first]
    found = [(f.path, getattr(f, "reason", "")) for f in read(first, tmp_path / "to")]
    assert found == [("deep/a.py", ""), ("link.py", "link"), ("loop", "link")]
    assert first.package.full_name == "folder/notes"
    assert len((tmp_path / "to/lock.jsonl").read_text().splitlines()) == 1
    (root / "deep/a.py").write_text("a = 2\n")
    (second,) = fetched(tmp_path / "to", asked)
    assert second.package.version != first.package.version


def test_a_checkout_gives_what_is_committed_and_its_commit_is_the_version(tmp_path):
    root = tmp_path / "tree"
    root.mkdir()

    def git(*words):
        who = ["-c", "user.name=n", "-c", "user.email=e", "-c", "commit.gpgsign=false"]
        done = subprocess.run(["git", *who, *words], cwd=root, check=True, capture_output=True)
        return done.stdout.decode().strip()

    git("init", "-q")
    (root / "a.py").write_text("a = 1\n")
    git("add", "a.py")
    git("commit", "-qm", "one")
    (root / "b.py").write_text("b = 1\n")
    (archive,) = fetched(tmp_path / "to", parsed(f"git:{root}"))
    assert archive.package.version == git("rev-parse", "HEAD")
    assert [f.path for f in read(archive, tmp_path / "to")] == ["a.py"]


def test_a_file_of_documents_is_kept_as_it_is(tmp_path):
    lines = tmp_path / "mine.jsonl"
    lines.write_text(json.dumps({"id": "a", "text": "words"}) + "\n")
    (archive,) = fetched(tmp_path / "to", parsed(f"jsonl:{lines}"))
    assert archive.file.startswith("jsonl/mine.jsonl/mine-")
    assert [f.id for f in read(archive, tmp_path / "to")] == ["a"]


@pytest.mark.parametrize("ecosystem", ["folder", "git", "jsonl"])
def test_something_local_that_is_not_there_is_a_failure(tmp_path, ecosystem):
    (failure,) = fetched(tmp_path / "to", parsed(f"{ecosystem}:{tmp_path}/none"))
    assert failure.reason.startswith("not found")


def test_a_folder_that_is_no_checkout_is_a_failure(tmp_path):
    (failure,) = fetched(tmp_path / "to", parsed(f"git:{tmp_path}"))
    assert failure.reason.startswith("client: git failed")


@pytest.mark.parametrize(
    "text",
    ["rich", "pypi:", ":rich", "maven:x", "pypi:-r", "pypi:a b", "pypi:../x", "npm:@a/b/c",
     "pypi:a/b", "npm:a==../1", "npm:a==-1", "pypi:a\n"],
)  # fmt: skip
def test_what_is_no_package_is_an_error_of_the_user(text):
    with pytest.raises(UsageError):
        parsed(text)


def test_a_pause_follows_each_request_to_a_registry_and_nothing_else(tmp_path, index, monkeypatch):
    install(tmp_path, monkeypatch, pip=PIP)
    pauses = []
    packages = [package("x"), package("y"), package("gone"), parsed(f"folder:{Path(index)}")]
    found = list(
        fetch(packages, tmp_path / "to", [str(index)], pause=lambda: pauses.append(len(pauses)))
    )
    assert len(found) == 4
    assert len(pauses) == 2
