"""manifest.json: names, versions, hashes and counts of a corpus; the proof of what is in it."""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from quipu.data.corpus.jobs import write_whole
from quipu.data.corpus.prepare import part_of
from quipu.data.corpus.recipe import CorpusRecipe
from quipu.data.corpus.select import HELD_OUT, KEPT
from quipu.data.corpus.tables import rows
from quipu.data.sources.packages import Archive, Package

FORMAT = 1
_COUNTED = ("part", "package", "group", "language", "licence", "bytes", "state", "split")


def write_manifest(
    folder: Path,
    recipe: CorpusRecipe,
    archives: Sequence[Archive],
    missing: Mapping[Package, str],
    prepared: Mapping[Package, Mapping[str, Any]],
) -> dict[str, Any]:
    """Write manifest.json as far as the corpus is built; what it says."""
    found: dict[str, Any] = {
        "format": FORMAT,
        "name": recipe.name,
        "recipe": recipe.fingerprint(),
        "packages": [_package(archive, prepared.get(archive.package)) for archive in archives],
        "missing": [
            {"package": str(package), "reason": reason}
            for package, reason in sorted(missing.items(), key=lambda item: str(item[0]))
        ],
    }
    return _write(folder, found)


def recount(folder: Path) -> None:
    """Bring the counts of manifest.json up to date, where there is one."""
    path = folder / "manifest.json"
    if path.exists():
        _write(folder, json.loads(path.read_text(encoding="utf-8")))


def _write(folder: Path, found: dict[str, Any]) -> dict[str, Any]:
    counts = _Counts()
    if (folder / "documents.parquet").exists():
        for row in rows(folder / "documents.parquet", _COUNTED):
            counts.add(row)
    for package in found["packages"]:
        package |= counts.of_part(package["part"])
    found |= counts.json()
    found["overlaps"] = _overlaps(found["packages"])
    tokens = folder / "tokens" / "manifest.json"
    if tokens.exists():
        told = json.loads(tokens.read_text(encoding="utf-8"))
        found["tokens"] = {
            name: {"tokens": group["tokens"], "documents": group["documents"]}
            for name, group in told["groups"].items()
        }
        found["dropped_from_tokens"] = len(told["dropped"])
        found["vocabulary"] = {"pieces": told["vocab"], "sha256": told["tokenizer_fingerprint"]}
    write_whole(folder / "manifest.json", json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    return found


def _overlaps(packages: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """Documents that met each benchmark file, by rule, dropped for it or not."""
    sums: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for package in packages:
        for benchmark, counts in (package["prepared"] or {}).get("overlaps", {}).items():
            sums[benchmark].update(counts)
    return {name: dict(sums[name]) for name in sorted(sums)}


def _package(archive: Archive, prepared: Mapping[str, Any] | None) -> dict[str, Any]:
    package = archive.package
    return {
        "ecosystem": package.ecosystem,
        "name": package.name,
        "version": package.version,
        "file": Path(archive.file).name,
        "sha256": archive.sha256,
        "bytes": archive.bytes,
        "origin": archive.origin,
        "part": part_of(package),
        "prepared": prepared,
    }


class _Counts:
    """What is summed up over documents.parquet."""

    def __init__(self) -> None:
        self.documents_of_part: Counter[str] = Counter()
        self.bytes_of_part: Counter[str] = Counter()
        self.licences_of_part: dict[str, Counter[str]] = {}
        self.dropped: Counter[str] = Counter()
        self.kept: dict[str, dict[str, Counter[str]]] = {
            name: {"documents": Counter(), "bytes": Counter()}
            for name in ("groups", "held_out", "languages", "licences")
        }

    def add(self, row: Mapping[str, Any]) -> None:
        """Count a document."""
        if row["state"] != KEPT:
            self.dropped[kind_of(row["state"])] += 1
            return
        part = row["part"]
        self.documents_of_part[part] += 1
        self.bytes_of_part[part] += row["bytes"]
        self.licences_of_part.setdefault(part, Counter())[row["licence"]] += 1
        self._count("groups" if row["split"] != HELD_OUT else "held_out", row["group"], row)
        self._count("languages", row["language"], row)
        self._count("licences", row["licence"], row)

    def _count(self, name: str, key: str, row: Mapping[str, Any]) -> None:
        self.kept[name]["documents"][key] += 1
        self.kept[name]["bytes"][key] += row["bytes"]

    def of_part(self, part: str) -> dict[str, Any]:
        """What is kept of one package, and under which licences."""
        return {
            "kept": self.documents_of_part[part],
            "kept_bytes": self.bytes_of_part[part],
            "licences": dict(sorted(self.licences_of_part.get(part, Counter()).items())),
        }

    def json(self) -> dict[str, Any]:
        """The sums, by name."""
        both = ("documents", "bytes")
        found: dict[str, Any] = {
            name: {key: {one: sums[one][key] for one in both} for key in sorted(sums["bytes"])}
            for name, sums in self.kept.items()
        }
        return found | {"dropped": dict(sorted(self.dropped.items()))}


def kind_of(state: str) -> str:
    """The step or rule that a reason begins with: `near duplicate` of `near duplicate of ID`."""
    for kind in ("near duplicate", "exact duplicate"):
        if state.startswith(kind):
            return kind
    return state.partition(":")[0]
