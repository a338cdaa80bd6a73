"""One package: its archive read, every step run, what stays and what goes written down."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from quipu.data.corpus import jobs
from quipu.data.corpus.imports import imports_of
from quipu.data.corpus.jobs import Job
from quipu.data.corpus.recipe import Transform
from quipu.data.corpus.tables import DROPPED, PREPARED, Writer
from quipu.data.decontamination.step import Decontaminate, Met
from quipu.data.documents import Document
from quipu.data.sources.packages import Archive, Package, Skipped
from quipu.data.sources.reader import read

VERSION = 2
_PROVENANCE = ("id", "path", "package", "version", "licence", "language", "group", "sha256")


def part_of(package: Package) -> str:
    """Path of a package's documents below the corpus' `packages`."""
    name = package.name.replace("/", "__")
    return f"{package.ecosystem}/{name}-{package.version}.parquet"


def dropped_beside(part: Path) -> Path:
    """Where the documents are listed that did not pass."""
    return part.with_suffix(".dropped.parquet")


def prepare_job(archive: Archive, archives: Path, folder: Path, steps: Sequence[Transform]) -> Job:
    """The job that prepares one archive for the corpus in `folder`."""
    package = archive.package
    output = folder / "packages" / part_of(package)
    known: tuple[Any, ...] = (
        package.ecosystem,
        package.name,
        package.version,
        package.take,
        archive.sha256,
    )
    known += ("prose",) if package.prose else ()
    known += ("others",) if package.others else ()
    return jobs.make(
        f"prepare {package}",
        prepare,
        (archive, archives, tuple(steps)),
        output,
        also=(dropped_beside(output),),
        identity=(*known, steps),
        version=VERSION,
        size=archive.bytes,
    )


def prepare(
    output: Path, dropped: Path, archive: Archive, archives: Path, steps: Sequence[Transform]
) -> dict[str, Any]:
    """Write the documents that pass all steps, and the others with their reasons."""
    reasons: Counter[str] = Counter()
    met = [Met(step=step) for step in steps if isinstance(step, Decontaminate)]
    counting = [next((m for m in met if m.step is step), step) for step in steps]
    kept = kept_bytes = read_bytes = 0
    with Writer(output, PREPARED) as good, Writer(dropped, DROPPED) as bad:
        for found, result in _judged(archive, archives, counting):
            if isinstance(result, Document):
                content = result.text.encode()
                size = len(content)
                good.add(_row(result, content))
                kept, kept_bytes, read_bytes = kept + 1, kept_bytes + size, read_bytes + size
                continue
            row = _dropped_row(found, archive.package)
            bad.add({**row, "reason": result})
            reasons[result.partition(":")[0]] += 1
            read_bytes += row["bytes"]
    return {
        "kept": kept,
        "kept_bytes": kept_bytes,
        "read_bytes": read_bytes,
        "dropped": dict(sorted(reasons.items())),
        "overlaps": met[0].table() if met else {},
    }


def _judged(
    archive: Archive, archives: Path, steps: Sequence[Transform]
) -> Iterator[tuple[Document | Skipped, Document | str]]:
    """Everything in an archive, with what became of it."""
    seen: set[str] = set()
    for found in read(archive, archives):
        if isinstance(found, Skipped):
            yield found, found.reason
        elif found.id in seen:
            yield found, "id: twice in one package"
        else:
            seen.add(found.id)
            yield found, after_steps(found, steps)


def after_steps(document: Document, steps: Sequence[Transform]) -> Document | str:
    """The document as steps and maps leave it, or the reason to drop it."""
    for step in steps:
        try:
            result = step(document)
        except MemoryError:
            raise  # says more of this machine than of the text
        except Exception as error:
            # A text that a step did not foresee costs this document, not its package.
            return f"failed: {type(step).__name__}, {type(error).__name__}"
        if isinstance(result, str):
            return result
        document = document if result is None else result
    return document


def _row(document: Document, content: bytes) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(document, name) for name in _PROVENANCE}
    python = document.language == "python"
    return row | {
        "quality": document.quality,
        "bytes": len(content),
        "text_sha256": hashlib.sha256(content).hexdigest(),
        "text": document.text,
        "imports": imports_of(document.text) if python else [],
    }


def _dropped_row(found: Document | Skipped, package: Package) -> dict[str, Any]:
    if isinstance(found, Document):
        row: dict[str, Any] = {name: getattr(found, name) for name in _PROVENANCE}
        return row | {"bytes": len(found.text.encode())}
    row = dict.fromkeys(_PROVENANCE, "")
    return row | {
        "id": f"{package.full_name}/{package.version}/{found.path}",
        "path": found.path,
        "package": package.full_name,
        "version": package.version,
        "bytes": found.bytes,
    }
