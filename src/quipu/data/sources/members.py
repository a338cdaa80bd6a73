"""The members of zip and tar archives, one after another, without writing anything to disk.

Names are as the archive has them: judging them is the reader's business. A member's bytes must be
asked for before the next one; what is not asked for is never held in memory.
"""

import bz2
import gzip
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from quipu.data.sources.limits import Limits, Meter, Metered, Source, TooMuch

HEADER_BYTES = 2**20  # of a name or of extended attributes in a tar header
BLOCK = 2**16


class Broken(Exception):
    """An archive, or a member, that cannot be read on; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """One entry that is not a folder. `read` raises Broken."""

    name: str
    size: int
    kind: str  # "file", "link", "device", "encrypted"
    read: Callable[[], bytes]


_FAULTS = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, gzip.BadGzipFile, EOFError,
    NotImplementedError, RuntimeError, ValueError, OSError,
)  # fmt: skip


def members_of(path: Path, limits: Limits) -> Iterator[Member]:
    """Members in the archive's order; Broken, TooMuch."""
    try:
        with path.open("rb") as file:
            meter = Meter(limits, path.stat().st_size)
            start = file.read(8)
            file.seek(0)
            if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
                yield from _zip_members(file, meter)
            else:
                yield from _tar_members(file, start, meter)
    except _FAULTS as error:
        raise Broken(_said(error)) from error


def _said(error: BaseException) -> str:
    """An exception's message on one line, without anything of this machine."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split())[:200] or type(error).__name__


def _guarded(read: Callable[[], bytes]) -> Callable[[], bytes]:
    def guarded() -> bytes:
        try:
            return read()
        except _FAULTS as error:
            raise Broken(_said(error)) from error

    return guarded


def _zip_members(file: IO[bytes], meter: Meter) -> Iterator[Member]:
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            meter.member()
            mode = info.external_attr >> 16
            if info.is_dir():
                continue
            kind = "file"
            if stat.S_ISLNK(mode):
                kind = "link"
            elif stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                kind = "device"
            elif info.flag_bits & 1:
                kind = "encrypted"

            def read(info: zipfile.ZipInfo = info) -> bytes:
                meter.unpacked(info.file_size)  # zipfile reads no more than the header says
                return archive.read(info)

            # `orig_filename` still has the NUL and all after it that zipfile cuts from the other.
            name = info.orig_filename if "\0" in info.orig_filename else info.filename
            yield Member(name=name, size=info.file_size, kind=kind, read=_guarded(read))


class _Header(tarfile.TarInfo):
    """A tar header whose extensions cannot fill the memory."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        long = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
        if self.type in (*long, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE) and not (
            0 <= self.size <= HEADER_BYTES
        ):
            raise TooMuch(f"a tar header of {self.size} bytes")
        return cast(tarfile.TarInfo, super()._proc_member(archive))  # type: ignore[misc]


def _tar_members(file: IO[bytes], start: bytes, meter: Meter) -> Iterator[Member]:
    with ExitStack() as stack:
        source = Metered(_unpacked(file, start, stack), meter)
        archive = stack.enter_context(
            tarfile.open(
                fileobj=cast(IO[bytes], source),
                mode="r|",
                bufsize=BLOCK,
                tarinfo=_Header,
                encoding="utf-8",
                errors="surrogateescape",
            )
        )
        for info in archive:
            archive.members = []  # type: ignore[attr-defined] # tarfile remembers every header it has seen
            meter.member()
            if info.isdir():
                continue
            kind = "file" if info.isreg() else "link" if info.islnk() or info.issym() else "device"

            def read(info: tarfile.TarInfo = info) -> bytes:
                found = archive.extractfile(info)
                return found.read() if found is not None else b""

            yield Member(name=info.name, size=info.size, kind=kind, read=_guarded(read))
        _expect_end(archive)


def _expect_end(archive: tarfile.TarFile) -> None:
    """A tar ends in zeros; tarfile takes a bad header in the middle for the end."""
    stream = cast(Source, archive.fileobj)
    while block := stream.read(BLOCK):
        if block.strip(b"\0"):
            raise Broken("a bad header in the middle")


def _unpacked(file: IO[bytes], start: bytes, stack: ExitStack) -> Source:
    """The tar inside its compression, which the first bytes tell."""
    if start.startswith(b"\x1f\x8b"):
        return stack.enter_context(gzip.GzipFile(fileobj=file))
    if start.startswith(b"BZh"):
        return stack.enter_context(bz2.BZ2File(file))
    if start.startswith((b"\xfd7zXZ\0", b"\x5d\0\0")):
        return stack.enter_context(lzma.LZMAFile(file))
    if start.startswith(b"\x28\xb5\x2f\xfd"):
        import pyarrow

        stream: Any = pyarrow.CompressedInputStream(file, "zstd")
        return cast(Source, stack.enter_context(stream))
    return file
